"""The reported figures: whole, unique, in range, and their printed averages recomputed."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path

import pytest

from strbench import registry
from strbench.report.reported import Figure, load_reported

FIGURES = load_reported()
IMAGES = [figure for figure in FIGURES if figure.metric != "word_accuracy"]

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


def test_values_are_in_the_unit_of_their_metric_with_the_digits_of_print() -> None:
    for figure in FIGURES:
        low, high, digits = RANGES[figure.metric]
        assert low <= float(figure.value) <= high, figure
        assert decimals(figure.value) in digits, figure
    # A share kept as a fraction would be below 1; bicubic read by CRNN is lowest, 21.1.
    assert min(float(f.value) for f in IMAGES if RANGES[f.metric] is PERCENT) > 20


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


def test_split_ids_are_ours_and_agree_with_what_was_printed() -> None:
    ours = {split for suite in registry.table("suites").values() for split in suite.splits}
    # In no suite: TexRNet's other sets.
    ours |= {"textseg_v1/test", "coco_ts/val", "mlt_s/val"}
    for figure in FIGURES:
        if figure.split:
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


def test_every_figure_says_where_it_is_from_and_how_it_was_checked() -> None:
    kinds = {"weighted-average", "plain-average", "read-again", "two-sources", "slides"}
    for figure in FIGURES:
        assert figure.source
        assert set(figure.verified_by.split("; ")) <= kinds
        assert "seed" not in figure.source
        assert figure.citation
    quoted = [f for f in FIGURES if "review slides" in f.source]
    assert {f.verified_by for f in quoted} == {"weighted-average", "slides"}
    alone = [f for f in quoted if f.verified_by == "slides"]
    assert len(alone) == 6 * 3 * 2  # rows, sets, PSNR and SSIM
    assert {f.source for f in alone} == {
        "Yang et al., DiG, ACM MM 2022, table of super-resolution, as given in review slides"
    }
