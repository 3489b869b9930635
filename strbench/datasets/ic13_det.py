"""ICDAR 2013 Focused Scene Text, Tasks 2.1 and 2.4: photographs with upright boxes and texts.

The test photographs have several ground truths; each is a label variant, told by its counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.annotations.boxes import read_boxes
from strbench.datasets import Lexicons, Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import GITHUB, MMOCR, RRC
from strbench.datasets.lexicons import word_lists
from strbench.datasets.pages import numbered, page_samples
from strbench.datasets.tree import Tree
from strbench.types import Region, Sample

_TRAIN, _TEST = 229, 233
_TURNED = ("ic13_det_45/test", "ic13_det_60/test")  # degrees, counter-clockwise on screen
# Task 1 rows: four numbers and a quoted text; all other copies have eight numbers and a bare text.
_FOUR_NUMBERS = re.compile(r'\s*(?:-?\d+[ ,]+){4}"')


def read_truth(data: bytes, place: str) -> list[Region]:
    """The regions of one photograph, from a file of Task 1 or of any other copy.

    Raises:
        StrbenchError: as ``read_boxes``.
    """
    first = data.decode("utf-8-sig", errors="replace").lstrip()
    return read_boxes(data, place, layout="ltrb" if _FOUR_NUMBERS.match(first) else "quad")


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``100.jpg`` with ``gt_100.txt`` (train), ``img_1.jpg`` with ``gt_img_1.txt`` (test)."""
    n, name = (_TRAIN, r"\d+") if split == "ic13_det/train" else (_TEST, r"img_\d+")
    labels = numbered(tree, rf"gt_({name})\.txt", n, split=split)
    images = numbered(tree, rf"({name})\.(?:jpg|jpeg|png)", n, split=split)
    if labels is None or images is None:
        return None
    return page_samples(tree, images, labels, read_truth)


def lexicons(tree: Tree, split: str) -> Lexicons:
    """The strong (100 words a photograph), weak (all test words) and generic (90k) vocabularies."""
    if split == "ic13_det/train":
        return {}
    return word_lists(
        tree,
        strong=r"voc_(img_\d+)\.txt",
        weak=r"ch2_test_vocabulary(?:_new)?\.txt",
        generic=r"GenericVocabulary(?:_new)?\.txt",
    )


_DAVAR = (
    GITHUB + "hikopensource/DAVAR-Lab-OCR/531fb503e01ae25a16224b5811cd7d813a263168/"
    "demo/text_spotting/evaluation/"
)
_MTS = (
    GITHUB + "MhLiao/MaskTextSpotterV3/a7ca9401640f5a59b50517e07d23b8dbe8403f2c/"
    "evaluation/rotated_icdar2013/gt/"
)
_CLEVAL = GITHUB + "clovaai/CLEval/513623c4a5833bebf61ae90da205f40ec6cf22d7/resources/gt/"

_TEST_IMAGES = Remote(
    file="Challenge2_Test_Task12_Images.zip",
    urls=(RRC + "Challenge2_Test_Task12_Images.zip",),
    md5=("af2e9f070c4c6a1c7bdb7b36bacf23e3",),
)
_VOCABULARIES = (
    Remote(
        file="strong_lexicon.zip",
        urls=(_DAVAR + "lexicons/icdar2013/strong_lexicon.zip",),
        sha256=("9c5af889fe286278a72b9a819dfec0f682674361bff866f44f87dacb82c82a18",),
        size=141_853,
        note="holds the strong vocabularies",
    ),
    Remote(
        file="ch2_test_vocabulary.txt",
        urls=(_DAVAR + "lexicons/icdar2013/ch2_test_vocabulary.txt",),
        sha256=("be515bbf60a2826358ba5026a9bbd247dc575325fadbbcdc8e1752a8c8779d37",),
        size=4592,
        note="is the weak vocabulary",
    ),
    Remote(
        file="GenericVocabulary.txt",
        urls=(_DAVAR + "lexicons/icdar2013/GenericVocabulary.txt",),
        sha256=("69145ba0183cd191ed47141ae43923ffc1ed4f54a29231bb74469099e9bed955",),
        size=813_051,
        note="is the generic vocabulary",
    ),
)


def _mask_text_spotter(file: str, sha256: str, size: int) -> Remote:
    return Remote(file=file, urls=(_MTS + file,), sha256=(sha256,), size=size)


def _turned(degrees: int, truth: Remote) -> Source:
    images = Remote(
        file=f"rotated_test_images_{degrees}.zip",
        urls=(),
        note=f"the folder icdar2013/rotated_test_images_{degrees} of Mask TextSpotter v3's data, "
        "zipped",
    )
    return Source(
        title="Mask TextSpotter v3",
        access="manual",
        splits=(f"ic13_det_{degrees}/test",),
        labels="masktextspotter",
        files=(images, truth),
    )


_OF_MTS = {"masktextspotter": {"regions": 1080, "ignored": 0}}

