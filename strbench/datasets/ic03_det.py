"""ICDAR 2003 Robust Reading, the trial test set: photographs with upright boxes of words."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.markup import read_tagset
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.joining import join_pages
from strbench.datasets.tree import Tree, stem
from strbench.types import Sample


def _key(path: str) -> str:
    """Folder and name without suffix, since names repeat between the photographers' folders."""
    folder, _, last = path.rpartition("/")
    return f"{folder.rpartition('/')[2]}/{stem(last)}"


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``ryoungt_05.08.2002/aPICT0034.JPG`` and the like with ``words.xml``."""
    names = tree.named("words.xml")
    if not names:
        return None
    place = tree.place(names[0])
    regions = {_key(m.name): m.regions for m in read_tagset(tree.read(names[0]), place)}
    return join_pages(tree, regions, place, part=split.partition("/")[2], key=_key)


ARCHIVE = Remote(
    file="SceneTrialTest.zip",
    urls=(),
    note="the folder SceneTrialTest with its photographs and words.xml, zipped",
)

SPEC = Spec(
    id="ic03_det",
    title="ICDAR 2003 Robust Reading, photographs",
    task="detection",
    raw="ic03",
    splits=(
        SplitSpec(
            name="ic03_det/test",
            n=249,
            about="boxes of 1,107 words, as TextProposals scores them",
            labels=("textproposals", "other"),
            counts={"textproposals": {"regions": 1107}},
        ),
    ),
    sources=(
        Source(
            title="the trial test set of the competition",
            access="manual",
            splits=("ic03_det/test",),
            labels="textproposals",
            files=(ARCHIVE,),
        ),
    ),
    pages=(
        "http://www.iapr-tc11.org/mediawiki/index.php/ICDAR_2003_Robust_Reading_Competitions",
        "https://github.com/lluisgomez/TextProposals",
    ),
    licence="not known",
    paper="Lucas et al.: ICDAR 2003 Robust Reading Competitions, ICDAR 2003",
    notes=(
        "The counts are those of the words.xml that TextProposals publishes.",
        "The tags offset and rotation are the annotators': boxes are taken as upright.",
    ),
    drop_in=("words.xml",),
    parse=parse,
)
