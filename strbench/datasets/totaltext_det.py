"""Total-Text, photographs: polygons of words, curved ones above all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from strbench.annotations.boxes import read_boxes
from strbench.annotations.curves import read_totaltext
from strbench.datasets import Lexicons, Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import ADELAIDE, DRIVE, GITHUB
from strbench.datasets.lexicons import word_lists
from strbench.datasets.pages import Reader, numbered, page_samples
from strbench.datasets.tree import Tree
from strbench.types import Region, Sample

_TEST, _TRAIN, _REFINED = (
    "totaltext_det/test",
    "totaltext_det/train",
    "totaltext_refined_det/train",
)
_N = {_TEST: 300, _TRAIN: 1255, _REFINED: 1255}
_NEW = "tt_new"  # in the path of the refined training set's files


def _read_text(data: bytes, place: str) -> list[Region]:
    """The authors' records, or the rows of a copy under the authors' file names."""
    if data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"x:"):
        return read_totaltext(data, place)
    return read_boxes(data, place, layout="polygon")


def _read_mat(data: bytes, place: str) -> list[Region]:
    from strbench.annotations.matlab import read_totaltext_mat

    return read_totaltext_mat(data, place)


_READERS: dict[str, Reader] = {
    r"poly_gt_(img\d+)\.txt": _read_text,  # the authors, TIoU-metric, DAVAR
    r"gt_(img\d+)\.txt": partial(read_boxes, layout="polygon"),  # MaskTextSpotter, CLEval
    r"poly_gt_(img\d+)\.mat": _read_mat,
}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``imgN.jpg`` with the authors' ground truth or one of its copies.

    AdelaiDet's copy has its files numbered in the order of the photographs' names, where img10 comes
    before img2.
    """
    files = {name: file for name, file in tree.files.items() if _belongs(name, split)}
    kept = replace(tree, files=files)
    # pixel masks are called like the photographs
    shown = {name: file for name, file in files.items() if "groundtruth" not in name.lower()}
    images = numbered(
        replace(tree, files=shown), r"(img\d+)\.(?:jpg|jpeg|png)", _N[split], split=split
    )
    if images is None:
        return None
    for pattern, read in _READERS.items():
        if labels := numbered(kept, pattern, _N[split], split=split):
            return page_samples(tree, images, labels, read)
    renumbered = numbered(kept, r"(\d{7})\.txt", _N[split], split=split)
    if renumbered is None or len(renumbered) != len(images):
        return None
    labels = dict(zip(sorted(images), renumbered.values(), strict=True))
    return page_samples(tree, images, labels, partial(read_boxes, layout="polygon"))


def _belongs(name: str, split: str) -> bool:
    is_annotation = name.lower().endswith((".mat", ".txt"))
    return not is_annotation or (_NEW in name.lower()) == (split == _REFINED)


def lexicons(tree: Tree, split: str) -> Lexicons:
    """The full lexicon (1,500 words), and all 2,214 words of the test set in their order."""
    if split != _TEST:
        return {}
    return word_lists(
        tree, full=r"(?:weak_voc(?:_new)?|full_lexicons)\.txt", words=r"tt_lexicon\.txt"
    )


_IMAGES = Remote(
    file="totaltext_images.zip",
    urls=(
        ADELAIDE + "8xro7hnvb0sqw5e5rxm73tryc59j6s43.zip",
        DRIVE.format("1bC68CzsSVTusZVvOkk7imSZSbgD1MqK2"),
    ),
    md5=("5b56d71a4005a333cf200ff35ce87f75",),
    note="441 MB; train and test",
)
_VIMTS = GITHUB + "Yuliang-Liu/VimTS/929dacbee21f5be22eb2091360933da4d3fba122/evaluation/"
_LEXICONS = (
    Remote(
        file="weak_voc_new.txt",
        urls=(_VIMTS + "lexicons/totaltext/weak_voc_new.txt",),
        sha256=("0334441e6cc917736e9ce49075ef05eec54b42a699451c090729e4d35e5bdf69",),
        size=10_140,
        note="holds the full lexicon",
    ),
    Remote(
        file="tt_lexicon.txt",
        urls=(_VIMTS + "lexicons/totaltext/tt_lexicon.txt",),
        sha256=("5747be957e8f630aa31e57b43b0b37a2f0b005c8bb84801cfc2fe3fd468dfdac",),
        size=14_311,
        note="holds the test words",
    ),
)


def _copy(title: str, labels: str, file: str, url: str, sha256: str, size: int) -> Source:
    truth = Remote(file=file, urls=(GITHUB + url,), sha256=(sha256,), size=size)
    return Source(
        title=title,
        access="direct",
        splits=(_TEST,),
        labels=labels,
        files=(_IMAGES, truth),
        optional=_LEXICONS,
    )


_TXT = Remote(
    file="totaltext_txt.zip",
    urls=(
        ADELAIDE + "2vmpvjb48pcrszeegx2eznzc4izan4zf.zip",
        DRIVE.format("1v-pd-74EkZ3dWe6k0qppRtetjdPQ3ms1"),
    ),
    md5=("53377a83420b4a0244304467512134e8",),
)

