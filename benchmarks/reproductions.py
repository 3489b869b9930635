"""Tables of papers that ``strbench reproduce`` rebuilds: rows, columns, and the scales of each.

Data. A row names the run that is evaluated, the runs that it starts from, and where its printed figures
stand in ``reported/recognition.csv``. The scales:

- ``smoke``: recipes smoke on rendered words alone, minutes to an hour of a CPU. It shows that a table
  can be rebuilt, and nothing about photographs.
- ``cpu-hour``: about an hour of two CPU cores a run, on rendered words and the real training crops that
  are prepared, scored on the real test sets that are prepared.
- ``cpu-night``: the same with half of the fine-tuning, for tables with many rows: about eight hours of one
  CPU core a seed, half of the words real. With 2,000 steps of fine-tuning none of these encoders reads:
  until then CTC says nothing at all, or recites the few words that it was trained on.
- ``small``: recipes small, an hour of one GPU a run, on the same data.
- ``paper``: the published recipes on the published kind of data.
"""

from __future__ import annotations

from collections.abc import Mapping

from strbench.reproductions import Reproduction, Row, Scale, Training

from .detection_tables import DETECTION_TABLES
from .image_tables import IMAGE_TABLES
from .scales import (
    CPU_HOUR,
    CPU_NIGHT,
    DEMO,
    DEMO_DATA,
    DIG,
    DIG_PAPER_DATA,
    HALF_REAL,
    MIXED_DATA,
    PAPER,
    REAL,
    SMALL,
    SMOKE,
    encoder,
)

_ELEVEN = (
    "iiit5k/test",
    "svt/test",
    "ic13_857/test",
    "ic15_1811/test",
    "svtp/test",
    "cute80/test",
    "cocotext_9896/test",
    "ctw1500_1572/test",
    "totaltext_2201/test",
    "host/test",
    "wost/test",
)
_CTC = "The decoder is CTC in place of the transformer, which needs more steps before it reads."
_PRETRAINED = {  # name of the method, "" from scratch -> label, variant in the CSV
    "": ("Scratch", "ViT-Small, from scratch"),
    "gen": ("Gen", "ViT-Small, generative only"),
    "dis": ("Dis", "ViT-Small, discriminative only"),
    "dig": ("DiG", "ViT-Small"),
}
# SeqCLR is not in the printed tables; on the encoder of the others it stands beside them.
_AND_SEQCLR = {**_PRETRAINED, "seqclr-vit": ("SeqCLR", "")}


def _dig_scales(
    *, cpu: tuple[Row, ...], small: tuple[Row, ...] = (), note: str = ""
) -> dict[str, Scale]:
    """The four scales of DiG's tables.

    Args:
        cpu: the rows of smoke and cpu-hour, whose encoders have 4 blocks; note: what they differ in.
        small: the rows of small, where they are not the table's.
    """
    real = (*_ELEVEN, "ic15_2077/test")
    return {
        "smoke": Scale(
            title=SMOKE, recipe="smoke", data=DEMO_DATA, splits=DEMO, rows=cpu, note=note
        ),
        "cpu-hour": Scale(
            title=CPU_HOUR, recipe="cpu-hour", data=MIXED_DATA, splits=real, rows=cpu, note=note
        ),
        "small": Scale(title=SMALL, recipe="small", data=MIXED_DATA, splits=real, rows=small),
        "paper": Scale(title=PAPER, recipe="paper", data=DIG_PAPER_DATA),
    }


def _frozen(freeze: int, recognizer: str) -> tuple[Row, ...]:
    return tuple(
        Row(
            label=f"{label}, frozen",
            run=Training(
                key=f"{method or 'scratch'}-frozen",
                entry=recognizer,
                data="labelled",
                settings=(f"freeze={freeze}",),
                parents=encoder(method),
            ),
            reported={"method": "DiG", "variant": variant, "frozen_encoder": "yes"},
            against="Scratch, frozen" if method else "",
        )
        for method, (label, variant) in _PRETRAINED.items()
    )


def _fractions(recognizer: str, pretrained: Mapping[str, tuple[str, str]]) -> tuple[Row, ...]:
    parts = {
        "1 %": (0.01, "1% (27.8K)"),
        "10 %": (0.1, "10% (278K)"),
        "100 %": (1.0, "100% (2.78M)"),
    }
    return tuple(
        Row(
            label=f"{label}, {percent}",
            run=Training(
                key=f"{method or 'scratch'}-first{part:g}",
                entry=recognizer,
                data="labelled",
                part=("first", part) if part < 1 else None,
                parents=encoder(method),
            ),
            reported={
                "method": "DiG",
                "variant": variant,
                "label_fraction": fraction,
                "frozen_encoder": "no",
            }
            if variant
            else {},
            against=f"Scratch, {percent}" if method else "",
        )
        for percent, (part, fraction) in parts.items()
        for method, (label, variant) in pretrained.items()
    )


