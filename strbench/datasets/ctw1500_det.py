"""SCUT-CTW1500, photographs: polygons of text lines, and of words in a later annotation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from strbench.annotations.curves import read_ctw1500, read_ctw1500_xml
from strbench.datasets import Lexicons, Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import ADELAIDE, DRIVE, GITHUB
from strbench.datasets.lexicons import word_lists
from strbench.datasets.pages import numbered, page_samples
from strbench.datasets.tree import Tree
from strbench.types import Sample

_TRAIN, _TEST, _WORDS = "ctw1500_det/train", "ctw1500_det/test", "ctw1500_words_det/test"
_N = {_TRAIN: 1000, _TEST: 500, _WORDS: 500}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``0001.jpg`` with ``0001.xml``, and of ``1001.jpg`` with ``1001.txt``.

    Newer text files are called ``0001001.txt``. Those of the words lie in a folder or archive that
    says so.
    """
    is_train = split == _TRAIN
    numbers = r"(0\d{3}|1000)" if is_train else r"(1\d{3})"
    images = numbered(tree, numbers + r"\.(?:jpg|jpeg|png)", _N[split], split=split)
    if is_train:
        labels, read = numbered(tree, numbers + r"\.xml", _N[split], split=split), read_ctw1500_xml
    else:
        files = {k: file for k, file in tree.files.items() if ("word" in k) == (split == _WORDS)}
        chosen = replace(tree, files=files)
        if split == _WORDS and not any(name.endswith(".txt") for name in files):
            chosen = tree  # named alone, it need not say what it is
        labels = numbered(chosen, "(?:000)?" + numbers + r"\.txt", _N[split], split=split)
        read = read_ctw1500
    if images is None or labels is None:
        return None
    return page_samples(tree, images, labels, read)


def lexicons(tree: Tree, split: str) -> Lexicons:
    """The legible lines of the test set, in their order; one of the 2,688 is empty and left out."""
    return word_lists(tree, full=r"ctw1500_lexicon\.txt") if split == _TEST else {}


_VIMTS = GITHUB + "Yuliang-Liu/VimTS/929dacbee21f5be22eb2091360933da4d3fba122/evaluation/"
_IMAGES = Remote(
    file="test_images.zip",
    urls=(ADELAIDE + "t4w48ofnqkdw7jyc4t11nsukoeqk9c3d.zip",),
    md5=("79103fd77dfdd2c70ae6feb3a2fb4530",),
)
_LEXICON = Remote(
    file="ctw1500_lexicon.txt",
    urls=(_VIMTS + "lexicons/ctw1500/ctw1500_lexicon.txt",),
    sha256=("eafa3da921f823a7433e45c0a1acc926176b5211edce327f41b3ba9fb2a19003",),
    size=30_053,
    note="holds the full lexicon",
)

