"""Tables of detection that ``strbench reproduce`` rebuilds: what a pretraining does for a detector.

A table is one detector on one test set, because the papers train a detector for each. Its rows are the
detector from scratch, from detection on synthetic photographs ("ST"), and from the pretrainings that see
transcriptions alone. The papers' detectors from scratch start from ImageNet's weights, which strbench does
not have: no printed figure stands beside that row.

Fine-tuning at the CPU's scale sees the boxes of a tenth of the pages, pretraining the texts of all; "ST" the
boxes of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from strbench.reproductions import Part, Reproduction, Row, Scale, Training

from .scales import PAPER

_VLPT = "Song et al., VLPT-STD, CVPR 2022"
_SLIDES = f"{_VLPT}, as given in review slides"
_OCLIP = "Xue et al., oCLIP, ECCV 2022, as given in a third party's notes"
_FAMILY = "scenes"
_NAMES = {"psenet": "PSENet", "east": "EAST", "db": "DB"}


class _Target(NamedTuple):
    """A data set that detectors are trained for: its splits, and its row of their test settings."""

    train: tuple[str, ...]
    test: str
    settings: str
    title: str


_TARGETS: Mapping[str, _Target] = {
    "ic15": _Target(("ic15_det/train",), "ic15_det/test", "ic15", "ICDAR 2015"),
    "totaltext": _Target(("totaltext_det/train",), "totaltext_det/test", "totaltext", "Total-Text"),
    "ctw1500": _Target(("ctw1500_det/train",), "ctw1500_det/test", "ctw1500", "CTW1500"),
    "td500": _Target(("td500/train", "tr400/train"), "td500/test", "td500", "MSRA-TD500"),
}
# (detector, test settings) -> the recipe that its code has for that data set, where it is not ``paper``.
_OWN_RECIPES: Mapping[tuple[str, str], str] = {
    ("psenet", "totaltext"): "totaltext",
    ("psenet", "ctw1500"): "ctw1500",
}


def _pretrained(method: str, *settings: str, key: str = "") -> tuple[Training, ...]:
    run = Training(key=key or method, entry=method, data="texts", settings=settings, family=_FAMILY)
    return (run,)


def _row(
    detector: str,
    label: str,
    parents: tuple[Training, ...] = (),
    *,
    key: str,
    printed: Mapping[str, str] | None = None,
    part: Part | None = None,
    against: str = "",
    settings: tuple[str, ...] = (),
) -> Row:
    return Row(
        label=label,
        run=Training(
            key=f"{detector}-{key}",
            entry=detector,
            data="boxes",
            part=part,
            parents=parents,
            settings=settings,
        ),
        reported=dict(printed or {}),
        against=against,
    )


def _st(detector: str, *, is_paper: bool) -> tuple[Training, ...]:
    return (
        Training(
            key=f"{detector}-synthetic",
            entry=detector,
            data="texts",
            # one run for the tables of all data sets, so with the test settings of none
            settings=("test=pages", *(("size=r50",) if is_paper else ())),
            recipes={"paper": "synthtext"},
            family=_FAMILY,
        ),
    )


def _printed(detector: str, pretraining: str, citation: str) -> dict[str, str]:
    return {
        "method": _NAMES[detector],
        "variant": f"ResNet50, {pretraining}",
        "citation": citation,
    }


def _compared(detector: str, *, is_paper: bool, part: Part | None = None) -> tuple[Row, ...]:
    """VLPT-STD's comparison of pretrainings, and oCLIP beside it, whose backbone is another.

    All rows have the backbone that the pretrainings bring, the papers' ResNet-50 or the CPU's.
    """
    stock = ("size=r50",) if is_paper else ()
    clip = ("size=clip50" if is_paper else "size=clipmicro",)
    if detector == "db":
        clip = (*clip, "deformable=false")  # which CLIP's network does not have
    started = {
        "ST": ("st", _st(detector, is_paper=is_paper), _VLPT),
        "STKM": ("stkm", _pretrained("stkm", *stock), _SLIDES),
        "VLPT-STD": ("vlpt", _pretrained("vlpt", *stock), _VLPT),
    }
    other = "Scratch, CLIP's ResNet"
    return (
        _row(detector, "Scratch", key="scratch", part=part, settings=stock),
        *(
            _row(
                detector,
                label,
                parents,
                key=key,
                part=part,
                against="Scratch",
                printed=_printed(detector, label, citation),
            )
            for label, (key, parents, citation) in started.items()
        ),
        _row(detector, other, key="clip-scratch", part=part, settings=clip),
        _row(
            detector,
            "oCLIP",
            _pretrained("oclip"),
            key="oclip",
            part=part,
            against=other,
            settings=clip[1:],
        ),
    )


_TASKS = ("ITC", "MLM", "WIP", "ITC+MLM", "ITC+WIP", "MLM+WIP", "ITC+MLM+WIP")


def _switched(tasks: str) -> tuple[str, ...]:
    on = tasks.lower().split("+")
    return tuple(f"{task}=false" for task in ("itc", "mlm", "wip") if task not in on)


def _by_tasks(detector: str, *, is_paper: bool, part: Part | None = None) -> tuple[Row, ...]:
    """VLPT-STD's ablation of its three tasks."""
    stock = ("size=r50",) if is_paper else ()

    def printed(tasks: str, pretraining: str) -> dict[str, str]:
        return {
            "method": _NAMES[detector],
            "variant": f"tasks: {tasks}, ResNet50, {pretraining}",
            "citation": _SLIDES,
        }

    rows = [
        _row(
            detector,
            "none (ST)",
            _st(detector, is_paper=is_paper),
            key="st",
            part=part,
            printed=printed("none", "ST"),
        )
    ]
    for tasks in _TASKS:
        key = "vlpt" if tasks == _TASKS[-1] else f"vlpt-{tasks.lower().replace('+', '-')}"
        rows.append(
            _row(
                detector,
                tasks,
                _pretrained("vlpt", *_switched(tasks), *stock, key=key),
                key=key,
                part=part,
                against="none (ST)",
                printed=printed(tasks, "VLPT-STD"),
            )
        )
    return tuple(rows)


