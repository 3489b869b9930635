"""Rendered words, and what all rendered splits share: the same pixels everywhere, no word on both sides, covers that cover."""

from __future__ import annotations

import hashlib
import io
import itertools
import pickle
import shutil
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from strbench import rendered
from strbench.datasets import specs
from strbench.errors import StrbenchError
from strbench.loading import decode
from strbench.rendered import RENDERED_SPLITS, RenderConfig, draw_word, encode_png, glyphs
from strbench.rendered.glyphs import (
    FOLDER,
    REFERENCE_GLYPHS,
    SIZES,
    bundled_faces,
    folder_faces,
    glyph_fingerprint,
    is_caps_only,
    set_line,
)
from strbench.rendered.occluding import occluder
from strbench.rendered.table import WORD
from strbench.rendered.warping import Pose, place
from strbench.rendered.wordlist import SIGNS, Draws, Side, draw_text, key, side_of, words
from strbench.store import find_split

WORDS = {name: s for name, s in RENDERED_SPLITS.items() if s.picture is WORD}

# sha256 over shape, pixels and label of images 0 to 11, seed 0. A change here changes every rendered
# score: note it under "Scores" in the changelog.
PINS = {
    "rendered/train": "a814bd28f7a4421a",
    "rendered/unlabelled": "42f9a11dfca5b658",
    "rendered_demo/train": "6669bb8c10a4ae81",
    "rendered_demo_handwritten/test": "f256715939f08b7a",
    "rendered_demo_irregular/test": "ea63ccc70ee7a069",
    "rendered_demo_occluded_heavy/test": "f6db6a71a9849e67",
    "rendered_demo_occluded_weak/test": "3dd95680caa6f022",
    "rendered_demo_regular/test": "7a878a10f4cc5d0e",
    "rendered_handwritten/test": "5a1e23cebb58cb21",
    "rendered_irregular/test": "a8ee19b61ce9f9a9",
    "rendered_occluded_heavy/test": "fffc078793404e34",
    "rendered_occluded_weak/test": "06c081320cad1ac8",
    "rendered_regular/test": "fbf20532e1da916e",
}
# Of the first 12 samples of rendered_regular/test, as a manifest has it.
PINNED_FINGERPRINT = "4e970ccd547170ec097a242912901e7941ca94fd5a1d3981c949ee36267ec44e"


def settings(name: str) -> RenderConfig:
    config = WORDS[name].config
    assert isinstance(config, RenderConfig)
    return config


def digest(name: str, indices: range) -> str:
    total = hashlib.sha256()
    for index in indices:
        image, label = draw_word(settings(name), 0, index, split=name)
        total.update(f"{image.shape}{label}".encode() + image.tobytes())
    return total.hexdigest()[:16]


def equal(a: rendered.Drawn, b: rendered.Drawn) -> bool:
    return a.label == b.label and np.array_equal(a.image, b.image)


# --- determinism


@pytest.mark.parametrize("name", sorted(WORDS))
def test_pixels_are_those_of_every_other_machine(name: str) -> None:
    assert digest(name, range(12)) == PINS[name]


def test_glyph_masks_are_the_reference() -> None:
    assert glyph_fingerprint() == REFERENCE_GLYPHS


def test_an_image_depends_on_its_index_alone() -> None:
    config = rendered.TRAIN
    forward = {i: draw_word(config, 3, i) for i in range(20)}
    for i in reversed(range(20)):
        assert equal(draw_word(config, 3, i), forward[i])
    assert equal(draw_word(pickle.loads(pickle.dumps(config)), 3, 7), forward[7])


def test_worker_processes_draw_the_same_in_order() -> None:
    name = "rendered_occluded_weak/test"
    alone = list(rendered.samples(name, 12))
    assert list(rendered.samples(name, 12, workers=2)) == alone
    assert list(rendered.samples(name, 4, start=8)) == alone[8:]
    draw = partial(draw_word, rendered.DEMO, 5)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert equal(pool.submit(draw, 11).result(), draw(11))


def test_seed_split_and_index_each_change_the_image() -> None:
    config = rendered.TRAIN
    drawn = [
        draw_word(config, seed, index, split=name)
        for seed in range(3)
        for index in range(6)
        for name in ("rendered/train", "rendered/unlabelled")
    ]
    assert not any(equal(a, b) for a, b in itertools.combinations(drawn, 2))


