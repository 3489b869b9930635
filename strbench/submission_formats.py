"""The formats of result files and of evaluators' ground truth, by name.

A format that carries the name of a competition or data set is what its official reader takes, quirks
included; ``-psenet`` is the reader of PSENet, PAN and PAN++ where that is another one. What names of
files mean is part of it: ``gt_img_7.txt`` is the ground truth of image 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from strbench import submission_files as files
from strbench import submission_polygons as polygons
from strbench.annotations.mmocr import read_mmocr
from strbench.annotations.paddle import read_paddle
from strbench.submission_lines import RrcLines
from strbench.types import Detection, Region

TruthPage = Callable[[bytes, str], list[Region]]  # bytes and place of one photograph's file
FoundPage = Callable[[bytes, str], list[Detection]]
# bytes and place of a file with many photographs; of results also the file's name without its suffix
TruthPages = Callable[[bytes, str], Mapping[str, list[Region]]]
FoundPages = Callable[[bytes, str, str], Mapping[str, list[Detection]]]


@dataclass(frozen=True, kw_only=True)
class Format:
    """How files are called and what is in them. A format without names has many images a file."""

    name: str
    title: str  # what it is, in one line
    # Patterns of file names from their first letter on; group 1 is the image. In brackets how a person
    # would write them. As in the official scripts those of the RRC have no end, and "." is any sign.
    truth_names: tuple[str, str] = ("", "")
    found_names: tuple[str, str] = ("", "")
    skipped: str = ""  # pattern of result files that the official script passes over
    truth: TruthPage | None = None
    found: FoundPage | None = None
    spotted: FoundPage | None = None  # the same of lines that end with a text
    truths: TruthPages | None = None
    founds: FoundPages | None = None
    suffixes: tuple[str, ...] = ()  # of files with many images
    signs: tuple[str, ...] = ()  # one of these is near the beginning of such a file
    lines: RrcLines | None = None  # where lines may have a confidence or a transcription
    like: str = ""  # a stricter format that is to be guessed before this one

    def reader(self, *, confidences: bool, transcriptions: bool) -> FoundPage | None:
        """The reader of one photograph's results; None where lines have no such columns."""
        if self.lines is not None:
            return replace(self.lines, confidence=confidences, text=transcriptions).found
        if self.spotted is not None:
            return self.spotted if transcriptions else self.found
        return None if transcriptions or (confidences and self.name != "mlt17") else self.found


_GT_IMG = (r"gt_img_([0-9]+).txt", "gt_img_N.txt")
_RES_IMG = (r"res_img_([0-9]+).txt", "res_img_N.txt")
_QUAD, _BOX = RrcLines(columns="quad"), RrcLines(columns="box")
_MLT = replace(_QUAD, unquotes=False, clockwise=False, sorts=False)
_ANGLE = RrcLines(columns="angle")
_NUMBERED = (r"([0-9]+)\.txt$", "N.txt")


def _lists(
    read: Callable[[bytes, str], Mapping[str, tuple[Region, ...]]],
) -> TruthPages:
    return lambda data, place: {name: list(some) for name, some in read(data, place).items()}