def _decoders(sizes: Mapping[str, str]) -> tuple[Row, ...]:
    """Args: sizes: name of a size in the paper -> the setting here, "" the recipe's own."""
    entries = {"CTC": "vit-ctc", "Attention": "vit-attention", "Transformer": "vit-transformer"}
    return tuple(
        Row(
            label=f"DiG, ViT-{name}, {decoder}",
            run=Training(
                key=f"dig{f'-{size}' if size else ''}-{entry.removeprefix('vit-')}",
                entry=entry,
                data="synthetic",
                parents=encoder("dig", size),
            ),
            reported={"method": "DiG", "variant": f"ViT-{name}", "decoder": decoder},
        )
        for decoder, entry in entries.items()
        for name, size in sizes.items()
    )


_SEQCLR = "Aberdam et al., SeqCLR, CVPR 2021"
_SEQCLR_COLUMNS = ("iiit5k/test", "ic03_867/test", "ic13_1015/test")


def _mappings(decoders: Mapping[str, str]) -> tuple[Row, ...]:
    projections = {"none": "no projection", "linear": "a linear layer a frame", "bilstm": "BiLSTM"}
    mappings = {
        "all": "all to instance",
        "window": "window to instance",
        "frame": "frame to instance",
    }
    return tuple(
        Row(
            label=f"{mappings[mapping]}, {projections[projection]}, {decoder}",
            run=Training(
                key=f"seqclr-{projection}-{mapping}-{entry}",
                entry=entry,
                data="labelled",
                settings=("probe=true",),
                parents=(
                    Training(
                        key=f"seqclr-{projection}-{mapping}",
                        entry="seqclr",
                        data="pretraining",
                        settings=(f"projection={projection}", f"mapping={mapping}"),
                    ),
                ),
            ),
            against=f"{mappings['all']}, {projections[projection]}, {decoder}"
            if mapping != "all"
            else "",
        )
        for decoder, entry in decoders.items()
        for projection in projections
        for mapping in mappings
    )


_ZHENG = "Zheng et al., CVPR 2022"
_ZHENG_COLUMNS = (
    "iiit5k/test",
    "svt/test",
    "ic13_857/test",
    "ic13_1015/test",
    "ic15_1811/test",
    "ic15_2077/test",
    "svtp/test",
    "cute80/test",
)
_TRBA_OF_ZHENG = ("tokens=str-fewer-labels", "channels=3")


def _consistency(*, warm: bool) -> tuple[Row, ...]:
    """Args: warm: every method starts from the supervised recognizer, as only pseudo-labels do else."""

    def supervised(part: float) -> Training:
        return Training(
            key=f"trba-random{part:g}",
            entry="trba",
            data="labelled",
            settings=_TRBA_OF_ZHENG,
            part=("random", part) if part < 1 else None,
        )

    rows = []
    for part, percent in ((0.1, "10 %"), (1.0, "100 %")):
        filters = {"method": "character-level consistency", "label_fraction": f"{100 * part:g}%"}
        base = f"TRBA, supervised, {percent}"
        rows.append(
            Row(
                label=base,
                run=supervised(part),
                reported={**filters, "variant": "TRBA_pr (supervised)"},
            )
        )
        methods = {"character-consistency": "character-level consistency"}
        if part < 1:
            others = {"pseudo-label": "Pseudo-Label", "mean-teacher": "Mean Teacher"}
            methods = {**others, "fixmatch": "FixMatch", **methods}
        for entry, title in methods.items():
            printed = {**filters, "variant": "TRBA_cr"} if entry == "character-consistency" else {}
            rows.append(
                Row(
                    label=f"TRBA, {title}, {percent}",
                    run=Training(
                        key=f"{entry}-random{part:g}",
                        entry=entry,
                        data="labelled",
                        unlabelled="unlabelled",
                        part=("random", part) if part < 1 else None,
                        parents=(supervised(part),) if warm or entry == "pseudo-label" else (),
                    ),
                    reported=printed,
                    against=base,
                )
            )
    return tuple(rows)


