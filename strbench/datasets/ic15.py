"""ICDAR 2015 Incidental Scene Text, Task 4.3 word recognition: 2,077 test words, and 1,811 of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, MMOCR, RRC, hub
from strbench.datasets.icdar import photographs, word_list
from strbench.datasets.labels import join_images, read_rows
from strbench.datasets.tree import Tree
from strbench.types import Sample

_TEST_WORDS = 2077
_TRAIN_WORDS = 4468
_SUBSET = "textrecog_test_1811.json"


def sample_id(path: str, split: str) -> str:
    """``word_1.png`` whatever folder it lies in; other names stay whole."""
    last = path.rpartition("/")[2]
    return last if re.fullmatch(r"word_\d+\.png", last) else path


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of the word crops with ``gt.txt`` or ``Challenge4_Test_Task3_GT.txt``.

    The 1,811 are the words that ``textrecog_test_1811.json`` lists: they were chosen by hand (no
    filter on the labels gives them; letters and digits only leaves 1,922), so without that list they
    cannot be made. With the full-image ground truth beside the crops each sample knows its
    photograph.
    """
    if split == "ic15_1811/test":
        return _subset(tree, split)
    if split == "ic15/train":
        found = word_list(tree, ["gt.txt"], _TRAIN_WORDS)
    else:
        found = word_list(tree, ["Challenge4_Test_Task3_GT.txt", "gt.txt"], _TEST_WORDS)
    if found is None:
        return None
    rows, images = found
    photos = photographs(tree, [row.text for row in rows])
    return (
        Sample(sample_id(image, split), tree.read(image), row.text, photo)
        for row, image, photo in zip(rows, images, photos, strict=True)
    )


def _subset(tree: Tree, split: str) -> Iterator[Sample] | None:
    lists = tree.named(_SUBSET)
    if not lists:
        return None
    listed = read_rows(tree.read(lists[0]), tree.place(lists[0]))
    whole = parse(tree, "ic15_2077/test")
    if whole is None:  # the official ground truth is absent: labels as the list has them
        images = join_images(tree, listed, lists[0])
        return (
            Sample(sample_id(image, split), tree.read(image), row.text)
            for row, image in zip(listed, images, strict=True)
        )
    ids = {sample_id(row.path, split) for row in listed}
    if len(ids) != len(listed):
        raise fault(f"{tree.place(lists[0])}: {len(listed)} entries name {len(ids)} images.")
    return (sample for sample in whole if sample.id in ids)


# MMOCR prints one MD5 (d7a71585f4cc69f89edbe534e7706d5d) for both files, so neither is enforced.
_TEST_IMAGES = Remote(
    file="ch4_test_word_images_gt.zip", urls=(RRC + "ch4_test_word_images_gt.zip",)
)
_TEST_LABELS = Remote(
    file="Challenge4_Test_Task3_GT.txt", urls=(RRC + "Challenge4_Test_Task3_GT.txt",)
)
_TEST_PHOTOS = Remote(
    file="Challenge4_Test_Task4_GT.zip",
    urls=(RRC + "Challenge4_Test_Task4_GT.zip",),
    md5=("8bce173b06d164b98c357b0eb96ef430",),
    note="tells which photograph a word is from",
)


SPEC = Spec(
    id="ic15",
    title="ICDAR 2015 Incidental Scene Text, words",
    splits=(
        SplitSpec(
            name="ic15/train",
            n=_TRAIN_WORDS,
            about="the official training words",
            folders=("ic15_train", "ic15_4468"),
        ),
        SplitSpec(
            name="ic15_1811/test",
            n=1811,
            about="without words that are turned, blurred or in strong perspective; ASTER, ABINet, "
            "PARSeq, DiG, OpenOCR",
            folders=("ic15_1811",),
        ),
        SplitSpec(
            name="ic15_2077/test",
            n=_TEST_WORDS,
            about="all official test words; clovaai, CCD, PARSeq's appendix",
            folders=("ic15_2077",),
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("ic15_1811/test",),
            files=(
                Remote(
                    file="IC15_1811/data.mdb",
                    urls=(
                        *hub("test/IC15_1811/data.mdb"),
                        DRIVE.format("1eGY0kXNV1qVxeUpoGzs-ioUO-ky7msH6"),
                    ),
                    sha256=("7126b4b9a7c1249d24ef444a431fc0688fe927344c7713d8aa9db93441eb9fa7",),
                    size=21_876_736,
                ),
            ),
        ),
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("ic15_2077/test",),
            files=(
                Remote(
                    file="IC15_2077/data.mdb",
                    urls=(
                        *hub("test/IC15_2077/data.mdb"),
                        DRIVE.format("1dFkY3DNbr-Mepn3TWBiA9COEJ63fGFcp"),
                    ),
                    sha256=("ade5485b80104daf2c9db6812e2da97a18705ebf67fe48738943f05767312bd8",),
                    size=25_763_840,
                ),
            ),
        ),
        Source(
            title="the competition's test words",
            access="direct",
            splits=("ic15_2077/test",),
            files=(_TEST_IMAGES, _TEST_LABELS),
            optional=(_TEST_PHOTOS,),
        ),
        Source(
            title="the competition's test words, MMOCR's list of 1,811",
            access="direct",
            splits=("ic15_1811/test",),
            files=(
                _TEST_IMAGES,
                _TEST_LABELS,
                Remote(
                    file=_SUBSET,
                    urls=(MMOCR + "1.x/recog/icdar_2015/textrecog_test_1811.json",),
                    md5=("8d218ef1c37540ea959e22eeabc79ae4",),
                ),
            ),
            optional=(_TEST_PHOTOS,),
        ),
        Source(
            title="the competition's training words",
            access="direct",
            splits=("ic15/train",),
            files=(
                Remote(
                    file="ch4_training_word_images_gt.zip",
                    urls=(RRC + "ch4_training_word_images_gt.zip",),
                    md5=("600caf8c6a64a3dcf638839820edcca9",),
                ),
            ),
        ),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=4&com=downloads", HUB_PAGE),
    licence="CC BY 4.0 (Robust Reading Competition, challenge 4; free registration)",
    paper="Karatzas et al.: ICDAR 2015 Competition on Robust Reading, ICDAR 2015",
    notes=(
        "1,811 is a list, not a filter: it comes from an LMDB or from textrecog_test_1811.json.",
        "21 of the 2,077 labels hold spaces and two are not ASCII (CAFÉ, Marché).",
        "The competition's site may ask for a login and then answers with a web page.",
        "MMOCR prints one MD5 for both the zip of test words and its ground truth; neither is "
        "enforced here.",
        "EXIF orientation must not be applied.",
    ),
    drop_in=(
        "ch4_test_word_images_gt.zip",
        "Challenge4_Test_Task3_GT.txt",
        "Challenge4_Test_Task4_GT.zip",
        _SUBSET,
        "ch4_training_word_images_gt.zip",
    ),
    parse=parse,
    sample_id=sample_id,
)