def test_raw_draws_are_pinned_and_uniform() -> None:
    draws = Draws(0, "rendered/train", 0)
    assert [draws.word() for _ in range(2)] == [12537147503875177546, 668202484870606868]
    units = np.array([draws.unit() for _ in range(20_000)])
    assert units.min() >= 0
    assert units.max() < 1
    assert abs(units.mean() - 0.5) < 0.01
    counts = np.bincount([draws.integer(0, 4) for _ in range(10_000)])
    assert len(counts) == 5
    assert counts.min() > 1800
    assert draws.raw_bytes(13).shape == (13,)


# --- words


@pytest.mark.parametrize("name", sorted(WORDS))
def test_labels_stay_on_their_side_and_in_their_signs(name: str) -> None:
    config, side, *_ = RENDERED_SPLITS[name]
    for index in range(600):
        label = draw_text(
            Draws(1, name, index),
            side,
            min_length=config.min_length,
            max_length=config.max_length,
            signs=config.signs,
            kinds=config.kinds,
            cases=config.cases,
        )
        assert side_of(label) == side
        assert config.min_length <= len(label) <= config.max_length
        assert set(label) <= set(config.signs) <= set(SIGNS)
        assert key(label)


def test_train_and_test_labels_are_disjoint_over_all_splits() -> None:
    drawn: dict[str, set[str]] = {"train": set(), "test": set()}
    for name, (config, side, *_) in RENDERED_SPLITS.items():
        for index in range(1500):
            text = draw_text(
                Draws(0, name, index),
                side,
                min_length=config.min_length,
                max_length=config.max_length,
                signs=config.signs,
                kinds=config.kinds,
                cases=config.cases,
            )
            drawn[side].add("".join(c for c in text.casefold() if c.isalnum()))
    assert len(drawn["train"]) > 1500
    assert len(drawn["test"]) > 1500
    assert not drawn["train"] & drawn["test"]


def test_the_drawn_label_is_the_one_of_the_side() -> None:
    for name in WORDS:
        drawn = [draw_word(settings(name), 9, i, split=name) for i in range(5)]
        assert {side_of(word.label) for word in drawn} == {WORDS[name].side}


def test_the_word_list_is_partitioned() -> None:
    train, test = (set(words(side, 2, 14)) for side in ("train", "test"))
    assert not train & test
    assert 0.08 < len(test) / len(train | test) < 0.12
    assert len(train | test) > 20_000
    assert all(w.isascii() and w.isalpha() and w.islower() for w in train | test)
    assert side_of("DON'T") == side_of("dont")


@pytest.mark.parametrize("side", ["train", "test"])
def test_blends_are_words_of_no_dictionary_on_their_own_side(side: Side) -> None:
    drawn = [
        draw_text(Draws(1, "blends", i), side, min_length=3, max_length=9, kinds=(("blend", 1.0),))
        for i in range(300)
    ]
    listed = {*words("train", 1, 30), *words("test", 1, 30)}
    assert sum(text in listed for text in drawn) < 60
    assert all(text.isalpha() and 3 <= len(text) <= 9 for text in drawn)
    assert {side_of(text) for text in drawn} == {side}


def test_all_kinds_are_drawn() -> None:
    labels = [
        draw_text(
            Draws(0, "kinds", i),
            "test",
            min_length=1,
            max_length=14,
            kinds=rendered.TRAIN.kinds,
            cases=(0.5, 0.3, 0.2),
        )
        for i in range(800)
    ]
    assert any(label.isdigit() for label in labels)
    assert any(label.startswith("$") for label in labels)
    assert any(label[-1] in ".,!?:;" for label in labels)
    upper = sum(label.isupper() for label in labels) / len(labels)
    assert 0.35 < upper < 0.65


def test_impossible_texts_are_an_error() -> None:
    config = RenderConfig(min_length=3, signs="~", kinds=(("word", 1.0),))
    with pytest.raises(StrbenchError, match="could be made"):
        draw_word(config, 0, 0)


# --- fonts


def test_every_bundled_font_draws_every_sign_and_has_its_licence() -> None:
    faces = bundled_faces()
    assert len(faces) >= 12
    assert {face.style for face in faces} == set(glyphs.STYLES)
    for face in faces:
        assert not glyphs.missing_signs(face.path)
        for size in SIZES:
            assert all(g.mask.any() for g in glyphs.glyphs(face.path, size, SIGNS)), face.name
        licence = (face.path.parent / "OFL.txt").read_text(encoding="utf-8")
        assert "SIL OPEN FONT LICENSE Version 1.1" in licence
        assert "Copyright" in licence.partition("SIL OPEN FONT LICENSE")[0]
    assert {f.name for f in faces} == {p.name for p in FOLDER.iterdir() if p.is_dir()}
    assert sum(face.path.stat().st_size for face in faces) < 1_200_000


