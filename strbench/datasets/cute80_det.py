"""CUTE80, photographs: polygons of curved text lines, without their texts."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.markup import read_tagset
from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.pages import numbered
from strbench.datasets.tree import Tree
from strbench.types import Sample

_N = 80


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``image001.jpg`` to ``image080.jpg`` with ``GroundTruth.xml``.

    The XML describes 192 images. Those that are not among the 80 are no samples; of two that differ
    in the case of their names alone the one that is called exactly like the photograph is meant. Every
    text is the word "test" and is left out.
    """
    lists = tree.named("GroundTruth.xml")
    images = numbered(tree, r"(image\d{3})\.(?:jpg|jpeg|png)", _N, split=split)
    if not lists or images is None:
        return None
    place = tree.place(lists[0])
    marked = {entry.name: entry.regions for entry in read_tagset(tree.read(lists[0]), place)}
    folded = {name.lower(): regions for name, regions in reversed(marked.items())}

    def samples() -> Iterator[Sample]:
        for key, image in images.items():
            name = image.rpartition("/")[2]
            regions = marked.get(name, folded.get(name.lower()))
            if regions is None:
                raise fault(f"{place}: expected an image called {name}, found none.")
            yield Sample(
                key, tree.read(image), regions=tuple(r._replace(text=None) for r in regions)
            )

    return samples()


_COMMIT = "8eb193d1b711306df734d1c636cbc857deed4b42"

SPEC = Spec(
    id="cute80_det",
    title="CUTE80, photographs",
    task="detection",
    splits=(
        SplitSpec(
            name="cute80_det/test",
            n=_N,
            about="polygons of text lines, no texts",
            labels=("official",),
        ),
    ),
    sources=(
        Source(
            title="a copy on GitHub",
            access="direct",
            splits=("cute80_det/test",),
            labels="official",
            files=(
                Remote(
                    file=f"Cute80-Dataset-{_COMMIT}.zip",
                    urls=(
                        f"https://github.com/mohtashim-nawaz/Cute80-Dataset/archive/{_COMMIT}.zip",
                    ),
                    note="archives of GitHub are packed anew and have no lasting checksum",
                ),
            ),
        ),
    ),
    pages=("http://cs-chan.com/downloads_CUTE80_dataset.html",),
    licence="none stated by the authors (University of Malaya; for research)",
    paper="Risnumawan, Shivakumara, Chan, Tan: A Robust Arbitrary Text Detection System for Natural "
    "Scene Images, Expert Systems with Applications 2014",
    notes=(
        "GroundTruth.xml has 192 images and 466 polygons, with the text 'test' throughout (counted).",
        "The 288 words of cute80/test are another annotation.",
    ),
    drop_in=("GroundTruth.xml",),
    parse=parse,
)
