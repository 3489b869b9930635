"""Every annotation format under generated and under damaged files: a right parse or a clear error.

A format is a reader and a writer, the writer being this test's own. Generated documents must be read
back as what was written; damaged ones must be read, or refused with an error that names the file. The
default tier takes a few hundred files of each format, the slow one 10,000 of each kind.
"""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strbench.annotations import (
    boxes,
    character_masks,
    coco,
    competition,
    curves,
    markup,
    matlab,
    mmocr,
    paddle,
    textseg,
    turned,
    word_lists,
)
from strbench.datasets.labels import leading_rows, read_rows
from strbench.errors import StrbenchError
from strbench.geometry import clockwise, signed_area, turned_box

FEW, MANY = 60, 10_000  # files of a format: in the default tier, in the slow one
PLACE = "folder/some_file.txt"

# --- what is written -----------------------------------------------------------------------------

coordinate = st.integers(-50, 5000) | st.floats(0, 4000, allow_nan=False).map(lambda v: round(v, 3))
# No line ends, no other control signs and no halves of surrogate pairs.
sign = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff")
text = st.text(sign, min_size=1, max_size=12)
word = text.map(lambda t: re.sub(r"\s", "_", t)).filter(lambda t: not t.startswith("####"))


def outlines(n: int | None = None) -> st.SearchStrategy[list[float]]:
    sides = st.integers(3, 14) if n is None else st.just(n)
    return sides.flatmap(lambda k: st.lists(coordinate, min_size=2 * k, max_size=2 * k))


def rows(
    outline: st.SearchStrategy[Any], texts: st.SearchStrategy[str] = word
) -> st.SearchStrategy[list[tuple[Any, str]]]:
    return st.lists(st.tuples(outline, texts | st.just("###")), min_size=1, max_size=4)


def shown(value: float) -> str:
    return repr(value)


def commas(values: Sequence[float]) -> str:
    return ",".join(map(shown, values))


Found = list[tuple[tuple[tuple[float, float], ...], str | None, bool]]  # polygon, text, ignored


def expected(flat: Sequence[float], label: str | None, *, ignored: bool | None = None) -> Any:
    polygon = clockwise(tuple(zip(flat[::2], flat[1::2], strict=True)))
    return polygon, label, label == "###" if ignored is None else ignored


def plain(regions: Any) -> Found:
    return [(r.polygon, r.text, r.ignored) for r in regions]


def together(pages: dict[str, Any]) -> Found:
    """The regions of all photographs; what is written here has one."""
    return [
        found
        for page in pages.values()
        for found in plain(page.regions if hasattr(page, "regions") else page)
    ]


@dataclass(frozen=True)
class Format:
    """A reader of bytes, and what draws a document together with what must be read from it."""

    name: str
    read: Callable[[bytes, str], Any]
    documents: st.SearchStrategy[tuple[str | bytes, Any]]


def per_row(
    name: str,
    read: Callable[[bytes, str], Any],
    drawn: st.SearchStrategy[list[Any]],
    row: Callable[[Any, str], str],
    want: Callable[[Any, str], Any],
) -> Format:
    def document(items: list[tuple[Any, str]], end: str, bom: bool) -> tuple[str, Any]:
        body = end.join(row(*item) for item in items) + end
        return "\ufeff" * bom + body, [want(*item) for item in items]

    drawn_documents = st.builds(document, drawn, st.sampled_from(["\n", "\r\n"]), st.booleans())
    return Format(name, lambda d, p: plain(read(d, p)), drawn_documents)


def _totaltext(flat: Sequence[float], label: str) -> str:
    xs, ys = (" \n ".join(map(shown, flat[i::2])) for i in (0, 1))
    return f"x: [[{xs}]], y: [[{ys}]], ornt: [u'c'], transcriptions: [u{label!r}]"


def _json_points(flat: Sequence[float]) -> list[list[float]]:
    return [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]