SPEC = Spec(
    id="ic13_det",
    title="ICDAR 2013 Focused Scene Text, photographs",
    task="detection",
    raw="ic13",
    splits=(
        SplitSpec(
            name="ic13_det/train",
            n=_TRAIN,
            about="boxes of 849 words",
            labels=("task1",),
            counts={"task1": {"regions": 849}},
        ),
        SplitSpec(
            name="ic13_det/test",
            n=_TEST,
            about="boxes of 1,095 words (task1), 917 legible of 1,637 (e2e), or 1,080 "
            "(masktextspotter)",
            labels=("task1", "e2e", "masktextspotter"),
            counts={
                "task1": {"regions": 1095, "ignored": 0},
                "e2e": {"regions": 1637, "ignored": 720},
                **_OF_MTS,
            },
        ),
        SplitSpec(
            name=_TURNED[0],
            n=_TEST,
            about="the test photographs turned by 45 degrees, counter-clockwise",
            labels=("masktextspotter",),
            counts=_OF_MTS,
        ),
        SplitSpec(
            name=_TURNED[1],
            n=_TEST,
            about="the test photographs turned by 60 degrees, counter-clockwise",
            labels=("masktextspotter",),
            counts=_OF_MTS,
        ),
    ),
    sources=(
        Source(
            title="the competition's test set",
            access="direct",
            splits=("ic13_det/test",),
            labels="task1",
            files=(
                _TEST_IMAGES,
                Remote(
                    file="Challenge2_Test_Task1_GT.zip",
                    urls=(RRC + "Challenge2_Test_Task1_GT.zip",),
                    md5=("3191c34cd6ac28b60f5a7db7030190fb",),
                ),
            ),
        ),
        Source(
            title="the competition's photographs, ground truth of CLEval",
            access="direct",
            splits=("ic13_det/test",),
            labels="task1",
            files=(
                _TEST_IMAGES,
                Remote(
                    file="gt_IC13.zip",
                    urls=(_CLEVAL + "gt_IC13.zip",),
                    sha256=("4838730d0a5277781d27d7f3a17cef5992a41e3c9ab37665b8cfdcb59c183751",),
                    size=65_169,
                ),
            ),
        ),
        Source(
            title="the competition's photographs, end-to-end ground truth of DAVAR-Lab",
            access="direct",
            splits=("ic13_det/test",),
            labels="e2e",
            files=(
                _TEST_IMAGES,
                Remote(
                    file="gt-icdar2013.zip",
                    urls=(_DAVAR + "gts/gt-icdar2013.zip",),
                    sha256=("9ee60e0047da4a8b79978b2150f005f6c937bffe2e4a4a23d876c0ce95197e7a",),
                    size=63_717,
                ),
            ),
            optional=_VOCABULARIES,
        ),
        Source(
            title="the competition's photographs, end-to-end ground truth of MMOCR",
            access="direct",
            splits=("ic13_det/test",),
            labels="e2e",
            files=(
                _TEST_IMAGES,
                Remote(
                    file="ic13_textspotting_test_gt.zip",
                    urls=(MMOCR + "1.x/textspotting/icdar2013/ic13_textspotting_test_gt.zip",),
                    md5=("d0d95e800504795d153f4f21d4d8ce07",),
                ),
            ),
            optional=(
                Remote(
                    file="lexicons.zip",
                    urls=(MMOCR + "1.x/textspotting/icdar2013/lexicons.zip",),
                    md5=("4ba017ab0637dae7a66fa471ac0a3253",),
                    note="holds the strong, weak and generic vocabularies",
                ),
            ),
        ),
        Source(
            title="the competition's photographs, ground truth of Mask TextSpotter v3",
            access="direct",
            splits=("ic13_det/test",),
            labels="masktextspotter",
            files=(
                _TEST_IMAGES,
                _mask_text_spotter(
                    "gt_0.zip",
                    "ba0edb5e3e6d5bce3f75e2e6e738845d5f06bdc16720541c5f83f50539b0dac3",
                    59_620,
                ),
            ),
        ),
        _turned(
            45,
            _mask_text_spotter(
                "gt_45.zip",
                "af3ae8946018d6779baee803127dd29487dc65be0fbda1b4e10f4b500533d5f7",
                65_164,
            ),
        ),
        _turned(
            60,
            _mask_text_spotter(
                "gt_60.zip",
                "e44c9af05dc80ae317afdd7c300744ec8599f307e276f457b142d9256b621b09",
                65_179,
            ),
        ),
        Source(
            title="the competition's training set",
            access="direct",
            splits=("ic13_det/train",),
            labels="task1",
            files=(
                Remote(
                    file="Challenge2_Training_Task12_Images.zip",
                    urls=(RRC + "Challenge2_Training_Task12_Images.zip",),
                    md5=("a443b9649fda4229c9bc52751bad08fb",),
                ),
                Remote(
                    file="Challenge2_Training_Task1_GT.zip",
                    urls=(RRC + "Challenge2_Training_Task1_GT.zip",),
                    md5=("f3a425284a66cd67f455d389c972cce4",),
                ),
            ),
        ),
    ),
    pages=(
        "https://rrc.cvc.uab.es/?ch=2&com=downloads",
        "https://github.com/MhLiao/MaskTextSpotterV3",
    ),
    licence="terms of the Robust Reading Competition (for research; free registration)",
    paper="Karatzas et al.: ICDAR 2013 Robust Reading Competition, ICDAR 2013",
    notes=(
        "Texts keep their commas and quotes; MMOCR's reader takes them out (10,000 becomes 10000).",
        "e2e ignores what is not legible; masktextspotter holds words of letters and digits only, "
        "with other signs taken out of the texts.",
        "The competition's site may ask for a login and then answers with a web page.",
        "The training photographs hold 849 boxes, one more than the recognition task has words.",
    ),
    drop_in=(
        "Challenge2_Test_Task12_Images.zip",
        "Challenge2_Test_Task1_GT.zip",
        "Challenge2_Training_Task12_Images.zip",
        "Challenge2_Training_Task1_GT.zip",
        "gt-icdar2013.zip",
        "gt_IC13.zip",
        "gt_0.zip",
        "gt_45.zip",
        "gt_60.zip",
        "ic13_textspotting_test_gt.zip",
        "strong_lexicon.zip",
        "lexicons.zip",
    ),
    parse=parse,
    lexicons=lexicons,
)
