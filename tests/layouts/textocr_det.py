"""TextOCR: a JSON a split, and one zip with the photographs of both."""

from __future__ import annotations

import json
from collections.abc import Callable

from layouts import Builder, Layout, picture, zipped

_KEYS = {"train": ("a011ce1f8f0e6a3c", "0000599864fd15b3"), "val": ("b9e5e1c1b1ab1f0c",)}


def _layout(part: str) -> Callable[[], Layout]:
    def build() -> Layout:
        images = {
            f"train_images/{key}.jpg": picture(i, kind="JPEG")
            for i, key in enumerate((*_KEYS["train"], *_KEYS["val"]))
        }
        words = {
            f"{key}_{k}": {
                "id": f"{key}_{k}",
                "image_id": key,
                "bbox": [4.0, 5.5, 20.25, 10.0],
                "points": [4.0, 5.5, 24.25, 5.5, 24.25, 15.5, 4.0, 15.5],
                "utf8_string": text,
                "area": 202.5,
            }
            for key in _KEYS[part]
            for k, text in enumerate(("Performance", "."), 1)
        }
        told = {
            "info": {"version": "0.1"},
            "imgs": {
                key: {"id": key, "width": 48, "height": 32, "set": part,
                      "file_name": f"train/{key}.jpg"}
                for key in _KEYS[part]
            },
            "anns": words,
            "imgToAnns": {key: [f"{key}_1", f"{key}_2"] for key in _KEYS[part]},
        }  # fmt: skip
        n = len(_KEYS[part])
        return Layout(
            files={
                "train_val_images.zip": zipped(images),
                f"TextOCR_0.1_{part}.json": json.dumps(told).encode(),
            },
            n=n,
            counts={"regions": 2 * n, "ignored": n},
        )

    return build


LAYOUTS: dict[tuple[str, str], Builder] = {
    ("textocr_det/train", "the authors' files, train"): _layout("train"),
    ("textocr_det/val", "the authors' files, val"): _layout("val"),
}
