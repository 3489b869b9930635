"""Seconds from result files to figures: strbench beside a plain loop over all pairs, the same rule in both.

    python benchmarks/speed/score_regions.py [--images 500] [--vertices 4] [--truth gt.zip --found det.zip]
    python benchmarks/speed/score_regions.py --stream 100000

The plain side is how most evaluators are written: a shapely polygon for either side of every pair of an
image, and a loop. The time to read files is shown by itself. Without files words are drawn: ten regions an
image and as many found ones. Figures must be equal, or nothing is printed.

With --stream a zip of so many result files is written, and scored as `strbench score` does against true
regions that are made one image at a time; the peak of memory is that of scoring alone, in a process of its
own, beside that of a tenth of the images.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import shapely

from strbench.metrics.detection import FirstCome, Scene
from strbench.region_protocols import region_protocol
from strbench.region_scoring import Truth, score_results
from strbench.submissions import read_found, read_truth
from strbench.types import Detection, Region

Regions = dict[str, list[Region]]
Found = dict[str, list[Detection]]


def draw(images: int, vertices: int) -> tuple[Regions, Found]:
    """Ten true and ten found polygons an image, three in ten of the true ones ignored."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    outline = np.stack([45 * np.cos(angles), 18 * np.sin(angles)], 1)
    truth: Regions = {}
    found: Found = {}
    for image in range(images):
        centres = rng.uniform(0, 1000, (10, 1, 2))
        moved = centres + rng.normal(0, 4, centres.shape)
        ours, theirs = (c.round() + outline.round() for c in (centres, moved))
        truth[str(image)] = [
            Region(tuple(map(tuple, points)), "word", bool(rng.random() < 0.3))
            for points in ours.tolist()
        ]
        found[str(image)] = [Detection(tuple(map(tuple, points))) for points in theirs.tolist()]
    return truth, found


def plain(
    truth: Mapping[str, Sequence[Region]], found: Mapping[str, Sequence[Detection]]
) -> tuple[float, float]:
    """Precision and recall of the rule of ICDAR 2015, valid polygons, pair by pair."""
    matched = truths = founds = 0
    for image, regions in truth.items():
        detections = found.get(image, [])
        left_out = [
            any(
                region.ignored
                and (area := shapely.Polygon(d.polygon).area)
                and shapely.Polygon(d.polygon).intersection(shapely.Polygon(region.polygon)).area
                / area
                > 0.5
                for region in regions
            )
            for d in detections
        ]
        taken: set[int] = set()
        for region in regions:
            if region.ignored:
                continue
            truths += 1
            for number, d in enumerate(detections):
                if left_out[number] or number in taken:
                    continue
                one, other = shapely.Polygon(region.polygon), shapely.Polygon(d.polygon)
                common = one.intersection(other).area
                if common / (one.area + other.area - common) > 0.5:
                    taken.add(number)
                    matched += 1
                    break
        founds += left_out.count(False)
    return matched / founds, matched / truths


def stream(images: int) -> tuple[float, float]:
    """Seconds and megabytes of scoring a zip of so many results, ten regions an image."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "det.zip")
        rows = [f"{100 * i},0,{100 * i + 80},0,{100 * i + 80},30,{100 * i},30" for i in range(10)]
        with zipfile.ZipFile(place, "w") as archive:
            for image in range(images):
                archive.writestr(f"res_img_{image}.txt", "\n".join(rows))
        made = subprocess.run(
            [sys.executable, __file__, "--scored", str(place), "--images", str(images)],
            check=True,
            capture_output=True,
            text=True,
        )
    seconds, kilobytes = map(float, made.stdout.split())
    return seconds, kilobytes / 1000


def scored(place: Path, images: int) -> None:
    """Prints seconds and the peak of memory in kB."""
    ids = tuple(map(str, range(images)))
    boxes = [
        ((100.0 * i, 0.0), (100.0 * i + 70, 0.0), (100.0 * i + 70, 30.0), (100.0 * i, 30.0))
        for i in range(10)
    ]
    regions = [Region(box, "word") for box in boxes]
    truth = Truth("file/stream", "0" * 64, "drawn", ids, lambda: ((id_, regions) for id_ in ids))
    begun = time.process_time()
    found, _ = score_results(place, truth, region_protocol("ic15-iou"))
    if found.outcome.hmean != 1:
        raise SystemExit(f"F {found.outcome.hmean}, expected 1")
    print(time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def timed(work: Callable[[], tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    """Process seconds, the best of three, and the result."""
    seconds, result = [], (0.0, 0.0)
    for _ in range(3):
        begun = time.process_time()
        result = work()
        seconds.append(time.process_time() - begun)
    return min(seconds), result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--vertices", type=int, default=4)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--found", type=Path)
    parser.add_argument("--format", default="icdar-quad", help="of both files")
    parser.add_argument("--stream", type=int, default=0)
    parser.add_argument("--scored", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.scored is not None:
        scored(given.scored, given.images)
        return
    if given.stream:
        for images in (given.stream // 10, given.stream):
            seconds, megabytes = stream(images)
            print(f"{images} images: {seconds:.1f} s, {megabytes:.0f} MB at most")
        return
    reading = 0.0
    if given.truth is None or given.found is None:
        truth, found = draw(given.images, given.vertices)
    else:
        begun = time.process_time()
        truth = read_truth(given.truth, given.format)
        found = read_found(given.found, given.format)
        reading = time.process_time() - begun

    def ours() -> tuple[float, float]:
        outcome = FirstCome()(Scene.of(truth, found))
        return outcome.precision, outcome.recall

    fast, figures = timed(ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slow, plainly = timed(lambda: plain(truth, found))
    if figures != plainly:
        raise SystemExit(f"figures differ: {figures} and {plainly}")
    regions = sum(map(len, truth.values())) + sum(map(len, found.values()))
    print(f"{len(truth)} images, {regions} regions; P {figures[0]:.4f} R {figures[1]:.4f}")
    print(
        f"reading {reading:.3f} s, scoring {fast:.3f} s, plain loop {slow:.3f} s: {slow / fast:.1f}x"
    )


if __name__ == "__main__":
    main()
