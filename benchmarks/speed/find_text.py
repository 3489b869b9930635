"""Maps a second that are turned into texts: strbench's DB and PSENet beside plain OpenCV and Python.

    python benchmarks/speed/find_text.py [--entries db psenet] [--rows ic15 totaltext] [--maps 10] [--noise 3]
        [--truth FOLDER --format icdar-quad --height 720 --width 1280]

Maps are what a good network gives of 1280 x 736 pixels: those that the entry is trained on, averaged over
2 x 2 pixels, with noise on their logits, enlarged again. Their texts are those of drawn pages, or with
--truth those of an evaluator's ground truth for photographs of one size.

The plain side takes the same steps as the official codes do: cv2.findContours, cv2.minAreaRect, a filled
polygon a score and pyclipper (shapely without it) for DB; cv2.connectedComponents, a queue in Python and a
mask a text for PSENet. Both are timed in turn in one process, on one thread. The F between what they find,
at an overlap of one half, is printed, and no time if it is below 0.999: 0.9 for DB, where texts near its
threshold differ, because cv2.fillPoly counts the pixels of a box's border and corners are rounded.

In two runs on two busy x86-64 cores PSENet took a 40th of the plain side's time for boxes and a 26th to a
29th for outlines; with the texts of ICDAR 2015's first ten test photographs, of which most are ignored,
1 / 2.3 for boxes. DB took 5.5 times the plain side's time for boxes (6 ms a map) and 7.5 times for outlines
(12 ms): OpenCV's contours are compiled. So is the official growth of PSENet, which is not among these.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timing import interleaved, show
from torch import Tensor, nn

from strbench import registry, rendered
from strbench.methods import Method
from strbench.placing import Scene, placed_regions, stretched
from strbench.region_protocols import region_protocol
from strbench.region_scoring import score_regions
from strbench.submissions import read_truth
from strbench.types import Detection, Region

try:
    import cv2
except ImportError:
    raise SystemExit("the plain side needs OpenCV: pip install opencv-python-headless") from None
try:
    import pyclipper  # type: ignore[import-untyped]
except ImportError:
    pyclipper = None
    import shapely

HEIGHT, WIDTH = 736, 1280
STRIDE = 2
SURE = 16.0  # logits between text and none
LEAST_F = {"db": 0.9, "psenet": 0.999}

Map = NDArray[np.float32]
Polygons = list[NDArray[Any]]


class Row(NamedTuple):
    """What a data set's result is, and the numbers of the official configurations for it."""

    is_box: bool
    db_score: float
    unclip: float
    psenet_score: float


ROWS = {"ic15": Row(True, 0.6, 1.5, 0.85), "totaltext": Row(False, 0.6, 2.0, 0.87)}
BINARISED = 0.3  # DB
LEAST_PIXELS = 16  # of PSENet's smallest kernel


class Given(nn.Module):
    """In a network's place: what it would have made of an image."""

    def __init__(self, made: Map) -> None:
        super().__init__()
        self.made = torch.from_numpy(made)[None]

    def forward(self, images: Tensor) -> Tensor:
        return self.made


def scenes(options: argparse.Namespace) -> list[Scene]:
    """Texts in 1280 x 736 pixels."""
    pages: list[tuple[Sequence[Region], int, int]] = []
    if options.truth is None:
        for index in range(options.maps):
            page = rendered.draw("rendered_pages/train", index)
            assert isinstance(page, rendered.Page)
            pages.append((page.regions, *page.image.shape[:2]))
    else:
        truth = read_truth(options.truth, options.format)
        size = options.height, options.width
        pages = [(regions, *size) for regions in list(truth.values())[: options.maps]]
    place = stretched(HEIGHT, WIDTH)
    made = []
    for seed, (regions, height, width) in enumerate(pages):
        rng = np.random.default_rng(seed)
        placement = place(rng, height, width, regions)
        seen = placed_regions(regions, placement, HEIGHT, WIDTH)
        made.append(Scene(seen, HEIGHT, WIDTH, seed))
    return made