def whole(name: str, read: Callable[[bytes, str], Any], wrap: Callable[[list[Any]], Any],
          item: Callable[[int, Sequence[float], str], Any], *, ignored: tuple[str, ...] = ("###",),
          texts: st.SearchStrategy[str] = text) -> Format:  # fmt: skip
    """A JSON for all photographs, here for one."""

    def document(items: list[tuple[Any, str]]) -> tuple[str, Any]:
        body = wrap([item(i, flat, label) for i, (flat, label) in enumerate(items)])
        return json.dumps(body), [expected(f, t, ignored=t in ignored) for f, t in items]

    return Format(name, lambda d, p: together(read(d, p)), rows(outlines(), texts).map(document))


def _coco(key: str, *, ignored_text: str) -> Callable[[int, Sequence[float], str], Any]:
    def item(i: int, flat: Sequence[float], label: str) -> Any:
        return {
            "id": i, "image_id": 7, "bbox": [0, 0, 3, 3], key: list(flat), "utf8_string": label,
            "legibility": "illegible" if label == ignored_text else "legible",
        }  # fmt: skip

    return item


def _coco_page(items: list[Any]) -> Any:
    return {
        "imgs": {"7": {"id": 7, "file_name": "train/a.jpg", "set": "train"}},
        "anns": {str(i): item for i, item in enumerate(items)},
    }


def _openvino(i: int, flat: Sequence[float], label: str) -> Any:
    attributes = {"transcription": label, "legible": label != "###", "language": "english"}
    return {"id": i, "image_id": "a", "bbox": [0, 0, 2, 2], "segmentation": list(flat), "attributes": attributes}  # fmt: skip


def _characters(items: list[tuple[list[float], str]]) -> tuple[str, Any]:
    lines = [f'{i} 20 30 5 5 {" ".join(map(shown, box))} "{c}"' for i, (box, c) in enumerate(items)]
    return "\n".join(lines), [(tuple(box), c) for box, c in items]


def _tagset(items: list[tuple[list[float], str]]) -> tuple[str, Any]:
    shapes = "".join(
        f'<taggedRectangle x="{x!r}" y="{y!r}" width="{w!r}" height="{h!r}"><tag>{escape(t)}</tag></taggedRectangle>'
        for (x, y, w, h), t in items
    )
    body = f"<tagset><image><imageName>a.jpg</imageName><taggedRectangles>{shapes}</taggedRectangles></image></tagset>"
    want = [expected(boxes.box(x, y, x + w, y + h), t, ignored=False) for (x, y, w, h), t in items]
    return body, want


def _polygon_points(items: list[tuple[list[float], str]]) -> tuple[str, Any]:
    shapes = "".join(
        f'<PolygonPoints x={quoteattr(" ".join(map(shown, f[::2])))} y="{" ".join(map(shown, f[1::2]))}">{escape(t)}</PolygonPoints>'
        for f, t in items
    )
    body = f"<tagset><Image><ImageName>a</ImageName>{shapes}</Image></tagset>"
    return body, [expected(f, t, ignored=False) for f, t in items]


def _ctw_xml(items: list[tuple[list[float], str]]) -> tuple[str, Any]:
    shapes = "".join(
        f"<box><label>{escape(t)}</label><segs>{commas(flat)}</segs></box>" for flat, t in items
    )
    return f'<Annotations><image file="1.jpg">{shapes}</image></Annotations>', [expected(*i) for i in items]  # fmt: skip


def _mat(items: list[tuple[list[float], str]]) -> tuple[bytes, Any]:
    savemat = pytest.importorskip("scipy.io").savemat
    table = np.empty((len(items), 6), object)
    for i, (flat, label) in enumerate(items):
        table[i] = ["x:", np.array([flat[::2]]), "y:", np.array([flat[1::2]]), label, "c"]
    buffer = io.BytesIO()
    savemat(buffer, {"polygt": table}, do_compression=len(items) % 2 == 0)
    return buffer.getvalue(), [expected(f, t, ignored=t == "#") for f, t in items]