SPEC = Spec(
    id="ctw1500_det",
    title="SCUT-CTW1500, photographs",
    task="detection",
    raw="ctw1500",
    splits=(
        SplitSpec(
            name=_TRAIN,
            n=1000,
            about="14 vertices a text line",
            labels=("official",),
        ),
        SplitSpec(
            name=_TEST,
            n=500,
            about="14 vertices a text line; 2,688 of 3,075 legible in the version with texts",
            labels=("texts", "detection", "first"),
            counts={
                "texts": {"regions": 3075, "ignored": 387},
                "detection": {"regions": 3075, "ignored": 0},
                "first": {"regions": 3068, "ignored": 0},
            },
        ),
        SplitSpec(
            name=_WORDS,
            n=500,
            about="the same photographs, annotated by word for VimTS; 4,915 of 5,698 legible",
            labels=("vimts",),
            counts={"vimts": {"regions": 5698, "ignored": 783}},
        ),
    ),
    sources=(
        Source(
            title="the authors' training set",
            access="direct",
            splits=(_TRAIN,),
            labels="official",
            files=(
                Remote(
                    file="train_images.zip",
                    urls=(ADELAIDE + "py5uwlfyyytbb2pxzq9czvu6fuqbjdh8.zip",),
                    md5=("f1453464b764343040644464d5c0c4fa",),
                ),
                Remote(
                    file="ctw1500_train_labels.zip",
                    urls=(ADELAIDE + "jikuazluzyj4lq6umzei7m2ppmt3afyw.zip",),
                    md5=("d9ba721b25be95c2d78aeb54f812a5b1",),
                ),
            ),
        ),
        Source(
            title="the ground truth with texts",
            access="direct",
            splits=(_TEST,),
            labels="texts",
            files=(
                _IMAGES,
                Remote(
                    file="gt_ctw1500.zip",
                    urls=(
                        _VIMTS + "gt_ctw1500.zip",
                        ADELAIDE + "ys234cg1rtgke051hu33lbm5ri0bvxr0.zip",
                        DRIVE.format("1ntlnlnQHZisDoS_bgDvrcrYFomw9iTZ0"),
                    ),
                    sha256=("3752b6f23c85ebfeb144a9ef2e2e2cd7a57a548e6d3aef268a0e910b2eb89e48",),
                    size=215_789,
                ),
            ),
            optional=(_LEXICON,),
        ),
        Source(
            title="DAVAR's ground truth, no texts and nothing ignored",
            access="direct",
            splits=(_TEST,),
            labels="detection",
            files=(
                _IMAGES,
                Remote(
                    file="gt_ctw1500_det.zip",
                    urls=(
                        GITHUB + "hikopensource/DAVAR-Lab-OCR/"
                        "531fb503e01ae25a16224b5811cd7d813a263168/demo/text_detection/evaluation/gt/"
                        "gt_ctw1500_det.zip",
                    ),
                    sha256=("ff62bebe2d42d0e505bceb5eff8a8350f503bbdedd9052f315d284d4b2cac19f",),
                    size=216_176,
                ),
            ),
        ),
        Source(
            title="the first ground truth, as in TIoU-metric",
            access="direct",
            splits=(_TEST,),
            labels="first",
            files=(
                _IMAGES,
                Remote(
                    file="ctw1500-gt.zip",
                    urls=(
                        GITHUB + "Yuliang-Liu/TIoU-metric/"
                        "1da136386e2d25943d90182345def587fc5a1762/curved-tiou/ctw1500-gt.zip",
                    ),
                    sha256=("e721abc2aca9e0444451281a3de78d739fb2a76a5ef73beda2ba84f5e9919e6f",),
                    size=230_224,
                ),
            ),
        ),
        Source(
            title="VimTS's words",
            access="direct",
            splits=(_WORDS,),
            labels="vimts",
            files=(
                _IMAGES,
                Remote(
                    file="gt_ctw1500_word.zip",
                    urls=(_VIMTS + "gt_ctw1500_word.zip",),
                    sha256=("c93f48f99d11eb3d5acc8618ec9b5001a69277ee905184ee7c1c26af33011cbf",),
                    size=342_143,
                ),
            ),
        ),
    ),
    pages=("https://github.com/Yuliang-Liu/Curve-Text-Detector",),
    licence="for non-commercial research",
    paper="Liu, Jin, Zhang, Luo, Zhang: Curved Scene Text Detection via Transverse and Longitudinal "
    "Sequence Connection, Pattern Recognition 2019",
    notes=(
        "Every polygon of the test lines runs counter-clockwise on screen, along its lower edge first "
        "(counted: 3,075 of 3,075, and 3,068 of 3,068); here they are clockwise.",
        "Texts of 23 test lines hold commas; MMOCR loses what follows the first.",
        "Chinese text is ignored (###). Lines hold spaces.",
        "gt_ctw1500_det_with_ignore.zip of DAVAR has the counts of the version with texts and none of "
        "its texts.",
        "The training set of ArT holds 1,498 photographs of CTW1500, test photographs among them.",
    ),
    drop_in=(
        "train_images.zip",
        "ctw1500_train_labels.zip",
        "test_images.zip",
        "gt_ctw1500.zip",
        "gt_ctw1500_det.zip",
        "gt_ctw1500_det_with_ignore.zip",
        "gt_ctw1500_word.zip",
        "ctw1500-gt.zip",
        "ctw1500_lexicon.txt",
    ),
    parse=parse,
    lexicons=lexicons,
)
