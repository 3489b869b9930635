"""The detection and spotting protocols, row by row; ``strbench.region_protocols`` says what a row holds."""

from __future__ import annotations

from typing import Any

from strbench.region_protocol_spotting import SPOTTING_ROWS

_FIRST_COME = (
    "A found and a true region match if their intersection over union is above 0.5, first come in file "
    "order. A found region of which more than half lies on a region that does not count is left out."
)
_RRC = "Robust Reading Competition, TL_iou_1_0 and 1_1, script.py"
_DETEVAL = (
    "Matches one to one, one to many (a region found in pieces) and many to one (pieces over several "
    "regions), by area recall and area precision, after Wolf and Jolion."
)
_TOTAL = "cs-chan/Total-Text-Dataset, Evaluation_Protocol/Python_scripts"


ROWS: list[dict[str, Any]] = [
    {
        "name": "ic15-iou",
        "title": "ICDAR 2015 IoU, the rule of most detection papers",
        "function": "detection:FirstCome",
        "files": "icdar-quad",
        "description": _FIRST_COME,
        "differs": "not at all",
        "source": _RRC,
    },
    {
        "name": "ic15-iou-ap",
        "title": "ICDAR 2015 IoU with confidences: average precision",
        "function": "detection:FirstCome",
        "files": "icdar-quad",
        "confidences": True,
        "description": f"{_FIRST_COME} Detections of a file are matched by falling confidence.",
        "differs": "equal confidences keep file order, the official sort is unstable there",
        "source": _RRC,
    },
    {
        "name": "ic15-iou-psenet",
        "title": "ICDAR 2015 IoU as PSENet, PAN and PAN++ read the files",
        "function": "detection:FirstCome",
        "files": "icdar-quad-psenet",
        "description": f"{_FIRST_COME} Polygons may have any number of vertices.",
        "differs": "no check of orientation; the text of a true region is what follows the last comma",
        "source": "whai362/PSENet, eval/ic15",
    },
    {
        "name": "db-iou",
        "title": "DB's and PaddleOCR's DetectionIoUEvaluator",
        "function": "iou_variants:DetectionIoU",
        "files": "icdar-quad",
        "description": _FIRST_COME,
        "differs": "invalid polygons of both sides are left out before anything is counted",
        "source": "MhLiao/DB concern/icdar2015_eval/detection/iou.py",
    },
    *(
        {
            "name": name,
            "title": f"MMOCR's HmeanIOUMetric, {strategy}",
            "function": "iou_variants:HmeanIoU",
            "whole": True,
            "settings": {"strategy": strategy},
            "files": "mmocr",
            "description": "The best harmonic mean over seven score thresholds, found on the test set.",
            "differs": "tuned on what is scored; a found region counts from the best threshold on",
            "source": "open-mmlab/mmocr mmocr/evaluation/metrics/hmean_iou_metric.py",
        }
        for name, strategy in (
            ("mmocr-hmean-iou", "vanilla"),
            ("mmocr-hmean-iou-max-matching", "max_matching"),
        )
    ),
    {
        "name": "iou-0.5",
        "title": "polygons of any number of vertices by ICDAR 2015's rule",
        "function": "detection:FirstCome",
        "files": "ctw1500",
        "description": _FIRST_COME,
        "differs": "polygons; nothing about their direction is asked",
        "source": "Yuliang-Liu/TIoU-metric, curved-tiou; hikopensource/DAVAR-Lab-OCR",
    },
    {
        "name": "ic13-deteval",
        "title": "ICDAR 2013 DetEval on boxes",
        "function": "deteval:BoxDetEval",
        "files": "icdar-box",
        "description": _DETEVAL,
        "differs": "boxes of whole pixels, both ends included",
        "source": "Robust Reading Competition, DetEval script.py",
    },
    {
        "name": "icdar2013",
        "title": "ICDAR 2013, the plain variant of DetEval",
        "function": "deteval:BoxDetEval",
        "settings": {"count_overlaps": False, "lone": False, "digits": None},
        "files": "icdar-box",
        "description": _DETEVAL,
        "differs": "from ic13-deteval: a region in pieces gets 0.8 whatever their number, no overlaps are counted",
        "source": "Lucydln/DetEval_For_OCR, DetEval.py",
    },
    {
        "name": "totaltext-deteval",
        "title": "Total-Text DetEval",
        "function": "deteval:TotalTextDetEval",
        "files": "totaltext",
        "description": _DETEVAL,
        "differs": "images without a result are in no sum; shares are rounded to two decimals",
        "source": f"{_TOTAL}/Deteval.py",
    },
    {
        "name": "totaltext-deteval-corrected",
        "title": "Total-Text DetEval that counts every image",
        "function": "deteval:TotalTextDetEval",
        "settings": {
            "count_unanswered": True,
            "refuse": False,
            "digits": None,
            "same_found": True,
            "crossing": "even-odd",
        },
        "files": "totaltext",
        "description": _DETEVAL,
        "differs": "from totaltext-deteval: images without a result count, nothing is rounded, one to one "
        "is asked of one and the same found region, a region without area is false and stops nothing",
        "example": "Total-Text, the baseline of its authors: F 72.99 becomes 73.07",
        "source": "ours",
    },
    {
        "name": "totaltext-deteval-psenet",
        "title": "Total-Text DetEval as PSENet copied it",
        "function": "deteval:TotalTextDetEval",
        "settings": {
            "digits": None,
            "crossing": "even-odd",
            "unique_in_found": False,
            "ignore_padding": 0.0,
        },
        "files": "totaltext",
        "description": _DETEVAL,
        "differs": "from totaltext-deteval: nothing is rounded, one to one asks the true region alone",
        "example": "Total-Text, the baseline of its authors: F 72.99 becomes 73.08",
        "source": "whai362/PSENet, eval/tt/Deteval.py",
    },
    {
        "name": "totaltext-pascal",
        "title": "Total-Text Pascal VOC",
        "function": "claiming:TotalTextPascal",
        "whole": True,
        "files": "totaltext",
        "description": "A found region claims the true one it overlaps best, from 0.5 on; a second claim "
        "is false.",
        "differs": "one square pixel is added to unions; images without a result are in no sum",
        "source": f"{_TOTAL}/Pascal_VOC.py",
    },
    {
        "name": "totaltext-pascal-corrected",
        "title": "Total-Text Pascal VOC that counts every image",
        "function": "claiming:TotalTextPascal",
        "whole": True,
        "settings": {
            "count_unanswered": True,
            "refuse": False,
            "union_padding": 0.0,
            "crossing": "even-odd",
        },
        "files": "totaltext",
        "description": "A found region claims the true one it overlaps best, from 0.5 on; a second claim "
        "is false.",
        "differs": "from totaltext-pascal: images without a result count, and unions are what they are",
        "example": "Total-Text, the baseline of its authors: F 74.82 becomes 74.92",
        "source": "ours",
    },
    {
        "name": "ctw1500-voc",
        "title": "CTW1500's official evaluation",
        "function": "claiming:CTW1500VOC",
        "whole": True,
        "files": "ctw1500",
        "description": "A found region claims the true one it overlaps best, above 0.5; a second claim is "
        "false. Average precision in file order.",
        "differs": "found polygons that cross themselves are skipped: neither right nor false",
        "source": "Yuliang-Liu/Curve-Text-Detector, voc_eval_polygon.py",
    },
    {
        "name": "ctw1500-voc-corrected",
        "title": "CTW1500's evaluation that counts every found region",
        "function": "claiming:CTW1500VOC",
        "whole": True,
        "settings": {
            "skip_invalid": False,
            "crossing": "even-odd",
            "by_confidence": True,
            "refuse": False,
        },
        "files": "ctw1500",
        "description": "A found region claims the true one it overlaps best, above 0.5; a second claim is "
        "false. Average precision by falling confidence.",
        "differs": "from ctw1500-voc: found polygons that cross themselves count, and confidences sort",
        "example": "CTW1500, CTD+TLOC: F 78.15 becomes 78.16; two found polygons cross themselves there",
        "source": "ours",
    },
    {
        "name": "ctw1500-psenet",
        "title": "CTW1500 as PSENet and PAN score it",
        "function": "claiming:PSENetCTW",
        "whole": True,
        "files": "ctw1500-psenet",
        "description": "A found region takes every free true one that it overlaps by 0.5 or more, for one hit.",
        "differs": "images without a result are in no sum",
        "source": "whai362/PSENet, eval/ctw/eval.py",
    },
    {
        "name": "ctw1500-psenet-corrected",
        "title": "CTW1500 as PSENet and PAN score it, every taken line and every image counted",
        "function": "claiming:PSENetCTW",
        "whole": True,
        "settings": {"recall_taken": True, "count_unanswered": True, "refuse": False},
        "files": "ctw1500-psenet",
        "description": "A found region takes every free true one that it overlaps by 0.5 or more, for one hit.",
        "differs": "from ctw1500-psenet: recall counts every true region that was taken, and not hits; images "
        "without a result count",
        "example": "CTW1500, CTD+TLOC: F 78.16 stays",
        "source": "ours",
    },
    {
        "name": "td500",
        "title": "MSRA-TD500 as PSENet and PAN score it",
        "function": "claiming:PSENetTD500",
        "whole": True,
        "files": "td500",
        "description": "A true region is found if anything overlaps it by 0.5 or more; a difficult one counts "
        "only if it is found.",
        "differs": "one found region may serve several true ones; images without a result are in no sum",
        "source": "whai362/PSENet, eval/msra/eval.py",
    },
    {
        "name": "td500-corrected",
        "title": "MSRA-TD500 with one use of a found region, every image counted",
        "function": "claiming:PSENetTD500",
        "whole": True,
        "settings": {"serve_many": False, "count_unanswered": True, "refuse": False},
        "files": "td500",
        "description": "A true region is found if anything overlaps it by 0.5 or more; a difficult one counts "
        "only if it is found.",
        "differs": "from td500: a found region serves one true one, images without a result count",
        "example": "MSRA-TD500, MixNet: F 82.10 stays",
        "source": "ours",
    },
    {
        "name": "td500-angle",
        "title": "MSRA-TD500 as TextBPN and MixNet score it",
        "function": "claiming:TurnedBoxes",
        "files": "td500-angle",
        "description": "First come, on boxes before they are turned, with angles less than pi/8 apart.",
        "differs": "not comparable with td500",
        "source": "GXYM/TextBPN-Plus-Plus, dataset/TD500/Evaluation_Protocol/script.py",
    },
    {
        "name": "td500-angle-corrected",
        "title": "MSRA-TD500 as TextBPN and MixNet score it, where half a turn changes nothing",
        "function": "claiming:TurnedBoxes",
        "settings": {"half_turns": True},
        "files": "td500-angle",
        "description": "First come, on boxes before they are turned, with angles less than pi/8 apart.",
        "differs": "from td500-angle: a box turned by half a turn is the same box",
        "source": "ours",
    },
    {
        "name": "mlt17",
        "title": "ICDAR 2017 MLT, all scripts",
        "function": "iou_variants:MultiLingual",
        "files": "mlt17",
        "confidences": True,
        "description": _FIRST_COME,
        "differs": "confidences rank for average precision and not for matching",
        "source": "TL_iou_MLT_1_0 script.py as in facebookresearch/MultiplexedOCR",
    },
    *(
        {
            "name": f"mlt17-{script.lower()}",
            "title": f"ICDAR 2017 MLT, {script} alone",
            "function": "iou_variants:MultiLingual",
            "settings": {"script": script},
            "files": "mlt17",
            "confidences": True,
            "description": f"{_FIRST_COME} Regions of other scripts do not count.",
            "differs": "from mlt17: other scripts are ignored, and absorb what lies on them",
            "source": "TL_iou_MLT_1_0 script.py as in facebookresearch/MultiplexedOCR",
        }
        for script in ("Arabic", "Latin", "Chinese", "Japanese", "Korean", "Bangla")
    ),
    {
        "name": "tiou",
        "title": "TIoU: tightness-aware",
        "function": "tiou:TIoU",
        "files": "icdar-quad",
        "description": "Regions match as in ic15-iou; a match is worth its IoU, less what is cut off and "
        "what is taken from others.",
        "differs": "credit is no whole number",
        "source": "Yuliang-Liu/TIoU-metric, script.py",
    },
    {
        "name": "tiou-corrected",
        "title": "TIoU, with shares that stay between none and all",
        "function": "tiou:TIoU",
        "settings": {"clipped": True, "only_counted": True},
        "files": "icdar-quad",
        "description": "Regions match as in ic15-iou; a match is worth its IoU, less what is cut off and "
        "what is taken from others.",
        "differs": "from tiou: a share out of 0 to 1, as of polygons that cross themselves, is brought back "
        "there instead of costing the match everything; regions that do not count take nothing away",
        "example": "ICDAR 2015, PixelLink: F 58.32 becomes 58.49",
        "source": "ours",
    },
    {
        "name": "tiou-curved",
        "title": "TIoU on polygons",
        "function": "tiou:TIoU",
        "settings": {"single": True, "slack": 0.0},
        "files": "ctw1500",
        "description": "Regions match as in iou-0.5; a match is worth its IoU, less what is cut off and "
        "what is taken from others.",
        "differs": "vertices are rounded to float32",
        "source": "Yuliang-Liu/TIoU-metric, curved-tiou/script.py",
    },
    {
        "name": "tiou-curved-corrected",
        "title": "TIoU on polygons, with shares that stay between none and all",
        "function": "tiou:TIoU",
        "settings": {"clipped": True, "only_counted": True},
        "files": "ctw1500",
        "description": "Regions match as in iou-0.5; a match is worth its IoU, less what is cut off and "
        "what is taken from others.",
        "differs": "from tiou-curved: as tiou-corrected from tiou, and vertices are not rounded",
        "example": "CTW1500, CTD+TLOC: F 54.47 stays",
        "source": "ours",
    },
    {
        "name": "siou",
        "title": "SIoU: a match is worth its IoU",
        "function": "tiou:SIoU",
        "files": "icdar-quad",
        "description": "Regions match as in ic15-iou; a match is worth its IoU.",
        "differs": "credit is no whole number",
        "source": "Yuliang-Liu/TIoU-metric, script.py",
    },
    {
        "name": "tedeval",
        "title": "TedEval",
        "function": "tedeval:TedEval",
        "files": "icdar-quad",
        "description": "Matches by area recall and precision of 0.4, credit by pseudo-character centres.",
        "differs": "characters are credited, not regions",
        "source": "clovaai/TedEval, script.py",
    },
    {
        "name": "cleval",
        "title": "CLEval, detection",
        "function": "cleval:CLEval",
        "files": "icdar-quad",
        "description": "Characters found of all characters, less a penalty for splits and merges.",
        "differs": "characters are counted, not regions",
        "source": "clovaai/CLEval 0.1.1",
    },
    {
        "name": "cleval-e2e",
        "title": "CLEval, end to end",
        "function": "cleval:CLEval",
        "settings": {"end_to_end": True},
        "files": "icdar-quad",
        "texts": True,
        "description": "Characters read of all characters, less a penalty for splits and merges.",
        "differs": "from cleval: what was read must be right",
        "source": "clovaai/CLEval 0.1.1",
    },
    *SPOTTING_ROWS,
]