box4 = st.tuples(*[st.integers(0, 900)] * 4).map(list)
latin = st.text(
    st.characters(max_codepoint=0xFF, exclude_categories=("Cc", "Zs", "Cf")), min_size=1, max_size=9
)
# A polygon's text ends where the numbers do, so one that is a number itself may be taken for one.
wordy = word.filter(lambda t: not boxes.count_numbers(t.split(",")))
xml_text = text.map(str.strip).filter(lambda t: t and not re.search("[\ufffe\uffff]", t))
path = st.from_regex(r"[a-z]{1,6}/[0-9]{1,4}\.(jpg|png)", fullmatch=True)

FORMATS = [
    per_row("ltrb", partial(boxes.read_boxes, layout="ltrb"), rows(box4),
            lambda b, t: ", ".join(map(shown, b)) + ', "' + t.replace("\\", "\\\\").replace('"', '\\"') + '"',
            lambda b, t: expected(boxes.box(*b), t)),
    per_row("quad", partial(boxes.read_boxes, layout="quad"), rows(outlines(4)),
            lambda f, t: f"{commas(f)},{t}", expected),
    per_row("quad-script", partial(boxes.read_boxes, layout="quad-script"), rows(outlines(4)),
            lambda f, t: f"{commas(f)},Latin,{t}", expected),
    per_row("polygon", partial(boxes.read_boxes, layout="polygon"), rows(outlines(), wordy),
            lambda f, t: f"{commas(f)},{t}", expected),
    per_row("polygon-14", partial(boxes.read_boxes, layout="polygon-14"), rows(outlines(14)),
            lambda f, t: f"{commas(f)},{t}", expected),
    per_row("Total-Text", curves.read_totaltext, rows(outlines(), word.filter(str.isprintable)), _totaltext,
            lambda f, t: expected(f, t, ignored=t == "#")),
    per_row("CTW1500", curves.read_ctw1500, rows(outlines(14)),
            lambda f, t: f"{commas(f)},####{t}", expected),
    per_row("TD500", turned.read_turned,
            rows(st.tuples(*[st.integers(0, 900)] * 4, st.floats(-1.57, 1.57))),
            lambda b, t: f"3 {int(t == '###')} {' '.join(map(shown, b))}",
            lambda b, t: expected(turned_box(*b), None, ignored=t == "###")),
    whole("LSVT", competition.read_lsvt, lambda items: {"gt_0": items},
          lambda i, f, t: {"transcription": t, "points": _json_points(f), "illegibility": False}),
    whole("COCO-Text", coco.read_cocotext, _coco_page, _coco("mask", ignored_text="###")),
    whole("TextOCR", coco.read_textocr, _coco_page, _coco("points", ignored_text=""), ignored=(".",)),
    whole("OpenVINO", coco.read_openvino,
          lambda items: {"images": [{"id": "a", "file_name": "t/a.jpg"}], "annotations": items}, _openvino),
    whole("PaddleOCR", lambda d, p: paddle.read_paddle(b"a.jpg\t" + d, p), lambda items: items,
          lambda i, f, t: {"transcription": t, "points": _json_points(f)}, ignored=("###", "*")),
    whole("MMOCR", mmocr.read_mmocr,
          lambda items: {"metainfo": {"dataset_type": "TextSpotterDataset"},
                         "data_list": [{"img_path": "a.jpg", "instances": items}]},
          lambda i, f, t: {"polygon": list(f), "text": t, "ignore": t == "###"}),
    whole("TextSeg", lambda d, p: {"": textseg.read_textseg(d, p)},
          lambda items: {str(i): item for i, item in enumerate(items)},
          lambda i, f, t: {"bbox": list(f), "text": t, "char": {}}, ignored=()),
    Format("FST characters",
           lambda d, p: [(c.box, c.text) for c in character_masks.read_characters(d, p)],
           st.lists(st.tuples(box4, st.text(sign, min_size=1, max_size=1)), min_size=1, max_size=5).map(_characters)),
    Format("tagset", lambda d, p: together({m.name: m for m in markup.read_tagset(d, p)}),
           rows(box4, xml_text).map(_tagset)),
    Format("CUTE80", lambda d, p: together({m.name: m for m in markup.read_tagset(d, p)}),
           rows(outlines(), xml_text).map(_polygon_points)),
    Format("CTW1500 XML", lambda d, p: plain(curves.read_ctw1500_xml(d, p)),
           rows(outlines(14), xml_text).map(_ctw_xml)),
    Format("Total-Text mat", lambda d, p: plain(matlab.read_totaltext_mat(d, p)),
           rows(outlines(), latin).map(_mat)),
    Format("word list", lambda d, p: [(r.path, r.text) for r in read_rows(d, p)],
           st.lists(st.tuples(path, word), min_size=1, max_size=5).map(
               lambda items: ("".join(f"{p}\t{t}\n" for p, t in items), items))),
    Format("ICDAR word list", lambda d, p: [(r.path, r.text) for r in read_rows(d, p)],
           st.lists(st.tuples(path, text), min_size=1, max_size=5).map(lambda items: (
               "\ufeff" + "\r\n".join(f'{p}, "' + t.replace("\\", "\\\\").replace('"', '\\"') + '"' for p, t in items),
               items))),
    Format("MMOCR words", lambda d, p: [(r.path, r.text) for r in read_rows(d, p)],
           st.lists(st.tuples(path, text), min_size=1, max_size=5).map(lambda items: (
               json.dumps({"data_list": [{"img_path": p, "instances": [{"text": t}]} for p, t in items]}), items))),
    Format("list with lexicons", lambda d, p: [(r.path, r.text) for r in leading_rows(d, p)],
           st.lists(st.tuples(path, word), min_size=1, max_size=5).map(
               lambda items: ("\n".join(f"{p} {t} 1 {t}" for p, t in items), items))),
    Format("IAM words", lambda d, p: [(w.id, w.text) for w in word_lists.read_iam_words(d, p)],
           st.lists(word, min_size=1, max_size=9).map(lambda items: (
               "# comment\n" + "\n".join(f"a01-000u-00-{i:02d} ok 154 408 768 27 51 AT {t}" for i, t in enumerate(items)),
               [(f"a01-000u-00-{i:02d}", t) for i, t in enumerate(items)]))),
    Format("RWTH words", lambda d, p: [(w.id, w.text) for w in word_lists.read_rwth_words(d, p)],
           st.lists(word, min_size=1, max_size=9).map(lambda items: (
               "\n".join(f"a01-000u-00-{i:02d},154 {t}" for i, t in enumerate(items)),
               [(f"a01-000u-00-{i:02d}", t) for i, t in enumerate(items)]))),
    Format("COCO-Text words", lambda d, p: [(w.id, w.text) for w in word_lists.read_cocotext_words(d, p)],
           st.lists(word, min_size=1, max_size=9).map(lambda items: (
               "\n".join(f"{i},|{t}|" for i, t in enumerate(items)),
               [(str(i), t) for i, t in enumerate(items)]))),
]  # fmt: skip
TIERS = [FEW, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]