SPEC = Spec(
    id="totaltext_det",
    title="Total-Text, photographs",
    task="detection",
    raw="totaltext",
    splits=(
        SplitSpec(
            name=_TRAIN,
            n=1255,
            about="polygons of words",
            labels=("official",),
        ),
        SplitSpec(
            name=_REFINED,
            n=1255,
            about="the same photographs, annotated anew by the authors (TT_new_train_GT)",
            labels=("official",),
        ),
        SplitSpec(
            name=_TEST,
            n=300,
            about="polygons of words; 2,214 or 2,215 legible, by version of the ground truth",
            labels=("official", "cleval", "adelaidet", "davar", "tiou", "masktextspotter"),
            counts={
                "cleval": {"regions": 2548, "ignored": 333},
                "adelaidet": {"regions": 2542, "ignored": 328},
                "davar": {"regions": 2543, "ignored": 328},
                "tiou": {"regions": 2545, "ignored": 331},
                "masktextspotter": {"regions": 2215, "ignored": 0},
            },
        ),
    ),
    sources=(
        Source(
            title="the authors' text files",
            access="direct",
            splits=(_TRAIN,),
            labels="official",
            files=(_IMAGES, _TXT),
        ),
        Source(
            title="the authors' text files, test",
            access="direct",
            splits=(_TEST,),
            labels="official",
            files=(_IMAGES, _TXT),
            optional=_LEXICONS,
        ),
        Source(
            title="the authors' MATLAB files",
            access="gdrive",
            splits=(_TRAIN, _TEST),
            labels="official",
            files=(
                _IMAGES,
                Remote(
                    file="totaltext_mat.zip",
                    urls=(DRIVE.format("19quCaJGePvTc3yPZ7MAGNijjKfy77-ke"),),
                ),
            ),
        ),
        Source(
            title="the authors' refined training set",
            access="gdrive",
            splits=(_REFINED,),
            labels="official",
            files=(
                _IMAGES,
                Remote(
                    file="TT_new_train_GT.zip",
                    urls=(DRIVE.format("1-XrQBoU9as1PXaB_0dUrDTJgvGFFOnDE"),),
                ),
            ),
        ),
        _copy(
            "AdelaiDet's ground truth, as in VimTS",
            "adelaidet",
            "gt_totaltext.zip",
            "Yuliang-Liu/VimTS/929dacbee21f5be22eb2091360933da4d3fba122/evaluation/"
            "gt_totaltext.zip",
            "125637c5b017f5a6d78726e6e50deba6284c60945c825d16f2f7b53edaf60776",
            101_243,
        ),
        _copy(
            "CLEval's ground truth",
            "cleval",
            "gt_TotalText_CLEval.zip",
            "clovaai/CLEval/513623c4a5833bebf61ae90da205f40ec6cf22d7/resources/gt/gt_TotalText.zip",
            "c07c8803d4cc5e17dc2f2dc14657ba4eb61ffd0b84f90973f2efb54a10ab375e",
            125_577,
        ),
        _copy(
            "DAVAR's ground truth",
            "davar",
            "total-text-gt_DAVAR.zip",
            "hikopensource/DAVAR-Lab-OCR/531fb503e01ae25a16224b5811cd7d813a263168/demo/"
            "text_spotting/evaluation/gts/total-text-gt.zip",
            "4851ddc2df344d8d0c8e14f4bc75e0995a562ca7e020e93ba0c33c9a3a351db4",
            115_318,
        ),
        _copy(
            "MaskTextSpotter's ground truth, legible words only",
            "masktextspotter",
            "gt_MaskTextSpotter.zip",
            "MhLiao/MaskTextSpotterV3/a7ca9401640f5a59b50517e07d23b8dbe8403f2c/evaluation/"
            "totaltext/gt.zip",
            "019117a2e9c40bc0e3e093d62a5c02d377578e923e63590a043bb23f1ad76dd2",
            106_394,
        ),
        _copy(
            "TIoU-metric's ground truth, damaged texts",
            "tiou",
            "total-text-gt_TIoU.zip",
            "Yuliang-Liu/TIoU-metric/1da136386e2d25943d90182345def587fc5a1762/curved-tiou/"
            "total-text-gt.zip",
            "eebcbc5ea63f740598668a44fe96359ff1cbb03444862400296f191caf42f6c3",
            128_271,
        ),
    ),
    pages=(
        "https://github.com/cs-chan/Total-Text-Dataset",
        "https://huggingface.co/datasets/yunusserhat/Total-Text-Dataset",
    ),
    licence="photographs for non-commercial research; the authors' code is BSD-3",
    paper="Ch'ng, Chan: Total-Text: A Comprehensive Dataset for Scene Text Detection and "
    "Recognition, ICDAR 2017",
    notes=(
        "Copies of the test set's ground truth are told apart by their counts; the authors' own files "
        "carry the name of a copy if they hold as many regions.",
        "Polygons of MaskTextSpotter's, CLEval's and DAVAR's copies mostly run clockwise (all but 63, "
        "91 and 91), those of AdelaiDet's and TIoU-metric's never do (counted).",
        "TIoU-metric's copy has damaged texts (nauGHTY is na, warunG is war): for detection only.",
        "MMOCR reads the text of a single comma as #, and so ignores that region; here it counts.",
        "The photograph img651 of the test set carries an EXIF rotation, which must not be applied.",
        "The training set of ArT holds all 1,555 photographs.",
    ),
    drop_in=(
        "totaltext_images.zip",
        "totaltext_txt.zip",
        "totaltext.zip",
        "txt_format.zip",
        "groundtruth_text.zip",
        "totaltext_mat.zip",
        "TT_new_train_GT.zip",
        "gt_totaltext.zip",
        "gt_TotalText.zip",
        "total-text-gt.zip",
        "gt.zip",
        "weak_voc_new.txt",
        "full_lexicons.txt",
        "tt_lexicon.txt",
    ),
    parse=parse,
    lexicons=lexicons,
)
