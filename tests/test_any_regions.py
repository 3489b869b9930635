"""Every detection protocol on thousands of generated polygons: degenerate, crossing, empty, far away."""

from __future__ import annotations

import numpy as np
import pytest

from strbench.errors import StrbenchError
from strbench.metrics.detection import Scene
from strbench.region_protocols import REGION_PROTOCOLS
from strbench.types import Detection, Polygon, Region

SCRIPTS = ("Arabic", "Latin", "Chinese", "Japanese", "Korean", "Bangla")
TEXTS = ("word", "Other", "a", "it's", "123", "STOP!")


def polygon(rng: np.random.Generator, vertices: int | None, near: Polygon | None) -> Polygon:
    """A polygon of any shape, or one near another."""
    if near is not None and rng.random() < 0.7:
        moved = np.array(near) + rng.integers(-3, 4, (len(near), 2))
        return tuple(map(tuple, moved.astype(float).tolist()))
    count = vertices or int(rng.integers(3, 9))
    kind = rng.integers(5)
    points = rng.integers(0, 60, (count, 2)).astype(float)  # crosses itself as it likes
    if kind == 0:  # round, convex
        angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
        size = rng.uniform(3, 20, 2)
        points = (points[:1] + np.stack([np.cos(angles), np.sin(angles)], 1) * size).round()
    elif kind == 1:  # a line
        points[:, 1] = points[0, 1]
    elif kind == 2:  # a point
        points[:] = points[0]
    elif kind == 3:  # an edge that is traced twice
        points[count // 2 :] = points[: count - count // 2]
    return tuple(map(tuple, points.tolist()))


def drawn(rng: np.random.Generator, images: int, vertices: int | None) -> Scene:
    truth: dict[str, list[Region]] = {}
    found: dict[str, list[Detection]] = {}
    for image in range(images):
        regions = []
        for _ in range(rng.integers(0, 5)):
            outline = polygon(rng, vertices, None)
            box = (*map(float, rng.integers(0, 40, 4)), float(rng.uniform(-1.5, 1.5)))
            tags = {"script": SCRIPTS[rng.integers(6)]}
            text = TEXTS[rng.integers(6)]
            regions.append(Region(outline, text, bool(rng.random() < 0.2), box, tags))
        truth[f"{image:05d}"] = regions
        if rng.random() < 0.9:
            found[f"{image:05d}"] = [
                Detection(
                    polygon(
                        rng,
                        vertices,
                        regions[rng.integers(len(regions))].polygon if regions else None,
                    ),
                    round(float(rng.random()), 2),
                    TEXTS[rng.integers(6)],
                    (*map(float, rng.integers(0, 40, 4)), float(rng.uniform(-1.5, 1.5))),
                )
                for _ in range(rng.integers(0, 5))
            ]
    return Scene.of(truth, found)


def checked(name: str, *, scenes: int, images: int) -> int:
    """How many of the scenes have figures; all others were refused by name."""
    protocol = REGION_PROTOCOLS[name]
    rule = protocol.rule()
    rng = np.random.default_rng(len(name))
    vertices = 4 if protocol.files in ("icdar-quad", "icdar-box", "td500", "mlt17") else None
    scored = 0
    for _ in range(scenes):
        scene = drawn(rng, images, vertices)
        try:
            outcome = rule(scene)
        except StrbenchError:  # the official script ends there; anything else is a bug
            continue
        scored += 1
        assert np.isfinite([outcome.precision, outcome.recall, outcome.hmean]).all()
        for values in (outcome.recalled, outcome.precise, outcome.truths, outcome.founds):
            assert np.isfinite(values).all()
        order = rng.permutation(len(scene.images))
        other = rule(turned(scene, order))
        np.testing.assert_allclose(other.recalled, outcome.recalled[order], atol=1e-9)
        np.testing.assert_allclose(other.precise, outcome.precise[order], atol=1e-9)
    return scored


def turned(scene: Scene, order: np.ndarray) -> Scene:
    """The same images in another order, under names in that order."""
    truth, found = {}, {}
    for place, image in enumerate(order.tolist()):
        name = f"{place:05d}"
        truth[name] = [
            r for r, i in zip(scene.regions, scene.truth.image, strict=True) if i == image
        ]
        if scene.answered[image]:
            found[name] = [
                d for d, i in zip(scene.detections, scene.found.image, strict=True) if i == image
            ]
    return Scene.of(truth, found)


@pytest.mark.parametrize("name", REGION_PROTOCOLS)
def test_a_few(name: str) -> None:
    assert checked(name, scenes=15, images=4) > 0


def test_polygons_that_reach_too_far_are_named() -> None:
    rule = REGION_PROTOCOLS["ic15-iou"].rule()
    rng = np.random.default_rng(0)
    far = 2.0**31
    refused = []
    for _ in range(200):  # GEOS can cut most of them
        one, other = rng.choice([0, 5, far / 2, far - 7, far - 3, far], size=(2, 4, 2)).tolist()
        found = {
            "a": [Detection(((0, 0), (9, 0), (9, 9)))],
            "b": [Detection(tuple(map(tuple, one)))],
        }
        truth = {"a": [], "b": [Region(tuple(map(tuple, other)), "word")]}
        try:
            rule(Scene.of(truth, found))
        except StrbenchError as error:
            refused.append(error.message)
    assert refused
    assert all("of image 'b' reaches 21474836" in message for message in refused), refused


@pytest.mark.slow
@pytest.mark.parametrize("name", REGION_PROTOCOLS)
def test_ten_thousand_images(name: str) -> None:
    assert checked(name, scenes=2500, images=4) > 100