def encoded(document: str | bytes) -> bytes:
    return document if isinstance(document, bytes) else document.encode()


@pytest.mark.parametrize("n", TIERS)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_generated_files_are_read_as_written(form: Format, n: int) -> None:
    @settings(max_examples=n, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(form.documents)
    def check(drawn: tuple[str | bytes, Any]) -> None:
        document, want = drawn
        found = form.read(encoded(document), PLACE)
        assert found == want, document
        for item in found:
            if isinstance(item[0], tuple) and item[0] and isinstance(item[0][0], tuple):
                assert signed_area(item[0]) >= 0

    check()


# --- what is damaged -----------------------------------------------------------------------------

_SPLINTERS = (
    b"nan", b"inf", b"1e999", b"-", b",", b",,", b'"', b"\\", b"\n", b"\r", b"\t", b"\0", b"\xff",
    b"\xc3", b"###", b"[", b"]", b"{", b"}", b"<", b"&", b"&#0;", b"null", b"true", b"99999999999",
    b"\xe2\x80\xa8", b"\\ud800", b"[[", b"x:", b"1_0", b"0x1",
)  # fmt: skip


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes after one to four cuts, flips, swaps, doublings or splinters."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        a, b = sorted(rng.randrange(len(out) + 1) for _ in range(2))
        kind = rng.randrange(6)
        if kind == 0 and out:
            out[rng.randrange(len(out))] = rng.randrange(256)
        elif kind == 1:
            del out[a : min(b, a + rng.choice((1, 3, 40)))]
        elif kind == 2:
            out[a:a] = rng.choice(_SPLINTERS)
        elif kind == 3:
            out[a:a] = out[a : min(b, a + 60)]
        elif kind == 4:
            lines = bytes(out).split(b"\n")
            rng.shuffle(lines)
            out = bytearray(b"\n".join(lines))
        elif rng.random() < 0.2:
            del out[a:]
    return bytes(out)


def check_damaged(
    read: Callable[[bytes, str], Any], data: bytes, n: int, seed: int
) -> tuple[int, int]:
    """How many damaged copies were read and refused; anything but these two fails."""
    rng = random.Random(seed)
    counts = [0, 0]
    for _ in range(n):
        bad = damaged(data, rng)
        try:
            read(bad, PLACE)
            is_named = True
            counts[0] += 1
        except StrbenchError as error:
            is_named = PLACE in error.message and bool(error.hint)
            counts[1] += 1
        except Exception as error:
            error.add_note(f"on {bad!r}")
            raise
        assert is_named, bad
    return counts[0], counts[1]


@pytest.mark.parametrize("n", TIERS)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_damaged_files_are_read_or_refused(form: Format, n: int) -> None:
    examples: list[bytes] = []

    @settings(
        max_examples=10, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(form.documents)
    def collect(drawn: tuple[str | bytes, Any]) -> None:
        examples.append(encoded(drawn[0]))

    collect()
    done = [check_damaged(form.read, d, n // len(examples) + 1, i) for i, d in enumerate(examples)]
    assert sum(refused for _, refused in done) > 0


# --- real files, damaged -------------------------------------------------------------------------

REAL: dict[str, tuple[str, Callable[[bytes, str], Any]]] = {
    "IC15": ("detection/ic15_test/Gts/gt_img_1*.txt", partial(boxes.read_boxes, layout="quad")),
    "TD500": ("annotations/msra_td500/*/MSRA-TD500/t*/IMG_*.gt", turned.read_turned),
    "SVT": ("annotations/svt/*/data/SVT/test.xml", markup.read_tagset),
    "IC13 boxes": ("annotations/icdar2013/*/data/ICDAR2013/test_locations.xml", markup.read_tagset),
    "Total-Text mat": ("annotations/totaltext/*/E*/E*/G*/*.mat", matlab.read_totaltext_mat),
    "MMOCR": ("detection/mmocr_det_toy/textdet_test.json", mmocr.read_mmocr),
    "RWTH": ("annotations/iam/*/RWTH_partition/*.test.thresh", word_lists.read_rwth_words),
    "IAM lines": ("annotations/iam/*/egs/iam/data/part/lines/original/te.lst", word_lists.read_iam_lines),
    "ArT ids": ("annotations/*/*/*_ID_vs_ArT_ID.*", curves.read_art_ids),
    "tags": ("annotations/iiit5k/*/train.tags", read_rows),
    "labels.tsv": ("recognition/*/labels.tsv", read_rows),
}  # fmt: skip


def excerpts(file: Path) -> Iterator[bytes]:
    """The file, or the beginning of a large one, cut where a line ends."""
    data = file.read_bytes()
    is_text = file.suffix not in (".mat", ".xml", ".json")
    yield data[: data.rfind(b"\n", 0, 6000) + 1] if len(data) > 6000 and is_text else data


@pytest.mark.parametrize("n", TIERS)
@pytest.mark.parametrize("name", REAL)
def test_damaged_real_files_are_read_or_refused(shared: Path, name: str, n: int) -> None:
    pattern, read = REAL[name]
    files = sorted(shared.glob(f"real/{pattern}"))[:20]
    assert files
    for i, file in enumerate(files):
        for data in excerpts(file):
            read(data, PLACE)
            # large files are parsed whole each time: as many as a minute allows
            share = max(3, int(n / len(files) / max(1, len(data) / 20_000)))
            check_damaged(read, data, share, i)