_OCLIP_TASKS = {  # as the paper's table has them -> the recipe's setting
    "CAE+VTD": ("contrast=false",),
    "CAE+BCL": ("first_stage=true",),
    "CAE+VTD+BCL": (),
}


def _oclip_rows(printed: str, parts: Mapping[str, tuple[str, ...]]) -> tuple[Row, ...]:
    """oCLIP's rows of PSENet on Total-Text; the label stands in the CSV's variant."""
    rows = []
    for label, settings in parts.items():
        key = f"oclip-{label.lower().strip('%').replace('+', '-')}" if settings else "oclip"
        rows.append(
            _row(
                "psenet",
                label,
                _pretrained("oclip", *settings, key=key),
                key=key,
                printed={
                    "method": "PSENet",
                    "variant": printed.format(label),
                    "citation": _OCLIP,
                },
            )
        )
    return tuple(rows)


_PORTIONS: Mapping[str, tuple[str, ...]] = {
    "25%": ("portion=0.25",),
    "50%": ("portion=0.5",),
    "75%": ("portion=0.75",),
    "100%": (),
}
_PAGES = ("rendered_pages/train",)
_SMALL_PART: Part = ("first", 0.1)


def _scales(
    target: _Target, detector: str, *, cpu: tuple[Row, ...], has_night: bool
) -> dict[str, Scale]:
    test = {detector: (f"test={target.settings}",)}
    own = _OWN_RECIPES.get((detector, target.settings))
    micro = {"oclip": ("size=clipmicro",)}
    scales = {
        "smoke": Scale(
            title="recipes smoke on rendered pages",
            recipe="smoke",
            data={"texts": _PAGES, "boxes": _PAGES},
            splits=("rendered_pages/test",),
            settings=micro,
            rows=cpu,
        ),
        "small": Scale(
            title="recipes small, about an hour of one GPU a run, rendered pages",
            recipe="small",
            data={"texts": _PAGES, "boxes": (*_PAGES, *(f"{split}?" for split in target.train))},
            settings=test,
        ),
        "paper": Scale(
            title=PAPER,
            recipe="paper",
            data={"texts": ("synthtext_det/train",), "boxes": target.train},
            recipes={detector: own} if own else {},
            settings=test,
        ),
    }
    if has_night:
        scales["cpu-night"] = Scale(
            title="recipes cpu-hour on rendered pages, the boxes of a tenth of them",
            recipe="cpu-hour",
            data={"texts": _PAGES, "boxes": _PAGES},
            splits=(target.test,),
            settings={**test, **micro},
            rows=cpu,
        )
    return scales


def _table(
    title: str, source: str, detector: str, name: str, rows: tuple[Row, ...], cpu: tuple[Row, ...]
) -> Reproduction:
    target = _TARGETS[name]
    return Reproduction(
        title=f"{title} on {target.title}",
        source=source,
        columns=(target.test,),
        rows=rows,
        protocol="",
        metrics=("hmean", "precision", "recall"),
        scales=_scales(target, detector, cpu=cpu, has_night=name == "ic15"),
        note="The paper's detectors from scratch start from ImageNet's weights, ours from random ones.",
    )


_COMPARED = {
    "psenet": ("ic15", "totaltext", "ctw1500"),
    "east": ("ic15", "td500"),
    "db": ("ic15", "totaltext", "td500"),
}

DETECTION_TABLES: Mapping[str, Reproduction] = {
    **{
        f"vlpt-{detector}" + ("" if name == "ic15" else f"-{name}"): _table(
            f"Pretrainings for {_NAMES[detector]}",
            f"{_VLPT}, tables of detectors",
            detector,
            name,
            _compared(detector, is_paper=True),
            _compared(detector, is_paper=False, part=_SMALL_PART),
        )
        for detector, names in _COMPARED.items()
        for name in names
    },
    "vlpt-ablation": _table(
        "VLPT-STD's tasks, PSENet",
        f"{_VLPT}, ablation of the tasks",
        "psenet",
        "ic15",
        _by_tasks("psenet", is_paper=True),
        _by_tasks("psenet", is_paper=False, part=_SMALL_PART),
    ),
    "oclip-ablation": _table(
        "oCLIP's tasks, PSENet",
        _OCLIP,
        "psenet",
        "totaltext",
        _oclip_rows("tasks: {}, ResNet50, oCLIP", _OCLIP_TASKS),
        _oclip_rows("tasks: {}, ResNet50, oCLIP", _OCLIP_TASKS),
    ),
    "oclip-portion": _table(
        "oCLIP from a part of the texts, PSENet",
        _OCLIP,
        "psenet",
        "totaltext",
        _oclip_rows("{} of the text instances, ResNet50, oCLIP", _PORTIONS),
        _oclip_rows("{} of the text instances, ResNet50, oCLIP", _PORTIONS),
    ),
}
