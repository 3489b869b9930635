"""ICDAR 2013 Focused Scene Text, Task 2.3 word recognition: 1,095 test words and two subsets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, RRC, hub
from strbench.datasets.icdar import photographs, word_list
from strbench.datasets.tree import Tree
from strbench.types import Sample

_TEST_WORDS = 1095
_TRAIN_WORDS = 848
# Shortest label of each test set; 0: every label stays. The rule was checked by count on the public
# ground truth (1,095 -> 1,015 -> 857), not by membership in the published lists.
_SHORTEST = {"ic13_1095/test": 0, "ic13_1015/test": 1, "ic13_857/test": 3}


def keeps(split: str, label: str) -> bool:
    """Whether a test word belongs to a subset: letters and digits only, and long enough.

    >>> [keeps("ic13_857/test", label) for label in ("kills", "10,000", "UK")]
    [True, False, False]
    """
    shortest = _SHORTEST[split]
    plain = re.fullmatch(r"[0-9A-Za-z]+", label) is not None
    return not shortest or (plain and len(label) >= shortest)


def sample_id(path: str, split: str) -> str:
    """``word_1.png`` whatever folder it lies in; other names stay whole."""
    last = path.rpartition("/")[2]
    return last if re.fullmatch(r"word_\d+\.png", last) else path


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of the Task 3 word crops with ``gt.txt`` or ``Challenge2_Test_Task3_GT.txt``.

    With the Task 1 ground truth beside them each sample knows its photograph.
    """
    if split == "ic13/train":
        found = word_list(tree, ["gt.txt"], _TRAIN_WORDS)
    else:
        found = word_list(tree, ["Challenge2_Test_Task3_GT.txt", "gt.txt"], _TEST_WORDS)
    if found is None:
        return None
    rows, images = found
    photos = photographs(tree, [row.text for row in rows])
    return (
        Sample(sample_id(image, split), tree.read(image), row.text, photo)
        for row, image, photo in zip(rows, images, photos, strict=True)
        if split == "ic13/train" or keeps(split, row.text)
    )


_TESTS = ("ic13_857/test", "ic13_1015/test", "ic13_1095/test")

SPEC = Spec(
    id="ic13",
    title="ICDAR 2013 Focused Scene Text, words",
    splits=(
        SplitSpec(
            name="ic13/train",
            n=_TRAIN_WORDS,
            about="the official training words",
            folders=("ic13_train", "ic13_848"),
        ),
        SplitSpec(
            name="ic13_857/test",
            n=857,
            about="letters and digits only, three or more; ASTER, ABINet, PARSeq, OpenOCR",
            folders=("ic13_857", "ic13_857_test"),
        ),
        SplitSpec(
            name="ic13_1015/test",
            n=1015,
            about="letters and digits only; clovaai, SATRN, DiG",
            folders=("ic13_1015",),
        ),
        SplitSpec(
            name="ic13_1095/test",
            n=_TEST_WORDS,
            about="all official test words; PARSeq's appendix",
            folders=("ic13_1095",),
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("ic13_857/test",),
            files=(
                Remote(
                    file="IC13_857/data.mdb",
                    urls=(
                        *hub("test/IC13_857/data.mdb"),
                        DRIVE.format("1-wMHOFBXJaOaY-UD00nDn6qw2s_8R4Vd"),
                    ),
                    sha256=("3b335be7df7ac0684bb4de95b0119a22bbed21647e47c12f1d060b5dc83107c2",),
                    size=75_132_928,
                ),
            ),
        ),
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("ic13_1015/test",),
            files=(
                Remote(
                    file="IC13_1015/data.mdb",
                    urls=(
                        *hub("test/IC13_1015/data.mdb"),
                        DRIVE.format("1mbsfuvWB282HYfn9tbqcj1nUDkLXcSNB"),
                    ),
                    sha256=("06e72913455d75a8adeb03f007646da6f1e34bcf4a9918b5f9ae1766572cbebb",),
                    size=79_794_176,
                ),
            ),
        ),
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("ic13_1095/test",),
            files=(
                Remote(
                    file="IC13_1095/data.mdb",
                    urls=(
                        *hub("test/IC13_1095/data.mdb"),
                        DRIVE.format("1fu8onMt3Z6fDLNAiHcm-sQ2qCXduE-FU"),
                    ),
                    sha256=("a87a58840d0d48d733a942800eee2bb0f33eccda22b3bd236b30777da1bd28bf",),
                    size=85_061_632,
                ),
            ),
        ),
        Source(
            title="the competition's test words",
            access="direct",
            splits=_TESTS,
            files=(
                Remote(
                    file="Challenge2_Test_Task3_Images.zip",
                    urls=(RRC + "Challenge2_Test_Task3_Images.zip",),
                    md5=("3206778eebb3a5c5cc15c249010bf77f",),
                ),
                Remote(
                    file="Challenge2_Test_Task3_GT.txt",
                    urls=(RRC + "Challenge2_Test_Task3_GT.txt",),
                    md5=("2634060ed8fe6e7a4a9b8d68785835a1",),
                ),
            ),
            optional=(
                Remote(
                    file="Challenge2_Test_Task1_GT.zip",
                    urls=(RRC + "Challenge2_Test_Task1_GT.zip",),
                    md5=("3191c34cd6ac28b60f5a7db7030190fb",),
                    note="tells which photograph a word is from",
                ),
            ),
        ),
        Source(
            title="the competition's training words",
            access="direct",
            splits=("ic13/train",),
            files=(
                Remote(
                    file="Challenge2_Training_Task3_Images_GT.zip",
                    urls=(RRC + "Challenge2_Training_Task3_Images_GT.zip",),
                    md5=("6f0dbc823645968030878df7543f40a4",),
                ),
            ),
        ),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=2&com=downloads", HUB_PAGE),
    licence="terms of the Robust Reading Competition (for research; free registration)",
    paper="Karatzas et al.: ICDAR 2013 Robust Reading Competition, ICDAR 2013",
    notes=(
        "The competition's site may ask for a login and then answers with a web page.",
        "1,015 and 857 follow from 1,095 by rule; the counts were checked, the membership in the "
        "published lists was not.",
        "The end-to-end ground truth in circulation is another set (1,637 boxes, 917 legible).",
    ),
    drop_in=(
        "Challenge2_Test_Task3_Images.zip",
        "Challenge2_Test_Task3_GT.txt",
        "Challenge2_Test_Task1_GT.zip",
        "Challenge2_Training_Task3_Images_GT.zip",
    ),
    parse=parse,
    sample_id=sample_id,
)
