"""SynthText, whole pictures: words drawn into photographs, with boxes of words and characters."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.tree import Tree
from strbench.types import Region, Sample


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``gt.mat`` and the folders ``1`` to ``200`` beside it, in its order.

    Ids are ``8/ballet_106_0``. Pictures and annotation are read one at a time.
    """
    from strbench.annotations.matlab import read_synthtext

    lists = tree.named("gt.mat")
    if not lists:
        return None
    folder = lists[0].rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    return _samples(tree, prefix, read_synthtext(tree.files[lists[0]]))


def _samples(
    tree: Tree, prefix: str, pictures: Iterator[tuple[str, tuple[Region, ...]]]
) -> Iterator[Sample]:
    for name, regions in pictures:
        if prefix + name not in tree.files:
            raise fault(
                f"{tree.shown}: {prefix}{name} of gt.mat is missing.",
                "Bring SynthText.zip as it is, or the whole folder SynthText.",
            )
        yield Sample(name.rpartition(".")[0], tree.read(prefix + name), regions=regions)


ARCHIVE = Remote(
    file="SynthText.zip",
    urls=("https://thor.robots.ox.ac.uk/~vgg/data/scenetext/SynthText.zip",),
    sha256=("28ab030485ec8df3ed612c568dd71fb2793b9afbfa3a9d9c6e792aef33265bf1",),
    md5=("8ae0309c80ff882f9d6ba5ea62cdb556",),
    note="about 41 GB; read without being unpacked",
)

SPEC = Spec(
    id="synthtext_det",
    title="SynthText, whole pictures",
    task="detection",
    raw="synthtext",
    splits=(
        SplitSpec(
            name="synthtext_det/train",
            n=858_750,
            about="quadrilaterals of 7.3 million words and of their characters",
            labels=("official",),
        ),
    ),
    sources=(
        Source(
            title="the authors' archive",
            access="direct",
            splits=("synthtext_det/train",),
            labels="official",
            files=(ARCHIVE,),
        ),
    ),
    pages=("https://www.robots.ox.ac.uk/~vgg/data/scenetext/",),
    licence="for non-commercial research and education (VGG, University of Oxford)",
    paper="Gupta, Vedaldi, Zisserman: Synthetic Data for Text Localisation in Natural Images, "
    "CVPR 2016",
    notes=(
        "Boxes run from the upper left corner of the upright text; where the text is upside down or "
        "mirrored the vertices are turned clockwise and the original order is kept.",
        "docTR leaves out the pictures 67/fruits_129_* and 194/window_19_*. Here a picture whose texts "
        "are not as many as its boxes keeps its boxes, without texts.",
        "gt.mat is read cell by cell, so that memory does not grow with it.",
    ),
    drop_in=("SynthText.zip", "gt.mat"),
    parse=parse,
)
