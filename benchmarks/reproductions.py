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

_DEMO = (
    "rendered_demo_regular/test",
    "rendered_demo_irregular/test",
    "rendered_demo_occluded_weak/test",
    "rendered_demo_occluded_heavy/test",
    "rendered_demo_handwritten/test",
)
_DEMO_DATA = dict.fromkeys(
    ("pretraining", "labelled", "synthetic", "unlabelled"), ("rendered_demo/train",)
)
# Real training crops that a person can bring without a download of gigabytes.
_REAL = ("iiit5k/train?", "svt/train?", "ic13/train?", "ic15/train?")
_MIXED = ("rendered/train", *_REAL)
_HALF_REAL = ("rendered/train=0.5", *_REAL)
_MIXED_DATA = {"pretraining": _MIXED, "labelled": _MIXED, "synthetic": ("rendered/train",)}
_SYNTHETIC = ("mjsynth/train", "synthtext/train")

_SMOKE = "recipes smoke on rendered words"
_CPU_HOUR = "about an hour of two CPU cores a run, rendered words and a few thousand real crops"
_CPU_NIGHT = (
    "recipes cpu-hour with 6,000 steps of fine-tuning, rendered words and as many real crops: about "
    "eight hours of one CPU core a seed"
)
_SMALL = "recipes small, about an hour of one GPU a run, the data of cpu-hour"
_PAPER = "the published recipes and kind of data"

_DIG = "Yang et al., DiG, ACM MM 2022"
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
_DIG_PAPER_DATA = {
    "pretraining": ("cc_ocr/unlabelled", *_SYNTHETIC),
    "labelled": ("textocr_dig/train", "openvino_dig/train"),
    "synthetic": _SYNTHETIC,
}
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
            title=_SMOKE, recipe="smoke", data=_DEMO_DATA, splits=_DEMO, rows=cpu, note=note
        ),
        "cpu-hour": Scale(
            title=_CPU_HOUR, recipe="cpu-hour", data=_MIXED_DATA, splits=real, rows=cpu, note=note
        ),
        "small": Scale(title=_SMALL, recipe="small", data=_MIXED_DATA, splits=real, rows=small),
        "paper": Scale(title=_PAPER, recipe="paper", data=_DIG_PAPER_DATA),
    }


def _encoder(method: str, size: str = "") -> tuple[Training, ...]:
    if not method:
        return ()
    key = f"{method}-{size}" if size else method
    settings = (f"size={size}",) if size else ()
    return (Training(key=key, entry=method, data="pretraining", settings=settings, family="dig"),)


