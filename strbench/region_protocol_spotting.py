"""The protocols of spotting, row by row; ``strbench.region_protocols`` says what a row holds."""

from __future__ import annotations

from typing import Any

_E2E = "Regions match as in ic15-iou; a matched pair counts if the texts agree, and is spent either way."


SPOTTING_ROWS: list[dict[str, Any]] = [
    {
        "name": "ic15-e2e",
        "title": "ICDAR 2015 end to end",
        "function": "spotting:EndToEnd",
        "files": "icdar-quad",
        "texts": True,
        "description": f"{_E2E} The label may lose one special sign at each end.",
        "differs": "texts are compared too",
        "source": "Robust Reading Competition, E2E_iou_1_0 and 1_1, script.py",
    },
    {
        "name": "ic15-e2e-stripped",
        "title": "ICDAR 2015 end to end, special signs stripped from both sides",
        "function": "spotting:EndToEnd",
        "settings": {"only_first_last": False},
        "files": "icdar-quad",
        "texts": True,
        "description": f"{_E2E} Both texts lose all special signs at their ends.",
        "differs": "from ic15-e2e: ONLY_REMOVE_FIRST_LAST_CHARACTER is false",
        "example": "ICDAR 2015, perturbed ground truth: F 65.91 becomes 65.95",
        "source": "Robust Reading Competition, E2E_iou_1_0 and 1_1, script.py",
    },
    {
        "name": "word-spotting",
        "title": "word spotting: dictionary words alone",
        "function": "spotting:WordSpotting",
        "files": "icdar-quad",
        "texts": True,
        "description": "Words of three letters or more count, cleaned; every other region is ignored. Papers "
        "on Total-Text that use AdelaiDet's evaluator call this end to end.",
        "differs": "from ic15-e2e: fewer regions count",
        "example": "ICDAR 2015, perturbed ground truth: F 65.91 becomes 64.99",
        "source": "Robust Reading Competition, E2E_iou_1_0 and 1_1, script.py, WORD_SPOTTING",
    },
    *(
        {
            "name": name,
            "title": title,
            "function": "spotting:EndToEndDistances",
            "settings": {"upper": upper},
            "files": "mlt17",
            "confidences": True,
            "texts": True,
            "description": f"{_E2E} Beside it 1-NED: 1 - the mean edit distance over matched pairs, with 1 for "
            "every region that is unmatched on either side. ArT, LSVT and ReCTS describe theirs alike.",
            "differs": differs,
            "source": "MLT_task_4 script.py 1.1 in facebookresearch/MultiplexedOCR",
        }
        for name, title, upper, differs in (
            (
                "mlt19-e2e",
                "ICDAR 2019 MLT task 4, case ignored: end to end and 1-NED",
                True,
                "from ic15-e2e: no special signs, and polygons that cross themselves overlap nothing",
            ),
            (
                "mlt19-e2e-case",
                "ICDAR 2019 MLT task 4, case counted: end to end and 1-NED",
                False,
                "from mlt19-e2e: case counts",
            ),
        )
    ),
    {
        "name": "mango-e2e",
        "title": "end to end at an overlap of 0.1, as MANGO's figures",
        "function": "spotting:EndToEnd",
        "settings": {"iou": 0.1, "special": "!?.:,*\"()·[]/' "},
        "files": "icdar-quad",
        "texts": True,
        "description": f"{_E2E} The overlap may be as small as 0.1.",
        "differs": "from ic15-e2e: overlap, and the blank is a special sign",
        "source": "hikopensource/DAVAR-Lab-OCR, MANGO",
    },
]
