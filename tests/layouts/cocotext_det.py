"""COCO-Text: one JSON for all sets, and the photographs of train2014."""

from __future__ import annotations

import json
from collections.abc import Callable

from layouts import Builder, Layout, picture, zipped

_SETS = {9: "train", 25: "train", 30: "val", 34: "test"}  # photograph of COCO -> set


def _file(number: int) -> str:
    return f"COCO_train2014_{number:012d}.jpg"


def _layout(part: str, archive: str, json_name: str, outline: str) -> Callable[[], Layout]:
    legible = {
        "class": "machine printed",
        "language": "english",
        "legibility": "legible",
        "utf8_string": "PRAHA",
        "bbox": [4.5, 5, 20.3, 10],
        outline: [4.5, 5, 24.8, 5, 24.8, 15, 4.5, 15],
    }
    illegible = {
        "class": "handwritten",
        "legibility": "illegible",
        "bbox": [1, 1, 3, 2],
        outline: [1, 1, 4, 1, 4, 3, 1, 3],
    }

    def build() -> Layout:
        words = {
            str(1000 + 2 * number + k): {"id": 1000 + 2 * number + k, "image_id": number, **word}
            for number in (9, 30)
            for k, word in enumerate((legible, illegible))
        }
        told = {
            "cats": {},
            "anns": words,
            "imgs": {
                str(number): {"id": number, "file_name": _file(number), "width": 48, "height": 32,
                              "set": name}
                for number, name in _SETS.items()
            },
            "imgToAnns": {str(number): [] for number in _SETS},
            "info": {},
        }  # fmt: skip
        images = {f"train2014/{_file(n)}": picture(n, kind="JPEG") for n in (*_SETS, 36)}
        return Layout(
            files={
                archive: zipped({json_name: json.dumps(told)}),
                "train2014.zip": zipped(images),
            },
            n=sum(name == part for name in _SETS.values()),
            counts={"regions": 2, "ignored": 1},
        )

    return build


LAYOUTS: dict[tuple[str, str], Builder] = {
    (f"{dataset}/{part}", f"version {version} of the annotation, and the photographs of COCO"):
        _layout(part, archive, json_name, outline)
    for dataset, version, archive, json_name, outline in (
        ("cocotext_det", 2, "cocotext.v2.zip", "cocotext.v2.json", "mask"),
        ("cocotext_v1_det", 1, "COCO_Text.zip", "COCO_Text.json", "polygon"),
    )
    for part in ("train", "val")
}  # fmt: skip