REPRODUCTIONS: Mapping[str, Reproduction] = {
    "dig-main": Reproduction(
        title="DiG, three decoders and sizes",
        source=f"{DIG}, main table",
        columns=_ELEVEN,
        rows=_decoders({"Tiny": "tiny", "Small": "", "Base": "base"}),
        scales=_dig_scales(cpu=_decoders({"Small": ""}), small=_decoders({"Tiny": ""})),
        note="Fine-tuned on synthetic words, which is inferred. IAM and CVL, fine-tuned on their own "
        "training words, are no part of it.",
    ),
    "dig-frozen": Reproduction(
        title="DiG, frozen encoders",
        source=f"{DIG}, table of frozen encoders",
        columns=_ELEVEN,
        rows=_frozen(13, "vit-transformer"),
        scales=_dig_scales(cpu=_frozen(5, "vit-ctc"), note=_CTC),
        average="average of 11",
        note="Frozen as the release does it: patch projection and blocks, with dropout on and the final "
        "norm trained. The decoder is the release's default, inferred. From scratch means an encoder "
        "that was never trained; the printed table has no such row.",
    ),
    "dig-fractions": Reproduction(
        title="DiG, label fractions",
        source=f"{DIG}, table of label fractions",
        columns=_ELEVEN,
        rows=_fractions("vit-transformer", _PRETRAINED),
        scales={
            "cpu-night": Scale(
                title=CPU_NIGHT,
                recipe="cpu-hour",
                data={"pretraining": HALF_REAL, "labelled": HALF_REAL},
                splits=("svt/test", "ic15_2077/test", "cute80/test"),
                settings={"vit-ctc": ("steps=6000", "warmup_steps=200")},
                # The most labels first: there something can be read.
                rows=tuple(
                    row
                    for percent in ("100 %", "10 %", "1 %")
                    for row in _fractions("vit-ctc", _AND_SEQCLR)
                    if row.label.endswith(f", {percent}")
                ),
                seeds=3,
                note=_CTC,
            ),
            **_dig_scales(cpu=_fractions("vit-ctc", _AND_SEQCLR), note=_CTC),
        },
        average="average of 11",
        note="A fraction is the first samples of each set, as in the release.",
    ),
    "seqclr-mapping": Reproduction(
        title="SeqCLR, projection and instance mapping",
        source=f"{_SEQCLR}, decoder evaluation",
        columns=_SEQCLR_COLUMNS,
        rows=_mappings({"CTC": "trbc", "attention": "trba"}),
        scales={
            "smoke": Scale(
                title=SMOKE,
                recipe="smoke",
                data=DEMO_DATA,
                splits=DEMO,
                rows=_mappings({"CTC": "trbc"}),
            ),
            "small": Scale(
                title=SMALL,
                recipe="small",
                data=MIXED_DATA,
                splits=(*_SEQCLR_COLUMNS, "svt/test", "ic15_2077/test", "cute80/test"),
            ),
            "paper": Scale(
                title=PAPER,
                recipe="paper",
                data={"pretraining": ("synthtext/train",), "labelled": ("synthtext/train",)},
            ),
        },
        note="The encoder is frozen whole and the projection dropped: the decoder's accuracy says what "
        "the encoder has learnt. The grid is that of the reference code's options.",
    ),
    "cr-str": Reproduction(
        title="Character-level consistency and other semi-supervised training of TRBA",
        source=f"{_ZHENG}, README of the official code",
        columns=_ZHENG_COLUMNS,
        rows=_consistency(warm=False),
        scales={
            "smoke": Scale(
                title=f"{SMOKE}; every method starts from the supervised recognizer",
                recipe="smoke",
                data=DEMO_DATA,
                splits=DEMO,
                rows=_consistency(warm=True),
            ),
            "small": Scale(
                title=SMALL,
                recipe="small",
                data={
                    "labelled": ("rendered/train",),
                    "unlabelled": ("rendered/unlabelled", *REAL),
                },
                # as the supervised recognizer reads
                settings=dict.fromkeys(
                    ("mean-teacher", "fixmatch", "character-consistency"), ("charset=36",)
                ),
                note="Supervised rows and Pseudo-Label see 12,000 batches of 256 labelled images, the others "
                "10,000 of 128 labelled and 128 unlabelled ones.",
            ),
            "paper": Scale(
                title=f"{PAPER}; 10.6 million unlabelled crops are not public, Union14M-U stands in",
                recipe="paper",
                recipes={"trba": "str-fewer-labels"},
                # Adam and one cycle as in that recipe; the rest as the official supervised command.
                settings={"trba": ("lr=1e-3", "batch_size=384", "steps=250000")},
                data={
                    "labelled": ("mjsynth/train=0.5", "synthtext/train=0.5"),
                    "unlabelled": ("u14m_u/book32", "u14m_u/cc", "u14m_u/openvino"),
                },
                note="Supervised rows have the augmentation of STR-Fewer-Labels, in the paper its own. Rows of "
                "10 % see all unlabelled crops, in the paper a tenth of them, 1.06 million.",
            ),
        },
        note="10 % of the labels are drawn at random by the seed; the paper's list is another. Pseudo-Label "
        "is taught by the supervised row.",
    ),
    **IMAGE_TABLES,
    **DETECTION_TABLES,
}