def test_lower_case_is_never_drawn_in_a_font_of_capitals() -> None:
    capitals = [face.name for face in bundled_faces() if is_caps_only(face)]
    assert capitals == ["bebas-neue"]
    config = RenderConfig(
        families=("bebas-neue", "cabin"), cases=(0, 0, 1), kinds=(("word", 1),), difficulty=0
    )
    only = replace(config, families=("cabin",))
    assert all(equal(draw_word(config, 0, i), draw_word(only, 0, i)) for i in range(4))


def font_folder(tmp_path: Path, *families: str) -> Path:
    folder = tmp_path / "fonts"
    for family in families:
        (folder / family).mkdir(parents=True)
        for file in (FOLDER / family).glob("*.otf"):
            shutil.copy(file, folder / family)
    return folder


def test_further_fonts_take_part_and_change_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = font_folder(tmp_path, "cabin", "dosis")
    monkeypatch.setenv("STRBENCH_FONTS", str(folder))
    train = rendered.prepare("rendered/train", tmp_path / "data", n=3)
    assert train.name != "rendered/train"
    assert train.name.startswith("rendered_")
    assert train.name.endswith("/train")
    assert "Cabin-Bold.otf" in train.manifest.notes[0]
    assert find_split(train.name, root=tmp_path / "data").n == 3
    test = rendered.prepare("rendered_demo_regular/test", tmp_path / "data", n=3)
    assert test.name == "rendered_demo_regular/test"
    again = rendered.prepare("rendered_demo_regular/test", tmp_path / "data", n=3, fonts=folder)
    assert again.name not in (test.name, train.name)
    assert len(rendered.faces(RenderConfig(font_folder=str(folder)))) == len(bundled_faces()) + 2


def test_unusable_font_folders_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StrbenchError, match="does not exist"):
        draw_word(RenderConfig(font_folder=str(tmp_path / "none")), 0, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StrbenchError, match="holds no"):
        rendered.prepare("rendered/train", tmp_path / "data", n=1, fonts=tmp_path / "empty")
    assert not (tmp_path / "data").exists()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.ttf").write_bytes(b"no font at all")
    with pytest.raises(StrbenchError, match="not a readable font"):
        folder_faces(str(tmp_path / "bad"))
    folder = font_folder(tmp_path, "cabin")
    monkeypatch.setattr(glyphs, "SIGNS", SIGNS + "\u4e2d")
    with pytest.raises(StrbenchError, match="found none for '\u4e2d'"):
        folder_faces(str(folder))


# --- pictures


@pytest.mark.parametrize("name", sorted(WORDS))
def test_pictures_have_the_promised_form(name: str) -> None:
    config = settings(name)
    for index in range(25):
        image = draw_word(config, 2, index, split=name).image
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
        assert image.flags.c_contiguous
        assert 8 <= image.shape[0] <= 2 * config.max_height
        assert 8 <= image.shape[1] <= config.max_width
        assert int(image.max()) - int(image.min()) >= 20  # something is drawn


def test_an_unbent_unturned_line_is_placed_where_it_is() -> None:
    line = set_line(bundled_faces()[0], 40, "Edge")
    x0, y0, x1, y1 = line.box
    seen = place(line, Pose(margins=(0, 0, 0, 0)), max_height=200, max_width=400).take(line.mask)
    assert np.array_equal(seen, line.mask[y0:y1, x0:x1])


@pytest.mark.parametrize(
    "pose",
    [
        Pose(turn=0.2),
        Pose(bend=1.5),
        Pose(bend=-1.5),
        Pose(tilt_x=0.4, tilt_y=-0.2),
        Pose(slant=0.4),
        Pose(scale=0.3),
        Pose(scale=0.25, turn=-0.3, bend=0.8, slant=-0.2, tilt_x=0.2),
    ],
)
def test_a_posed_word_lies_wholly_inside_its_crop(pose: Pose) -> None:
    line = set_line(bundled_faces()[2], 40, "HANDSOME")
    seen = place(line, pose, max_height=300, max_width=600).take(line.mask)
    edge = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
    assert edge.max() <= 40
    area = seen.sum() / (int(line.mask.sum()) * pose.scale**2)
    assert 0.7 < area < 1.7  # the nearer side of a tilted word grows by more than the other shrinks


