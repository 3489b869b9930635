"""name -> "module:object", imported only when asked for.

Built-in entries are lines in this file; third parties add theirs through the entry-point groups
``strbench.methods``, ``strbench.models``, ``strbench.engines``, ``strbench.spotters``,
``strbench.restorers``, ``strbench.segmenters`` and ``strbench.datasets``.
Everything that walks the catalogue (help, completion, docs, tests) walks these tables.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from strbench.errors import StrbenchError, unknown_name

Kind = Literal["methods", "models", "engines", "spotters", "restorers", "segmenters", "datasets"]

BUILT_IN: dict[str, dict[str, str]] = {
    "methods": {  # trained on images without labels, or with some of them
        "dig": "strbench.baselines.pretrain.dig:DIG",
        "gen": "strbench.baselines.pretrain.dig:GEN",
        "dis": "strbench.baselines.pretrain.dig:DIS",
        "mae": "strbench.baselines.pretrain.mae:MAE",
        "seqclr": "strbench.baselines.pretrain.seqclr:SEQCLR",
        "seqclr-vit": "strbench.baselines.pretrain.seqclr:SEQCLR_VIT",
        "persec": "strbench.baselines.pretrain.persec:PERSEC",
        "persec-cnn": "strbench.baselines.pretrain.persec:PERSEC_CNN",
        "moco": "strbench.baselines.pretrain.moco:MOCO",
        "rotnet": "strbench.baselines.pretrain.rotnet:ROTNET",
        "moco-resnet": "strbench.baselines.pretrain.moco:MOCO_RESNET",
        "rotnet-resnet": "strbench.baselines.pretrain.rotnet:ROTNET_RESNET",
        "pseudo-label": "strbench.baselines.semisup.pseudo_label:PSEUDO_LABEL",
        "mean-teacher": "strbench.baselines.semisup.mean_teacher:MEAN_TEACHER",
        "character-consistency": (
            "strbench.baselines.semisup.character_consistency:CHARACTER_CONSISTENCY"
        ),
        "fixmatch": "strbench.baselines.semisup.character_consistency:FIXMATCH",
        "abinet-language": "strbench.baselines.pretrain.abinet_language:ABINET_LANGUAGE",
        "semimtr-vision": "strbench.baselines.semisup.semimtr:SEMIMTR_VISION",
        "semimtr": "strbench.baselines.semisup.semimtr:SEMIMTR",
        "vlpt": "strbench.baselines.pretrain.vlpt:VLPT",
        "oclip": "strbench.baselines.pretrain.oclip:OCLIP",
        "stkm": "strbench.baselines.pretrain.stkm:STKM",
    },
    "models": {  # fine-tuned recognizers, restorers, segmenters and detectors
        "vit-ctc": "strbench.baselines.recognition.vit_ctc:VIT_CTC",
        "vit-attention": "strbench.baselines.recognition.vit_attention:VIT_ATTENTION",
        "vit-transformer": "strbench.baselines.recognition.vit_transformer:VIT_TRANSFORMER",
        "crnn": "strbench.baselines.recognition.crnn:CRNN",
        "trba": "strbench.baselines.recognition.trba:TRBA",
        "trbc": "strbench.baselines.recognition.trba:TRBC",
        "abinet-vision": "strbench.baselines.recognition.abinet:ABINET_VISION",
        "abinet": "strbench.baselines.recognition.abinet:ABINET",
        "parseq": "strbench.baselines.recognition.parseq:PARSEQ",
        "conv-ctc": "strbench.baselines.recognition.conv_ctc:CONV_CTC",
        "srcnn": "strbench.baselines.superres.srcnn:SRCNN",
        "srresnet": "strbench.baselines.superres.srresnet:SRRESNET",
        "tsrn": "strbench.baselines.superres.tsrn:TSRN",
        "tbsrn": "strbench.baselines.superres.tbsrn:TBSRN",
        "vit-restorer": "strbench.baselines.superres.vit_restorer:VIT_RESTORER",
        "vit-segmenter": "strbench.baselines.segmentation.vit_segmenter:VIT_SEGMENTER",
        "db": "strbench.baselines.detection.db:DB",
        "dbpp": "strbench.baselines.detection.db:DB_PLUS",
        "fcenet": "strbench.baselines.detection.fcenet:FCENET",
        "mask-textspotter": "strbench.baselines.spotting.mask_textspotter:MASK_TEXTSPOTTER",
        "east": "strbench.baselines.detection.east:EAST",
        "textbpn": "strbench.baselines.detection.textbpn:TEXTBPN",
        "textbpnpp": "strbench.baselines.detection.textbpn:TEXTBPN_PLUS",
        "psenet": "strbench.baselines.detection.psenet:PSENET",
    },
    "engines": {  # outside recognizers: a callable that returns a Recognizer
        "rapidocr": "strbench.baselines.adapters.rapidocr:build",
        "tesseract": "strbench.baselines.adapters.tesseract:build",
        "onnx": "strbench.baselines.adapters.onnx:build",
    },
    "spotters": {  # outside engines that find text in photographs: a callable that returns a Detector
        "rapidocr": "strbench.baselines.adapters.rapidocr:build_spotter",
    },
    "restorers": {  # nothing to train: a callable that returns a Restorer
        "bicubic": "strbench.baselines.superres.interpolation:build",
    },
    "segmenters": {  # a callable that returns a Segmenter
        "otsu": "strbench.baselines.segmentation.otsu:build",
    },
    "datasets": {  # SPEC objects: what a source holds and how it is parsed
        "iiit5k": "strbench.datasets.iiit5k:SPEC",
        "svt": "strbench.datasets.svt:SPEC",
        "svtp": "strbench.datasets.svtp:SPEC",
        "cute80": "strbench.datasets.cute80:SPEC",
        "ic13": "strbench.datasets.ic13:SPEC",
        "ic15": "strbench.datasets.ic15:SPEC",
        "ost": "strbench.datasets.ost:SPEC",
        "ic03": "strbench.datasets.ic03:SPEC",
        "cocotext": "strbench.datasets.cocotext:SPEC",
        "ctw1500": "strbench.datasets.ctw1500:SPEC",
        "totaltext": "strbench.datasets.totaltext:SPEC",
        "union14m_b": "strbench.datasets.union14m_b:SPEC",
        "art": "strbench.datasets.art:SPEC",
        "uber": "strbench.datasets.uber:SPEC",
        "iam": "strbench.datasets.iam:SPEC",
        "cvl": "strbench.datasets.cvl:SPEC",
        "mjsynth": "strbench.datasets.mjsynth:SPEC",
        "synthtext": "strbench.datasets.synthtext:SPEC",
        "union14m_l": "strbench.datasets.union14m_l:SPEC",
        "textocr": "strbench.datasets.textocr:SPEC",
        "openvino": "strbench.datasets.openvino:SPEC",
        "lsvt_words": "strbench.datasets.lsvt_words:SPEC",
        "str_fewer_labels": "strbench.datasets.str_fewer_labels:SPEC",
        "book32": "strbench.datasets.book32:SPEC",
        "u14m_u": "strbench.datasets.u14m_u:SPEC",
        "cc_ocr": "strbench.datasets.cc_ocr:SPEC",
        "ic15_det": "strbench.datasets.ic15_det:SPEC",
        "totaltext_det": "strbench.datasets.totaltext_det:SPEC",
        "ctw1500_det": "strbench.datasets.ctw1500_det:SPEC",
        "cute80_det": "strbench.datasets.cute80_det:SPEC",
        "cocotext_det": "strbench.datasets.cocotext_det:SPEC",
        "textocr_det": "strbench.datasets.textocr_det:SPEC",
        "synthtext_det": "strbench.datasets.synthtext_det:SPEC",
        "ic13_det": "strbench.datasets.ic13_det:SPEC",
        "svt_det": "strbench.datasets.svt_det:SPEC",
        "ic03_det": "strbench.datasets.ic03_det:SPEC",
        "mlt17": "strbench.datasets.mlt17:SPEC",
        "lsvt": "strbench.datasets.lsvt:SPEC",
        "art_det": "strbench.datasets.art_det:SPEC",
        "td500": "strbench.datasets.td500:SPEC",
        "tr400": "strbench.datasets.tr400:SPEC",
        "textzoom": "strbench.datasets.textzoom:SPEC",
        "textseg": "strbench.datasets.textseg:SPEC",
        "textseg_words": "strbench.datasets.textseg_words:SPEC",
        "ic13_fst": "strbench.datasets.ic13_fst:SPEC",
        "coco_ts": "strbench.datasets.coco_ts:SPEC",
        "mlt_s": "strbench.datasets.mlt_s:SPEC",
        "rendered": "strbench.datasets.rendered:SPEC",
        "rendered_pages": "strbench.datasets.rendered_pages:SPEC",
        "rendered_pairs": "strbench.datasets.rendered_pairs:SPEC",
        "rendered_masks": "strbench.datasets.rendered_masks:SPEC",
    },
}

# Whole tables that live beside the evidence and not in the engine.
TABLES: dict[str, str] = {"suites": "strbench.benchmarks.suites:SUITES"}

# Folders of files that come with the package: package:folder.
FOLDERS: dict[str, str] = {"weights": "strbench.baselines:weights"}


@cache
def _targets(kind: Kind) -> dict[str, str]:
    table = dict(BUILT_IN[kind])
    for point in entry_points(group=f"strbench.{kind}"):
        if point.name in table:
            raise StrbenchError(
                f"The {kind[:-1]} {point.name!r} of {point.value} has the name of a built-in one.",
                hint="Rename the entry point in the package that declares it.",
            )
        table[point.name] = point.value
    return table


def names(kind: Kind) -> list[str]:
    """The known names of a kind, in the order of the table; nothing is imported."""
    return list(_targets(kind))


def load(kind: Kind, name: str) -> Any:
    """The object registered under a name.

    Raises:
        StrbenchError: the name is unknown; three near ones are listed.
    """
    table = _targets(kind)
    if name not in table:
        raise unknown_name(kind[:-1], name, table, hint=f"See: strbench list {kind}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)


def kind_of(entry: str) -> Literal["methods", "models"]:
    """Of which kind a trainable entry is."""
    return "methods" if entry in _targets("methods") else "models"


def table(name: str) -> Any:
    """The mapping behind a name of ``TABLES``."""
    module, _, attribute = TABLES[name].partition(":")
    return getattr(import_module(module), attribute)


def folder(name: str) -> Path:
    """The folder behind a name of ``FOLDERS``; its package is not imported."""
    package, _, inside = FOLDERS[name].partition(":")
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / inside