def logits_of(scene: Scene, method: Method, config: Any, noise: float) -> Map:
    """(K, H, W) of one map a kernel, as a network with errors gives them."""
    assert method.feed is not None
    drawn = method.feed(config).targets(scene)  # type: ignore[attr-defined]
    if "shrunk" in drawn:
        maps = drawn["shrunk"][None]
    else:
        bits = np.arange(config.kernels, dtype=np.uint8)[:, None, None]
        maps = drawn["kernels"][None] >> bits & 1
    coarse = F.avg_pool2d(torch.from_numpy(maps.astype(np.float32))[None], STRIDE)
    generator = torch.Generator().manual_seed(scene.seed)
    coarse = SURE * (coarse - 0.5) + noise * torch.randn(coarse.shape, generator=generator)
    fine = F.interpolate(coarse, scale_factor=STRIDE, mode="bilinear")
    return np.ascontiguousarray(fine[0].numpy())


# --- the plain side


def least_rectangle(points: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Corners and the shorter side."""
    rectangle = cv2.minAreaRect(points)
    return cv2.boxPoints(rectangle), min(rectangle[1])


def mean_inside(values: Map, polygon: NDArray[Any]) -> float:
    """By a mask of the polygon's bounding box."""
    low = np.clip(np.floor(polygon.min(0)).astype(int), 0, (WIDTH - 1, HEIGHT - 1))
    high = np.clip(np.ceil(polygon.max(0)).astype(int), 0, (WIDTH - 1, HEIGHT - 1)) + 1
    mask = np.zeros((high - low)[::-1], np.uint8)
    cv2.fillPoly(mask, [np.round(polygon - low).astype(np.int32)], 1)
    return float(cv2.mean(values[low[1] : high[1], low[0] : high[0]], mask)[0])


def grown(polygon: NDArray[Any], ratio: float) -> Polygons:
    """Moved outward by area times ratio by perimeter."""
    corners = polygon.astype(np.float32)
    distance = cv2.contourArea(corners) * ratio / max(cv2.arcLength(corners, True), 1e-6)
    if pyclipper is not None:
        clip = pyclipper.PyclipperOffset()
        clip.AddPath(
            np.round(polygon).astype(int).tolist(),
            pyclipper.JT_ROUND,
            pyclipper.ET_CLOSEDPOLYGON,
        )
        return [np.array(part, np.float32) for part in clip.Execute(distance)]
    shape = shapely.Polygon(polygon).buffer(distance)
    parts = [part for part in shapely.get_parts(shape) if not part.is_empty]
    return [np.array(part.exterior.coords, np.float32) for part in parts]


def plain_db(values: Map, row: Row) -> Polygons:
    """Differentiable binarisation's texts in a map of probabilities."""
    contours, _ = cv2.findContours(
        (values > BINARISED).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
    )
    made: Polygons = []
    for contour in contours[:1000]:
        if row.is_box:
            corners, short = least_rectangle(contour)
            if short < 3:
                continue
        else:
            corners = cv2.approxPolyDP(contour, 0.002 * cv2.arcLength(contour, True), True)[:, 0]
            if len(corners) < 4:
                continue
        if mean_inside(values, corners) < row.db_score:
            continue
        parts = grown(corners, row.unclip)
        if len(parts) != 1:
            continue
        around, short = least_rectangle(parts[0])
        if short >= 5:
            made.append(around if row.is_box else parts[0])
    return made


def plain_psenet(logits: Map, row: Row) -> Polygons:
    """Progressive scale expansion's texts in logits of kernels."""
    maps = logits > 0
    maps[1:] &= maps[0]
    count, parts = cv2.connectedComponents(maps[-1].astype(np.uint8), connectivity=4)
    labels = np.zeros(parts.shape, np.int32)
    for number in range(1, count):
        part = parts == number
        if part.sum() >= LEAST_PIXELS:
            labels[part] = number
    queue = deque((y, x) for y, x in np.argwhere(labels).tolist())
    for kernel in maps[-2::-1]:
        following: deque[tuple[int, int]] = deque()
        while queue:
            y, x = queue.popleft()
            grew = False
            for b, a in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= b < HEIGHT and 0 <= a < WIDTH
                if inside and kernel[b, a] and not labels[b, a]:
                    labels[b, a] = labels[y, x]
                    queue.append((b, a))
                    grew = True
            if not grew:
                following.append((y, x))
        queue = following
    probability = 1 / (1 + np.exp(-logits[0]))
    made: Polygons = []
    for number in range(1, count):
        text = labels == number
        if not text.any() or probability[text].mean() < row.psenet_score:
            continue
        if row.is_box:
            points = np.argwhere(text)[:, ::-1].astype(np.float32)
            made.append(least_rectangle(points)[0])
        else:
            contours, _ = cv2.findContours(
                text.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            made.append(contours[0][:, 0].astype(np.float32))
    return made


PLAIN: Mapping[str, Callable[[Map, Row], Polygons]] = {"db": plain_db, "psenet": plain_psenet}


# --- both


def agreement(ours: Sequence[Sequence[Detection]], theirs: Sequence[Polygons]) -> float:
    """F of what the plain side found against what strbench found, matched one to one."""
    truth = {str(i): [Region(one.polygon, "text") for one in found] for i, found in enumerate(ours)}
    found = {
        str(i): [Detection(tuple((x + 0.5, y + 0.5) for x, y in p.tolist())) for p in polygons]
        for i, polygons in enumerate(theirs)
    }
    outcome = score_regions(truth.items(), found.get, region_protocol("iou-0.5")).outcome
    return outcome.hmean


def main() -> None:
    """Print the times and their ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", nargs="+", choices=sorted(PLAIN), default=sorted(PLAIN))
    parser.add_argument("--rows", nargs="+", choices=sorted(ROWS), default=sorted(ROWS))
    parser.add_argument("--maps", type=int, default=10)
    parser.add_argument("--noise", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--format", default="icdar-quad", help="of --truth")
    parser.add_argument("--height", type=int, default=720, help="of the photographs of --truth")
    parser.add_argument("--width", type=int, default=1280)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    drawn = scenes(options)
    for name in options.entries:
        method: Method = registry.load("models", name)
        config = method.recipes["paper"]
        maps = [logits_of(scene, method, config, options.noise) for scene in drawn]
        if name == "db":
            maps = [1 / (1 + np.exp(-one[0])) for one in maps]
        for row in options.rows:
            compare(method, replace(config, test=row), maps, ROWS[row], options.rounds)


def compare(method: Method, config: Any, maps: Sequence[Map], row: Row, rounds: int) -> None:
    """Time both sides on the same maps."""
    assert method.finder is not None
    finders = [method.finder(Given(one), config) for one in maps]
    blank = torch.zeros(1, 3, 1, 1)
    found: dict[str, list[Any]] = {}

    def ours() -> None:
        found["ours"] = [finder.find(blank)[0] for finder in finders]

    def theirs() -> None:
        found["theirs"] = [PLAIN[method.card.name](one, row) for one in maps]

    seconds = interleaved({"strbench": ours, "plain": theirs}, rounds=rounds)
    hmean = agreement(found["ours"], found["theirs"])
    if hmean < LEAST_F[method.card.name]:
        raise SystemExit(
            f"{method.card.name}, {config.test}: both sides agree by F {hmean:.4f} alone"
        )
    texts = sum(map(len, found["ours"]))
    print(f"{method.card.name}, {config.test}: {texts} texts in {len(maps)} maps, F {hmean:.4f}")
    show(seconds, items=len(maps), unit="maps")


if __name__ == "__main__":
    main()