def _frozen(freeze: int, recognizer: str) -> tuple[Row, ...]:
    return tuple(
        Row(
            label=f"{label}, frozen",
            run=Training(
                key=f"{method or 'scratch'}-frozen",
                entry=recognizer,
                data="labelled",
                settings=(f"freeze={freeze}",),
                parents=_encoder(method),
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
                parents=_encoder(method),
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
                parents=_encoder("dig", size),
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


_TEXTZOOM = ("textzoom/test_easy", "textzoom/test_medium", "textzoom/test_hard")
_DRAWN_PAIRS = (
    "rendered_pairs_easy/test",
    "rendered_pairs_medium/test",
    "rendered_pairs_hard/test",
)


def _pixels(
    entry: str, data: str, pretrained: Mapping[str, str], printed: Mapping[str, str]
) -> tuple[Row, ...]:
    """A ViT that puts out pixels, from scratch and from pretrained encoders.

    Args:
        pretrained: method -> label.
        printed: label -> variant of DiG's row in the CSV.
    """
    return tuple(
        Row(
            label=label,
            run=Training(
                key=f"vit-{method or 'scratch'}", entry=entry, data=data, parents=_encoder(method)
            ),
            reported={"method": "DiG", "variant": printed[label]} if label in printed else {},
            against="Scratch" if method else "",
        )
        for method, label in pretrained.items()
    )


_CONVOLUTIONAL = {"srcnn": "SRCNN", "srresnet": "SRResNet", "tsrn": "TSRN", "tbsrn": "TBSRN"}


def _restorers(entries: Mapping[str, str]) -> tuple[Row, ...]:
    return tuple(
        Row(
            label=label,
            run=Training(key=entry, entry=entry, data="pairs"),
            reported={"method": label, "variant": "as printed by DiG"},
        )
        for entry, label in entries.items()
    )


_SR_PRINTED = {"Scratch": "ViT-Small, from scratch", "DiG": "ViT-Small"}
_ENCODERS = {"": "Scratch", "gen": "Gen", "dis": "Dis", "dig": "DiG", "mae": "MAE"}
_FEW_ENCODERS = {"": "Scratch", "gen": "Gen", "dis": "Dis", "dig": "DiG"}
_PAIRS_DATA = {"pairs": ("rendered_pairs/train",)}
_MASKS_DATA = {"masks": ("rendered_masks/train",)}

REPRODUCTIONS: Mapping[str, Reproduction] = {
    "dig-main": Reproduction(
        title="DiG, three decoders and sizes",
        source=f"{_DIG}, main table",
        columns=_ELEVEN,
        rows=_decoders({"Tiny": "tiny", "Small": "", "Base": "base"}),
        scales=_dig_scales(cpu=_decoders({"Small": ""}), small=_decoders({"Tiny": ""})),
        note="Fine-tuned on synthetic words, which is inferred. IAM and CVL, fine-tuned on their own "
        "training words, are no part of it.",
    ),
    "dig-frozen": Reproduction(
        title="DiG, frozen encoders",
        source=f"{_DIG}, table of frozen encoders",
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
        source=f"{_DIG}, table of label fractions",
        columns=_ELEVEN,
        rows=_fractions("vit-transformer", _PRETRAINED),
        scales={
            "cpu-night": Scale(
                title=_CPU_NIGHT,
                recipe="cpu-hour",
                data={"pretraining": _HALF_REAL, "labelled": _HALF_REAL},
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
                title=_SMOKE,
                recipe="smoke",
                data=_DEMO_DATA,
                splits=_DEMO,
                rows=_mappings({"CTC": "trbc"}),
            ),
            "small": Scale(
                title=_SMALL,
                recipe="small",
                data=_MIXED_DATA,
                splits=(*_SEQCLR_COLUMNS, "svt/test", "ic15_2077/test", "cute80/test"),
            ),
            "paper": Scale(
                title=_PAPER,
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
                title=f"{_SMOKE}; every method starts from the supervised recognizer",
                recipe="smoke",
                data=_DEMO_DATA,
                splits=_DEMO,
                rows=_consistency(warm=True),
            ),
            "small": Scale(
                title=_SMALL,
                recipe="small",
                data={
                    "labelled": ("rendered/train",),
                    "unlabelled": ("rendered/unlabelled", *_REAL),
                },
            ),
            "paper": Scale(
                title=f"{_PAPER}; 10.6 million unlabelled crops are not public, Union14M-U stands in",
                recipe="paper",
                recipes={"trba": "str-fewer-labels"},
                # Adam and one cycle as in that recipe; the rest as the official supervised command.
                settings={"trba": ("lr=1e-3", "batch_size=384", "steps=250000")},
                data={
                    "labelled": ("mjsynth/train=0.5", "synthtext/train=0.5"),
                    "unlabelled": ("u14m_u/book32", "u14m_u/cc", "u14m_u/openvino"),
                },
                note="Supervised rows have the augmentation of STR-Fewer-Labels, in the paper its own.",
            ),
        },
        note="10 % of the labels are drawn at random by the seed; the paper's list is another. Pseudo-Label "
        "is taught by the supervised row.",
    ),
    "dig-superres": Reproduction(
        title="DiG, text super-resolution",
        source=f"{_DIG}, table of super-resolution",
        columns=_TEXTZOOM,
        rows=(
            *_restorers(_CONVOLUTIONAL),
            *_pixels("vit-restorer", "pairs", _ENCODERS, _SR_PRINTED),
        ),
        protocol="textzoom",
        metrics=("psnr", "ssim"),
        scales={
            "smoke": Scale(
                title="recipes smoke on rendered words and pairs",
                recipe="smoke",
                data={**_DEMO_DATA, **_PAIRS_DATA},
                splits=_DRAWN_PAIRS,
            ),
            "cpu-night": Scale(
                title="recipes cpu-hour on rendered words, a few thousand real crops and rendered pairs",
                recipe="cpu-hour",
                data={"pretraining": _HALF_REAL, **_PAIRS_DATA},
                splits=_DRAWN_PAIRS,
                rows=(
                    *_restorers({"srcnn": "SRCNN"}),
                    *_pixels("vit-restorer", "pairs", _FEW_ENCODERS, {}),
                ),
            ),
            "small": Scale(
                title=_SMALL,
                recipe="small",
                data={"pretraining": _MIXED, "pairs": ("rendered_pairs/train", "textzoom/train?")},
            ),
            "paper": Scale(
                title=_PAPER,
                recipe="paper",
                data={"pretraining": _DIG_PAPER_DATA["pretraining"], "pairs": ("textzoom/train",)},
            ),
        },
        note="The release has no code for this table. Its rows of other methods are cited, not run again, "
        "and its way of pooling PSNR is not told; here it is the mean over images.",
    ),
    "dig-segmentation": Reproduction(
        title="DiG, text segmentation",
        source=f"{_DIG}, text segmentation",
        columns=("rendered_masks/test",),
        rows=_pixels("vit-segmenter", "masks", _ENCODERS, {}),
        protocol="word-crops",
        metrics=("word_crop_iou",),
        scales={
            "smoke": Scale(
                title="recipes smoke on rendered words and masks",
                recipe="smoke",
                data={**_DEMO_DATA, **_MASKS_DATA},
            ),
            "cpu-night": Scale(
                title="recipes cpu-hour on rendered words, a few thousand real crops and rendered masks",
                recipe="cpu-hour",
                data={"pretraining": _HALF_REAL, **_MASKS_DATA},
                rows=_pixels("vit-segmenter", "masks", _FEW_ENCODERS, {}),
            ),
            "small": Scale(
                title=_SMALL, recipe="small", data={"pretraining": _MIXED, **_MASKS_DATA}
            ),
        },
        note="The paper's task is words cut out of TextSeg, which strbench does not cut; its figures were "
        "not to be read, so that none stands here.",
    ),
}