@pytest.mark.parametrize("level", ["weak", "heavy"])
def test_covers_hide_as_much_of_one_sign_as_they_say(level: Literal["weak", "heavy"]) -> None:
    low, high = (0.2, 0.45) if level == "weak" else (0.55, 0.9)
    shares = []
    for index in range(120):
        face = bundled_faces()[index % len(bundled_faces())]
        line = set_line(face, 40, "Handle.")
        cover = occluder(Draws(0, "test", index), line, "Handle.", level).astype(float) / 255
        hidden = [
            (line.mask[y0:y1, x0:x1] * cover[y0:y1, x0:x1]).sum()
            / line.mask[y0:y1, x0:x1].astype(float).sum()
            for x0, y0, x1, y1 in line.spans
        ]
        shares.append(max(hidden[:-1]))
        rest = 1 - (line.mask * cover).sum() / line.mask.astype(float).sum()
        assert rest > 0.5  # the word as a whole stays
    inside = [low - 0.02 <= share <= high + 0.1 for share in shares]
    assert np.mean(inside) > 0.9
    assert min(shares) > 0.1


@pytest.mark.parametrize("name", ["rendered_occluded_weak/test", "rendered_occluded_heavy/test"])
def test_an_occluded_picture_is_the_plain_one_with_a_cover(name: str) -> None:
    config = replace(settings(name), difficulty=0.0)
    changed = []
    for index in range(30):
        hidden = draw_word(config, 0, index, split=name)
        plain = draw_word(replace(config, occlusion="none"), 0, index, split=name)
        assert hidden.label == plain.label
        assert hidden.image.shape == plain.image.shape
        changed.append((hidden.image != plain.image).any(axis=2).mean())
    assert min(changed) > 0
    assert max(changed) < 0.5


# --- streams and stores


def test_the_unlabelled_stream_has_no_end_and_no_repeats() -> None:
    parts = [*rendered.unlabelled(0, 0, 30), *rendered.unlabelled(0, 10**12, 30)]
    assert len({hashlib.sha256(image.tobytes()).digest() for image in parts}) == 60
    whole = list(rendered.unlabelled(0, 20, 10))
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts[20:30], strict=True))
    assert list(rendered.unlabelled(0, 5, 0)) == []
    states = {Draws(0, "rendered/unlabelled", i).word() for i in range(5000)}
    assert len(states) == 5000


def test_png_is_lossless_and_readable_by_pillow() -> None:
    rng = np.random.default_rng(0)
    for shape in ((8, 8, 3), (1, 5, 3), (33, 71, 3)):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        encoded = encode_png(image)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded))), image)
        assert np.array_equal(decode(encoded), image)
    assert zlib.crc32(encoded[12:29]) == int.from_bytes(encoded[29:33], "big")


def test_a_prepared_split_is_complete_and_pinned(tmp_path: Path) -> None:
    split = rendered.prepare("rendered_regular/test", tmp_path, n=12)
    assert split.fingerprint == PINNED_FINGERPRINT
    assert find_split("rendered_regular/test", root=tmp_path).n == 12
    assert split.manifest.rendered
    assert split.manifest.labels == "rendered"
    assert split.manifest.sources[0]["seed"] == 0
    assert split.manifest.sources[0]["config"] == {"geometry": "regular"}
    assert any("reference" in note and "NOT" not in note for note in split.manifest.notes)
    assert any("not the standard" in note for note in split.manifest.notes)
    drawn = draw_word(rendered.REGULAR, 0, 5, split="rendered_regular/test")
    assert split.labels[5] == drawn.label
    assert np.array_equal(decode(split.image(5)), drawn.image)
    bare = rendered.prepare("rendered/unlabelled", tmp_path, n=2)
    assert bare.labels == [None, None]
    with pytest.raises(StrbenchError, match="rendered split"):
        rendered.prepare("rendered_regulr/test", tmp_path)


def test_the_dataset_specs_list_every_rendered_split() -> None:
    drawn = [spec for spec in specs() if spec.make is not None]
    assert {spec.id: spec.task for spec in drawn} == {
        "rendered": "recognition",
        "rendered_pages": "detection",
        "rendered_pairs": "super-resolution",
        "rendered_masks": "segmentation",
    }
    listed = {split.name: (spec.task, split.n) for spec in drawn for split in spec.splits}
    assert listed == {name: (s.picture.task, s.size) for name, s in RENDERED_SPLITS.items()}


def test_settings_are_checked() -> None:
    for bad in (
        {"min_length": 5, "max_length": 4},
        {"styles": ("gothic",)},
        {"families": ("helvetica",)},
        {"signs": "é"},
        {"difficulty": 2.0},
        {"min_height": 90},
    ):
        with pytest.raises(StrbenchError):
            RenderConfig(**bad)  # type: ignore[arg-type]
    with pytest.raises(StrbenchError, match="No bundled font"):
        rendered.faces(RenderConfig(styles=()))
