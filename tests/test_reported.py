"""The reported figures: whole, unique, in range, and their printed averages recomputed."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from strbench import registry
from strbench.benchmarks.suites import SUITES
from strbench.region_protocols import REGION_PROTOCOLS
from strbench.report.reported import Figure, load_reported
from strbench.report.table import build

FIGURES = load_reported()
READ = ("e2e_none", "e2e_full", "e2e_strong", "e2e_weak", "e2e_generic")
PHOTOGRAPHS = [f for f in FIGURES if f.metric in ("precision", "recall", "hmean", *READ)]
IMAGES = [f for f in FIGURES if f.metric != "word_accuracy" and f not in PHOTOGRAPHS]

# Sizes of the sets that a sample-weighted average is taken over: HOST and WOST from Wang et al.
# 2021, the other six from their official test lists, COCO-Text 9896, CTW 1572 and Total-Text 2201
# from the DiG repository.
SIZES = {
    "IIIT5K": 3000, "SVT": 647, "SVTP": 645, "CUTE80": 288, "COCO-Text": 9896, "CTW": 1572,
    "Total-Text": 2201, "HOST": 2416, "WOST": 2416, "IC13_857": 857, "IC13_1015": 1015,
    "IC15_1811": 1811, "IC15_2077": 2077,
}  # fmt: skip
COMMON = ("IIIT5K", "SVT", "IC13_857", "IC15_1811", "SVTP", "CUTE80")
# TextZoom's three test sets as C3-STISR's paper counts them, section 4.1.
TEXTZOOM = {"TextZoom easy": 1619, "TextZoom medium": 1411, "TextZoom hard": 1343}
RCLSTR = ("IIIT5K", "IC03", "IC13", "SVT", "IC15", "SVTP", "CUTE80")
# The DiG row whose IC13 and CUTE80 cells are empty: the average does not tell which is which.
UNDECIDED = ("97.3", "96.2")

Row = dict[str, str]  # dataset as printed -> value


def rows() -> dict[tuple[str, ...], list[Figure]]:
    found: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for figure in FIGURES:
        key = (figure.label, figure.decoder, figure.frozen_encoder, figure.metric, figure.source)
        found[key].append(figure)
    return found


def checked(how: str, source: str) -> list[Row]:
    """The rows of a source whose average is said to be recomputed."""
    picked = []
    for figures in rows().values():
        row = {f.dataset: f.value for f in figures if how in f.verified_by}
        if source in figures[0].source and any(name.startswith("average") for name in row):
            picked.append(row)
    return picked


def decimals(text: str) -> int:
    return len(text.partition(".")[2])


def mean(values: list[float], weights: list[int]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def tolerance(printed: str, cells: list[str]) -> float:
    """Half a unit of the average's last digit and half a unit of the coarsest cell's."""
    return 0.5 * 10 ** -decimals(printed) + 0.5 * 10 ** -min(map(decimals, cells)) + 1e-9


def dig_sizes(ic13: int = 857, ic15: int = 1811, coco: int = 9896) -> dict[str, int]:
    names = ("IIIT5K", "SVT", "SVTP", "CUTE80", "CTW", "Total-Text", "HOST", "WOST")
    return {name: SIZES[name] for name in names} | {"IC13": ic13, "IC15": ic15, "COCO-Text": coco}


def weighted(row: Row, sizes: dict[str, int]) -> float:
    return mean([float(row[name]) for name in sizes], list(sizes.values()))


def whole_dig_rows() -> list[Row]:
    return [row for row in checked("weighted-average", "DiG, ACM MM 2022") if "IC13" in row]


def test_dig_averages_are_weighted_and_reproduce_to_the_printed_digit() -> None:
    found = whole_dig_rows()
    assert len(found) == 14
    for row in found:
        assert abs(weighted(row, dig_sizes()) - float(row["average of 11"])) <= 0.05 + 1e-9


def test_the_dig_row_with_two_undecided_cells_reproduces_either_way() -> None:
    (row,) = (r for r in checked("weighted-average", "DiG, ACM MM 2022") if "IC13" not in r)
    assert "CUTE80" not in row
    for ic13, cute in (UNDECIDED, UNDECIDED[::-1]):
        both = {**row, "IC13": ic13, "CUTE80": cute}
        assert abs(weighted(both, dig_sizes()) - float(row["average of 11"])) <= 0.05


def test_no_other_set_sizes_give_every_dig_average() -> None:
    """Why IC13 and IC15 of those tables stand beside ic13_857 and ic15_1811."""
    fitting = [
        sizes
        for sizes in itertools.product((857, 1015, 1095), (1811, 2077), (9896, 9825))
        if all(
            abs(weighted(row, dig_sizes(*sizes)) - float(row["average of 11"])) <= 0.05 + 1e-9
            for row in whole_dig_rows()
        )
    ]
    assert fitting == [(857, 1811, 9896)]


@pytest.mark.parametrize(
    ("source", "names", "n"),
    [
        ("SemiMTR", ("IIIT5K", "SVT", "IC13_1015", "IC15_2077", "SVTP", "CUTE80"), 4),
        ("ABINet, CVPR 2021", COMMON, 2),
        ("PARSeq", ("IIIT5K", "SVT", "IC13_1015", "IC15_2077", "SVTP", "CUTE80"), 1),
    ],
)
def test_weighted_averages_reproduce(source: str, names: tuple[str, ...], n: int) -> None:
    found = [row for row in checked("weighted-average", source) if "average of 6" in row]
    assert len(found) == n
    for row in found:
        again = weighted(row, {name: SIZES[name] for name in names})
        assert abs(again - float(row["average of 6"])) <= 0.5 * 10 ** -decimals(row["average of 6"])


UNION = tuple(
    f"U14M-{name}"
    for name in (
        "Curve", "MultiOriented", "Artistic", "Contextless", "Salient", "MultiWords", "General",
    )
)  # fmt: skip
FULLER = ("IIIT5K", "SVT", "IC13_1015", "IC15_2077", "SVTP", "CUTE80")


@pytest.mark.parametrize(
    ("source", "average", "names", "n"),
    [
        ("SVTRv2", "average of 6", COMMON, 26),
        ("SVTRv2", "average of Union14M-Benchmark", UNION, 54),
        ("MDiff4STR", "average of 6", COMMON, 3),
        ("MDiff4STR", "average of Union14M-Benchmark", UNION, 3),
        ("IGTR", "average of 6", COMMON, 2),
        ("IGTR", "average of Union14M-Benchmark", UNION, 2),
        ("RCLSTR", "average", RCLSTR, 10),
        ("Union14M, ICCV 2023", "average", FULLER, 8),
    ],
)
def test_plain_averages_reproduce(
    source: str, average: str, names: tuple[str, ...], n: int
) -> None:
    found = [row for row in checked("plain-average", source) if average in row]
    assert len(found) == n
    for row in found:
        cells = [row[name] for name in names]
        again = mean([float(cell) for cell in cells], [1] * len(cells))
        assert abs(again - float(row[average])) <= tolerance(row[average], cells)


@pytest.mark.parametrize(
    ("source", "n"),
    [
        ("C3-STISR, IJCAI 2022, Table 1", 32),
        ("LEMMA, IJCAI 2023, Table 1", 12),
        ("LEMMA, IJCAI 2023, README.md", 3),
    ],
)
def test_averages_of_textzoom_weigh_the_sets_by_their_sizes(source: str, n: int) -> None:
    found = checked("weighted-average", source)
    assert len(found) == n
    for row in found:
        printed = row["average of TextZoom"]
        assert abs(weighted(row, TEXTZOOM) - float(printed)) <= 0.5 * 10 ** -decimals(printed)
        cells = [row[name] for name in TEXTZOOM]
        plain = mean([float(cell) for cell in cells], [1, 1, 1])
        assert abs(plain - float(printed)) > tolerance(printed, cells)  # no other mean fits


def test_one_row_of_textzoom_is_off_by_less_than_its_cells_are_rounded() -> None:
    (row,) = (
        {f.dataset: f.value for f in figures}
        for figures in rows().values()
        if {f.dataset for f in figures} > TEXTZOOM.keys() and figures[0].verified_by == "read-again"
    )
    # (74.2 * 1619 + 61.0 * 1411 + 43.2 * 1343) / 4373
    assert weighted(row, TEXTZOOM) == pytest.approx(60.42, abs=0.005)
    average = row["average of TextZoom"]
    assert average == "60.5"
    assert abs(weighted(row, TEXTZOOM) - 60.5) <= tolerance(average, list(row.values()))


def test_two_papers_print_the_same_averages_but_for_tbsrn() -> None:
    def averages(paper: str) -> dict[tuple[str, str], str]:
        names = {"BICUBIC": "Bicubic", "STT": "TBSRN"}
        return {
            (names.get(f.method, f.method), f.metric): f.value
            for f in IMAGES
            if f"{paper}, IJCAI" in f.source
            and f.dataset == "average of TextZoom"
            and (f.metric in ("psnr", "ssim") or "read by CRNN" in f.variant)
            and "release" not in f.variant
        }

    one, other = averages("C3-STISR"), averages("LEMMA")
    both = one.keys() & other.keys()
    assert len(both) == 3 * 4  # Bicubic, TBSRN, TG, C3-STISR
    assert {key for key in both if one[key] != other[key]} == {("TBSRN", "psnr"), ("TBSRN", "ssim")}


def test_words_are_harder_to_read_from_set_to_set_and_none_easier_than_the_true_images() -> None:
    best: dict[tuple[str, str, str], float] = {}
    for figures in rows().values():
        row = {f.dataset: float(f.value) for f in figures}
        if figures[0].metric.endswith("_accuracy") and TEXTZOOM.keys() <= row.keys():
            easy, medium, hard = (row[name] for name in TEXTZOOM)
            assert easy > medium >= hard, figures[0].label
        for f in figures:
            if f.method == "HR":
                best[f.source, f.variant, f.dataset] = float(f.value)
    restored = [f for f in IMAGES if f.metric == "restored_accuracy" and "Table 1 (p" in f.source]
    for f in restored:
        reader = f.variant.removeprefix("TBSRN, ").partition(",")[0]
        assert float(f.value) < best[f.source, f"{reader}, as printed by C3-STISR", f.dataset]
    assert len(restored) == 10 * 3 * 4


def test_every_average_that_is_said_to_be_recomputed_is_recomputed_here() -> None:
    averages = [
        f for f in FIGURES if f.dataset.startswith("average") and "average" in f.verified_by
    ]
    assert len(averages) == 14 + 1 + 4 + 2 + 1 + 26 + 54 + 3 + 3 + 2 + 2 + 10 + 8 + 32 + 12 + 3


def test_no_figure_stands_twice() -> None:
    keys = [
        (f.label, f.decoder, f.frozen_encoder, f.label_fraction, f.dataset, f.metric, f.source)
        for f in FIGURES
    ]
    assert len(keys) == len(set(keys))
    shown = [(f.label, f.citation, f.split, f.metric) for f in FIGURES if f.split]
    assert len(shown) == len(set(shown))  # one cell of a table holds one figure


# Metric -> lowest and highest value, and how many digits after the point are printed.
PERCENT = (0, 100, (0, 1, 2, 3))
RANGES = {"psnr": (10, 60, (2,)), "ssim": (0, 1, (4,))}
RANGES |= dict.fromkeys(
    ("word_accuracy", "restored_accuracy", "low_accuracy", "high_accuracy", "fg_iou", "texrnet_f"),
    PERCENT,
)
RANGES |= dict.fromkeys(("precision", "recall", "hmean", *READ), PERCENT)


def test_values_are_in_the_unit_of_their_metric_with_the_digits_of_print() -> None:
    for figure in FIGURES:
        low, high, digits = RANGES[figure.metric]
        assert low <= float(figure.value) <= high, figure
        assert decimals(figure.value) in digits, figure
    # A share kept as a fraction would be below 1; bicubic read by CRNN is lowest, 21.1.
    assert min(float(f.value) for f in IMAGES if RANGES[f.metric] is PERCENT) > 20
    # SegLink on curved text
    assert min(float(f.value) for f in PHOTOGRAPHS) == 23.8


def test_the_project_s_own_texts_count_them() -> None:
    root = Path(__file__).parents[1]
    for name in ("README.md", "CHANGELOG.md"):
        assert f" {len(FIGURES):,} figures" in (root / name).read_text(encoding="utf-8"), name


def test_a_fuller_set_of_the_same_photographs_is_not_easier() -> None:
    """IC15 2,077 holds the 1,811 and harder words: no row may score higher on it."""
    for figures in rows().values():
        row = {f.dataset: float(f.value) for f in figures}
        if {"IC15_1811", "IC15_2077"} <= row.keys():
            assert row["IC15_2077"] <= row["IC15_1811"], figures[0].label


# What sources print -> our dataset id, where it is not the same word.
PRINTED = {
    "U14M-Curve": "union14m_curve",
    "U14M-MultiOriented": "union14m_multi_oriented",
    "U14M-Artistic": "union14m_artistic",
    "U14M-Contextless": "union14m_contextless",
    "U14M-Salient": "union14m_salient",
    "U14M-MultiWords": "union14m_multi_words",
    "U14M-General": "union14m_general",
    "COCO(9825)": "cocotext_9825",
    "ArT(35149)": "art",
    "Uber(80551)": "uber",
    "COCO-Text": "cocotext_9896",
    "CTW": "ctw1500_1572",
    "Total-Text": "totaltext_2201",
    "TextZoom easy": "textzoom/test_easy",
    "TextZoom medium": "textzoom/test_medium",
    "TextZoom hard": "textzoom/test_hard",
    "ICDAR13 FST": "ic13_fst",
}
# What sources print -> our split, of photographs.
PRINTED_PHOTOGRAPHS = {
    "ICDAR2013": "ic13_det/test",
    "ICDAR2015": "ic15_det/test",
    "MSRA-TD500": "td500/test",
    "Total-Text": "totaltext_det/test",
    "CTW1500": "ctw1500_det/test",
}


def test_split_ids_are_ours_and_agree_with_what_was_printed() -> None:
    ours = {split for suite in registry.table("suites").values() for split in suite.splits}
    # In no suite: TexRNet's other sets.
    ours |= {"textseg_v1/test", "coco_ts/val", "mlt_s/val"}
    for figure in PHOTOGRAPHS:
        assert figure.split == PRINTED_PHOTOGRAPHS[figure.dataset], figure
    assert set(PRINTED_PHOTOGRAPHS.values()) < ours
    for figure in FIGURES:
        if figure.split and figure not in PHOTOGRAPHS:
            assert figure.split in ours, figure
            assert not figure.split.startswith("rendered")
            printed = PRINTED.get(figure.dataset, figure.dataset.lower())
            assert figure.split.removesuffix("/test").startswith(printed), figure
    # Sets whose variant the source does not settle have no split.
    assert not any(
        f.split for f in FIGURES if f.dataset in ("IC13", "IC15") and "DiG" not in f.source
    )


def test_a_metric_belongs_to_the_task_of_the_split() -> None:
    specs = [registry.load("datasets", name) for name in registry.names("datasets")]
    tasks = {split.name: spec.task for spec in specs for split in spec.splits}
    wanted = {"word_accuracy": "recognition", "fg_iou": "segmentation", "texrnet_f": "segmentation"}
    wanted |= {figure.metric: "detection" for figure in PHOTOGRAPHS}
    for figure in FIGURES:
        if figure.split:
            assert tasks[figure.split] == wanted.get(figure.metric, "super-resolution"), figure


def test_a_row_that_is_not_its_authors_own_says_who_printed_it() -> None:
    for figure in IMAGES:
        printer = figure.source.split(", ")[1]
        is_cited = f"as printed by {printer}" in figure.variant
        assert is_cited is (figure.method != printer), figure
        assert is_cited is ("as printed by" in figure.variant), figure
        is_reading = figure.metric.endswith("_accuracy")
        assert is_reading is ("read by " in figure.variant), figure


# --- photographs

# What is known to be wrong or doubtful in print, and kept as it is printed.
FLAGS = {"f-off", "exchanged", "disputed", "repeated", "label-in-doubt"}

PhotoRow = dict[str, Figure]  # metric -> figure


def photograph_rows() -> dict[tuple[str, ...], PhotoRow]:
    found: dict[tuple[str, ...], PhotoRow] = defaultdict(dict)
    for figure in PHOTOGRAPHS:
        key = (figure.method, figure.variant, figure.train_data, figure.split, figure.source)
        found[key][figure.metric] = figure
    return found


def flagged(flag: str) -> list[Figure]:
    return [f for f in PHOTOGRAPHS if flag in f.verified_by.split("; ")]


def test_figures_of_photographs_are_counted_by_set_and_metric() -> None:
    assert len(PHOTOGRAPHS) == 849
    assert Counter(f.split for f in PHOTOGRAPHS) == {
        "ic13_det/test": 3,
        "ic15_det/test": 343,
        "td500/test": 87,
        "totaltext_det/test": 224,
        "ctw1500_det/test": 192,
    }
    assert Counter(f.metric for f in PHOTOGRAPHS) == {
        "precision": 225, "recall": 225, "hmean": 314, "e2e_none": 26, "e2e_full": 23,
        "e2e_strong": 12, "e2e_weak": 12, "e2e_generic": 12,
    }  # fmt: skip


def test_f_is_of_p_and_r_but_where_it_is_said_not_to_be() -> None:
    """F = 2 P R / (P + R) grows with both, so cells that were rounded bound it."""
    wrong = set()
    n = 0
    for key, row in photograph_rows().items():
        if not {"precision", "recall"} & row.keys():
            continue
        p, r, f = (row[metric] for metric in ("precision", "recall", "hmean"))
        n += 1
        low, high = (
            2 * a * b / (a + b)
            for a, b in (
                [float(x.value) + sign * 0.5 * 10 ** -decimals(x.value) for x in (p, r)]
                for sign in (-1, 1)
            )
        )
        half = 0.5 * 10 ** -decimals(f.value) + 1e-9
        fits = low - half <= float(f.value) <= high + half
        for figure in (p, r, f):
            kinds = figure.verified_by.split("; ")
            assert ("f-of-p-and-r" in kinds) is fits, figure
            assert ("f-off" in kinds) is not fits, figure
        if not fits:
            wrong.add((key[0], key[3], key[4].split(", ")[1], f.value))
    assert n == 225
    assert wrong == {
        # 2 * 42.3 * 40.0 / 82.3 = 41.1
        ("SegLink", "ctw1500_det/test", "VLPT-STD", "40.8"),
        ("TextDragon", "ic15_det/test", "VLPT-STD", "83.1"),
        ("TextField", "ic15_det/test", "VLPT-STD", "82.4"),
        ("PSENet", "ctw1500_det/test", "VLPT-STD", "83.3"),
        ("EAST", "ic15_det/test", "STKM", "80.87"),
        ("EAST", "ic15_det/test", "STKM", "81.54"),
        ("TextField", "ic15_det/test", "STKM", "84.1"),
        # 2 * 81.80 * 77.80 / 159.60 = 79.75
        ("PSENet", "ctw1500_det/test", "STKM", "79.72"),
        ("LOMO", "ic15_det/test", "STKM", "87.2"),
        ("LOMO", "ctw1500_det/test", "STKM", "78.4"),
        ("LOMO", "ctw1500_det/test", "CTW1500", "78.4"),
        ("DBNet++", "ic15_det/test", "MindOCR", "86.86"),
    }


def test_exchanged_cells_stand_the_other_way_elsewhere() -> None:
    rows = [
        (key[0], key[3], key[4], float(row["precision"].value), float(row["recall"].value))
        for key, row in photograph_rows().items()
        if "precision" in row
    ]
    same = {"Tian et al. (SAE)": "SAE"}
    alone = set()
    for figure in flagged("exchanged"):
        (own,) = (
            r for r in rows if (r[0], r[1], r[2]) == (figure.method, figure.split, figure.source)
        )
        method, split, source, p, r = own
        if not any(
            (same.get(o[0], o[0]), o[1], o[3], o[4]) == (same.get(method, method), split, r, p)
            for o in rows
            if o[2] != source
        ):
            alone.add(method)
    # Later versions of the leaderboard itself exchange them.
    assert alone == {"TextMountain"}
    assert {f.method for f in flagged("exchanged")} == {
        "SegLink", "SAE", "Tian et al. (SAE)", "PixelLink", "TextMountain",
    }  # fmt: skip


def test_repeated_digits_stand_in_another_row_too() -> None:
    for figure in flagged("repeated"):
        others = [
            f
            for f in PHOTOGRAPHS
            if (f.split, f.metric) == (figure.split, figure.metric)
            and (f.label, f.source) != (figure.label, figure.source)
            and abs(float(f.value) - float(figure.value)) < 0.05
        ]
        assert others, figure
    assert len(flagged("repeated")) == 9 + 6 + 2 * 3 + 3


def test_disputed_figures_have_another_value_elsewhere() -> None:
    values: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for f in PHOTOGRAPHS:
        if f.method == "TextField" or "STKM, CVPR 2021" in f.source:
            values[f.method, f.split, f.metric].add(f.value)
    for f in flagged("disputed"):
        assert len(values[f.method, f.split, f.metric]) > 1, f
    assert len(flagged("disputed")) == 4 + 2 + 6


def test_protocols_that_are_named_exist() -> None:
    named = {f.protocol.partition(":")[0].partition(",")[0] for f in PHOTOGRAPHS} - {""}
    assert named - REGION_PROTOCOLS.keys() == {
        "DPText-DETR's script; of the same outputs as the other figure",
        "DetEval with area recall 0.8 and area precision 0.4",
        "hmean-iou of MMOCR 0.x",
        "matched by points",
    }
    assert len(named & REGION_PROTOCOLS.keys()) == 7


def test_rows_quoted_from_others_say_who_printed_them() -> None:
    for f in PHOTOGRAPHS:
        _, is_quoted, printer = f.variant.partition("as printed by ")
        if is_quoted:
            assert printer.split(",")[0].split("'")[0].split(" ")[-1] in f.source, f
    ours = Counter(f.variant for f in PHOTOGRAPHS if "as printed by" in f.variant)
    assert ours == {
        "as printed by VLPT-STD": 51,
        "as printed by STKM": 57,
        "as printed by Hindawi 8916028": 33,
        "as printed by CTW1500's leaderboard": 33,
        "as printed by codesota.com": 12,
    }


def test_printed_detection_stands_in_its_own_suite_and_not_under_reading() -> None:
    (table,) = build([], suite="detection", reported=True).tables
    assert (table.metric, table.has_averages) == ("hmean", False)
    cells = {(line.model, line.source): line.cells for line in table.lines}
    row = cells[
        "PSENet (ResNet50 (CLIP-style), oCLIP, SynthText)", "reported, Xue et al., oCLIP, ECCV 2022"
    ]
    assert {split: cell.printed for split, cell in row.items()} == {"totaltext_det/test": "85.5"}
    assert sum(len(line.cells) for line in table.lines) == 314
    (other,) = build([], suite="detection", metric="recall", reported=True).tables
    assert sum(len(line.cells) for line in other.lines) == 225


def test_printed_reading_stands_in_a_table_a_lexicon() -> None:
    tables = {t.protocol: t for t in build([], suite="spotting", reported=True).tables}
    splits, said = SUITES["spotting"].splits, "as printed in the papers"
    with_words = [f"{said}, lexicon {kind}" for kind in ("strong", "weak", "generic", "full")]
    assert list(tables) == [said, *with_words]
    for protocol, metric in zip(tables, ("none", "strong", "weak", "generic", "full"), strict=True):
        shown = [c.printed for line in tables[protocol].lines for c in line.cells.values()]
        held = [f.value for f in FIGURES if f.metric == f"e2e_{metric}" and f.split in splits]
        assert sorted(shown) == sorted(held)
        assert shown
    assert build([], suite="spotting", metric="precision", reported=True).tables == ()


# --- where figures are from


def test_every_figure_says_where_it_is_from_and_how_it_was_checked() -> None:
    kinds = {"weighted-average", "plain-average", "read-again", "two-sources", "slides"}
    kinds |= {"f-of-p-and-r", "second-hand", *FLAGS}
    for figure in FIGURES:
        assert figure.source
        assert set(figure.verified_by.split("; ")) <= kinds
        assert set(figure.verified_by.split("; ")) - FLAGS, figure
        assert "seed" not in figure.source
        assert figure.citation
    quoted = [f for f in FIGURES if "review slides" in f.source and f not in PHOTOGRAPHS]
    assert {f.verified_by for f in quoted} == {"weighted-average", "slides"}
    alone = [f for f in quoted if f.verified_by == "slides"]
    assert len(alone) == 6 * 3 * 2  # rows, sets, PSNR and SSIM
    assert {f.source for f in alone} == {
        "Yang et al., DiG, ACM MM 2022, table of super-resolution, as given in review slides"
    }
