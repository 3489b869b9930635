"""Rendered masks: the glyphs where they were drawn, and what lies around them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from strbench import rendered
from strbench.errors import StrbenchError
from strbench.loading import decode
from strbench.masks import BACKGROUND, EFFECT, TEXT, decode_mask
from strbench.rendered import Masked, RenderConfig, draw_word
from strbench.rendered.composing import compose, paint
from strbench.rendered.masks import masked
from strbench.rendered.scenery import flat, shifted
from strbench.rendered.table import MASKS
from strbench.rendered.wordlist import Draws, side_of

# sha256 over pixels, mask and label of pictures 0 to 11, seed 0. A change here changes every score on
# them: note it under "Scores" in the changelog.
PINS = {"rendered_masks/train": "59d431febc1c7c78", "rendered_masks/test": "65854ad8e90aef98"}
# Of the first 6 samples of rendered_masks/test, as a manifest has it.
PINNED_FINGERPRINT = "ecc1601b050a69e909a27d4bc7e7e93d89acd644b2bbe23d25cdea6643d3d4d7"


def drawn(name: str, index: int) -> Masked:
    found = rendered.draw(name, index)
    assert isinstance(found, Masked)
    return found


@pytest.mark.parametrize("name", sorted(PINS))
def test_masks_are_those_of_every_other_machine(name: str) -> None:
    total = hashlib.sha256()
    for index in range(12):
        image, mask, label = drawn(name, index)
        total.update(f"{mask.shape}{label}".encode() + image.tobytes() + mask.tobytes())
    assert total.hexdigest()[:16] == PINS[name]


@pytest.mark.parametrize("name", sorted(PINS))
def test_masks_have_the_promised_form(name: str) -> None:
    shares = []
    for index in range(40):
        image, mask, label = drawn(name, index)
        assert image.shape == (*mask.shape, 3)
        assert set(np.unique(mask)) <= {BACKGROUND, TEXT, EFFECT}
        assert side_of(label) == rendered.rendered_split(name).side
        shares.append((mask == TEXT).mean())
        assert (mask == TEXT).sum() > 20
    assert 0.1 < np.mean(shares) < 0.35
    effects = sum((drawn(name, i).mask == EFFECT).any() for i in range(40))
    assert 6 < effects < 30  # two chances, of 26 and 19 %


def test_image_and_label_are_those_of_the_word() -> None:
    """Another task of the same pictures: the mask is made beside them and changes nothing."""
    for index in range(6):
        image, _, label = masked(Draws(0, "rendered/train", index), rendered.TRAIN, "train")
        same = draw_word(rendered.TRAIN, 0, index)
        assert label == same.label
        assert np.array_equal(image, same.image)


def test_text_is_what_is_nearer_to_the_ink_than_to_the_ground() -> None:
    """In clean print on one colour every pixel is a mix of two colours, by its coverage."""
    clean = RenderConfig(difficulty=0.0, geometry="irregular")
    disagreed = total = 0
    for index in range(20):
        image, text, effect = compose(Draws(0, "clean", index), clean, "HANDSOME")
        assert not effect.any()
        dark = image.astype(int).sum(axis=2)
        ground, ink = dark[text == 0], dark[text == 255]
        nearer = np.abs(dark - np.median(ink)) < np.abs(dark - np.median(ground))
        disagreed += int((nearer != (text >= 128)).sum())
        total += int((text >= 128).sum())
    assert disagreed < 0.06 * total  # noise, which one clean picture in five has


def test_a_shadow_is_the_text_moved_and_an_outline_the_text_grown() -> None:
    text = np.zeros((48, 60), np.uint16)
    text[20:30, 20:40] = 255
    kinds = set()
    for seed in range(60):
        planes = flat((200, 200, 200), 48, 60)
        found = paint(
            Draws(seed, "paint", 0), planes, (10, 10, 10), text, height=48, hard=1.0, effects=3.0
        )
        shadows = [shifted(text, 2 * x, 2 * y) for x, y in ((1, 1), (-1, 1), (0, 1), (1, 0))]
        outline = np.zeros_like(text)
        outline[19:31, 19:41] = 255
        if not found.any():
            kinds.add("none")
        elif any(np.array_equal(found, shadow) for shadow in shadows):
            kinds.add("shadow")
        elif np.array_equal(found, outline):
            kinds.add("outline")
        else:
            assert any(np.array_equal(found, np.maximum(s, outline)) for s in shadows)
            kinds.add("both")
    assert kinds == {"none", "shadow", "outline", "both"}


def test_effects_are_drawn_as_often_as_asked() -> None:
    for often, low, high in ((0.0, 0, 0), (6.0, 38, 40)):
        config = replace(MASKS, effects=often, difficulty=1.0)
        found = [masked(Draws(0, "often", i), config, "train").mask for i in range(40)]
        assert low <= sum((mask == EFFECT).any() for mask in found) <= high
    with pytest.raises(StrbenchError, match="effects"):
        RenderConfig(effects=-1.0)


def test_a_prepared_split_is_complete_and_pinned(tmp_path: Path) -> None:
    split = rendered.prepare("rendered_masks/test", tmp_path, n=6)
    assert split.fingerprint == PINNED_FINGERPRINT
    assert (split.manifest.task, split.manifest.labels) == ("segmentation", "rendered")
    assert any(
        note.startswith("mask: text where glyphs cover half") for note in split.manifest.notes
    )
    for i, sample in enumerate(split.samples()):
        found = drawn("rendered_masks/test", i)
        assert sample.label == found.label
        assert sample.mask is not None
        assert np.array_equal(decode(sample.image), found.image)
        assert np.array_equal(decode_mask(sample.mask), found.mask)