_ALL = (
    Format(
        name="icdar-quad",
        title="x1,y1,...,x4,y4[,confidence][,transcription] in whole numbers (ICDAR 2015)",
        truth_names=_GT_IMG,
        found_names=_RES_IMG,
        truth=replace(_QUAD, text=True).truth,
        lines=_QUAD,
    ),
    Format(
        name="icdar-quad-psenet",
        title="the same as PSENet and PAN read it: any polygon, nothing behind it",
        truth_names=_GT_IMG,
        found_names=_RES_IMG,
        truth=polygons.psenet_quad_truth,
        found=polygons.psenet_quad_found,
        like="icdar-quad",
    ),
    Format(
        name="icdar-box",
        title="xmin,ymin,xmax,ymax[,confidence][,transcription] in whole numbers (ICDAR 2013)",
        truth_names=_GT_IMG,
        found_names=_RES_IMG,
        truth=replace(_BOX, text=True).truth,
        lines=_BOX,
    ),
    Format(
        name="mlt17",
        title="x1,...,y4,confidence[,text]; truth x1,...,y4,script,text (MLT 2017, 2019)",
        truth_names=_GT_IMG,
        found_names=_RES_IMG,
        truth=replace(_MLT, script=True, text=True).truth,
        found=replace(_MLT, confidence=True).found,
        spotted=replace(_MLT, confidence=True, text=True).found,
    ),
    Format(
        name="totaltext",
        title="y0,x0,y1,x1,... in whole numbers; truth poly_gt_imgN.mat or .txt (Total-Text)",
        truth_names=(r"poly_gt_(img[0-9]+)\.(?:mat|txt)$", "poly_gt_imgN.mat or .txt"),
        found_names=(r"(img[0-9]+)\.txt$", "imgN.txt"),
        # Deteval.py's own output, if it lies among the results
        skipped=r"(?:Pascal|Deteval)_result(?:_curved|_non_curved)?\.txt$",
        truth=polygons.totaltext_truth,
        found=polygons.totaltext_found,
    ),
    Format(
        name="totaltext-xy",
        title="x1,y1,...,xn,yn[,confidence][,text or ####text], as most repositories write Total-Text",
        truth_names=(r"poly_gt_(img[0-9]+)\.(?:mat|txt)$", "poly_gt_imgN.mat or .txt"),
        found_names=(r"(?:res_)?(img[0-9]+)\.txt$", "imgN.txt or res_imgN.txt"),
        truth=polygons.totaltext_truth,
        found=polygons.totaltext_xy_found,
        spotted=polygons.totaltext_xy_spotted,
    ),
    Format(
        name="ctw1500",
        title="x0,y0,x1,y1,...; truth xmin,ymin,xmax,ymax and 14 dx,dy (CTW1500)",
        truth_names=_NUMBERED,
        found_names=_NUMBERED,
        truth=polygons.ctw1500_truth,
        found=polygons.ctw1500_found,
    ),
    Format(
        name="ctw1500-psenet",
        title="y0,x0,y1,x1,... in whole numbers, as PSENet and PAN write CTW1500",
        truth_names=_NUMBERED,
        found_names=_NUMBERED,
        truth=polygons.ctw1500_truth,
        found=polygons.ctw1500_psenet_found,
    ),
    Format(
        name="td500",
        title="x1,y1,...,x4,y4 in whole numbers; truth IMG_N.gt (MSRA-TD500)",
        truth_names=(r"(IMG_[0-9]+)\.gt$", "IMG_N.gt"),
        found_names=(r"(?:res_)?(IMG_[0-9]+)\.txt$", "IMG_N.txt or res_IMG_N.txt"),
        truth=polygons.td500_truth,
        found=polygons.td500_found,
    ),
    Format(
        name="td500-angle",
        title="xmin,ymin,xmax,ymax,angle before turning, as TextBPN scores MSRA-TD500",
        truth_names=_GT_IMG,
        found_names=_RES_IMG,
        truth=replace(_ANGLE, text=True).truth,
        found=_ANGLE.found,
    ),
    Format(
        name="mmocr",
        title="JSON of MMOCR: polygons and scores of each image",
        truths=_lists(read_mmocr),
        founds=files.mmocr_found,
        suffixes=(".json",),
        signs=('"det_polygons"', '"pred_instances"', '"polygons"', '"boundary_result"'),
    ),
    Format(
        name="paddle",
        title="lines of PaddleOCR: path, tab, JSON list of points and texts",
        truths=_lists(read_paddle),
        founds=files.paddle_found,
        suffixes=(".txt", ".tsv"),
        signs=("\t[",),
    ),
    Format(
        name="coco",
        title="JSON of COCO: image_id and segmentation or bbox, score",
        truths=_lists(read_mmocr),
        founds=files.coco_found,
        suffixes=(".json",),
        signs=('"image_id"',),
    ),
    Format(
        name="rrc-json",
        title="JSON of ICDAR 2019 LSVT and ArT: res_N, truth gt_N; points, confidence, transcription",
        truths=files.rrc_json_truth,
        founds=files.rrc_json_found,
        suffixes=(".json",),
        signs=('{"res_',),
    ),
    Format(
        name="parquet",
        title="strbench's own: id, polygon, confidence, text",
        founds=files.parquet_found,
        suffixes=(".parquet",),
        signs=("PAR1",),
    ),
)
FORMATS: dict[str, Format] = {one.name: one for one in _ALL}
