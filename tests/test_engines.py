"""Outside engines behind ``read``: what they read, and that a reading depends on its image alone."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from strbench import registry
from strbench.baselines.adapters import onnx, rapidocr, tesseract
from strbench.errors import StrbenchError
from strbench.types import Card, Detector, Reading, Recognizer

WORDS = ["STREET", "hotel", "2024", "River", "Mountain"]


def drawn(word: str, size: int = 32) -> np.ndarray:
    """The word in black on pale yellow, in Pillow's own font."""
    font = ImageFont.load_default(size=size)
    left, top, right, bottom = (round(v) for v in font.getbbox(word))
    image = Image.new("RGB", (right - left + size, bottom - top + size // 2), (250, 240, 180))
    ImageDraw.Draw(image).text((size // 2 - left, size // 4 - top), word, (20, 20, 60), font=font)
    return np.asarray(image)


def alnum(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.lower())


# Written out here rather than with the package onnx, which the project does not need.
def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _node(operator: str, source: str, target: str, **attributes: Sequence[int]) -> bytes:
    body = _field(1, source) + _field(2, target) + _field(4, operator)
    for name, values in attributes.items():
        items = b"".join(_field(8, value) for value in values)
        body += _field(5, _field(1, name) + items + _field(20, 7))  # 7: a list of integers
    return _field(1, body)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_field(1, _field(1 if isinstance(d, int) else 2, d)) for d in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def column_reader(
    *,
    classes: int = 4,
    channels: int = 3,
    nhwc: bool = False,
    lbk: bool = False,
    metadata: dict[str, str] | None = None,
) -> bytes:
    """An ONNX model whose class scores at each column are the pixels of the first channel.

    So an image ``classes`` pixels high spells a text: the brightest row of a column is its class.
    """
    shape = (1, classes, "W", channels) if nhwc else (1, channels, classes, "W")
    axis = [3 if nhwc else 1]
    graph = (
        _node("Slice", "x", "first", starts=[0], ends=[1], axes=axis)
        + _node("Squeeze", "first", "plane", axes=axis)
        + _node("Transpose", "plane", "scores", perm=[2, 0, 1] if lbk else [0, 2, 1])
        + _field(2, "columns")
        + _field(11, _value("x", shape))
        + _field(12, _value("scores", ["L", 1, classes] if lbk else [1, "L", classes]))
    )
    entries = (metadata or {}).items()
    extra = b"".join(_field(14, _field(1, key) + _field(2, value)) for key, value in entries)
    return _field(1, 4) + _field(7, graph) + _field(8, _field(2, 9)) + extra


def columns(*rows: int, classes: int = 4, value: int = 255, channel: int | None = None) -> Any:
    image = np.zeros((classes, len(rows), 3), np.uint8)
    image[list(rows), range(len(rows)), slice(None) if channel is None else channel] = value
    return image


CTC = {
    "model": "tiny.onnx",
    "height": 4,
    "width": 0,
    "channels": "RGB",
    "mean": [0],
    "std": [1],
    "charset": "abc",
    "decoding": "ctc",
    "blank": 0,
    "softmax": False,
}
PARALLEL = {**CTC, "decoding": "parallel", "blank": None, "eos": 0}

Tiny = Callable[..., onnx.OnnxRecognizer]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Builds a recognizer from a card and the options of ``column_reader``."""
    pytest.importorskip("onnxruntime")

    def make(card: dict[str, Any], **options: Any) -> onnx.OnnxRecognizer:
        (tmp_path / "tiny.onnx").write_bytes(column_reader(**options))
        (tmp_path / "card.json").write_text(json.dumps(card))
        return onnx.build(str(tmp_path / "card.json"))

    return make


def pp_ocr_card(folder: Path) -> Path:
    """A card for the recogniser inside the rapidocr wheel."""
    spec = importlib.util.find_spec("rapidocr")
    assert spec is not None
    assert spec.origin is not None
    (model,) = (Path(spec.origin).parent / "models").glob("PP-OCRv*_rec_*.onnx")
    card = {
        "model": str(model),
        "height": 48,
        "width": 0,
        "min_width": 320,
        "channels": "BGR",
        "mean": 0.5,
        "std": 0.5,
        "charset_metadata": "character",
        "space_char": True,
        "decoding": "ctc",
        "blank": 0,
        "softmax": False,
        "interpolation": "opencv-bilinear",
    }
    path = folder / "pp-ocr.json"
    path.write_text(json.dumps(card))
    return path


@pytest.fixture(scope="module", params=["rapidocr", "tesseract", "onnx"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    module = {"rapidocr": rapidocr, "tesseract": tesseract, "onnx": onnx}[request.param]
    if reason := module.is_available() or (request.param == "onnx" and rapidocr.is_available()):
        pytest.skip(reason)
    if request.param == "onnx":
        return onnx.build(str(pp_ocr_card(tmp_path_factory.mktemp("card"))))
    return registry.load("engines", request.param)()


def test_drawn_words_are_read(engine: Any) -> None:
    readings = engine.read([drawn(word) for word in WORDS])
    assert [alnum(r.text) for r in readings] == [word.lower() for word in WORDS]
    confidences = [r.confidence for r in readings]
    assert all(0 <= c <= 1 for c in confidences)
    assert max(confidences) > 0.3  # of each would be too much: Tesseract gives right words 0 too


def test_a_reading_depends_on_its_image_alone(engine: Any) -> None:
    images = [drawn(word, size) for word in WORDS for size in (14, 40)]
    images.append(drawn("a very long line of many words to be padded to"))
    together = engine.read(images)
    assert [engine.read([image])[0] for image in images] == together
    assert engine.read(images[::-1]) == together[::-1]
    before, engine.threads = engine.threads, 3
    try:
        assert engine.read(images) == together
    finally:
        engine.threads = before


def test_odd_images_get_a_reading_each(engine: Any) -> None:
    shapes = [(1, 1), (0, 0), (5, 0), (1, 3000), (3000, 1), (2, 90), (700, 3), (3, 4000)]
    images = [np.full((*shape, 3), 128, np.uint8) for shape in shapes]
    readings = engine.read([*images, drawn("hotel")])
    assert len(readings) == len(shapes) + 1
    assert [readings[i] for i in (1, 2)] == [Reading("", None)] * 2
    assert alnum(readings[-1].text) == "hotel"
    assert engine.read([]) == []


def test_the_card_names_version_and_file(engine: Any) -> None:
    card = engine.card
    assert isinstance(card, Card)
    assert (card.kind, card.resize) == ("engine", "native")
    assert isinstance(engine, Recognizer)
    assert re.search(r"sha256 [0-9a-f]{64}", card.notes)
    assert re.search(r"\d+\.\d+\.\d+", card.notes)
    assert "one crop at a time" in card.notes.lower() or "crops as they are" in card.notes.lower()


@pytest.fixture(scope="module")
def page() -> np.ndarray:
    """A white photograph with a line of two words and a word below it."""
    white = np.full((400, 600, 3), 255, np.uint8)
    for text, (y, x) in {"hotel garden": (60, 40), "school": (250, 300)}.items():
        word = drawn(text)
        white[y : y + word.shape[0], x : x + word.shape[1]] = word
    return white


@pytest.mark.parametrize(
    ("stage", "texts"),
    [
        ("all", ["hotelgarden", "school"]),
        ("words", ["hotel", "garden", "school"]),
        ("detection", ["", ""]),
    ],
)
def test_rapidocr_finds_what_stands_on_a_page(
    page: np.ndarray, stage: str, texts: list[str]
) -> None:
    if reason := rapidocr.is_available():
        pytest.skip(reason)
    spotter = rapidocr.build_spotter(stage, threads=2)
    assert isinstance(spotter, Detector)
    assert re.search(r"det_small.onnx sha256 [0-9a-f]{64}", spotter.card.notes)
    nothing = np.full((80, 90, 3), 128, np.uint8)
    found, empty = spotter.detect([page, nothing])
    assert empty == []
    assert [alnum(one.text or "") for one in found] == texts
    assert all(one.confidence is not None and 0 <= one.confidence <= 1 for one in found)
    middles = [np.mean(one.polygon, axis=0) for one in found]
    assert all(40 < x < 600 and 60 < y < 300 for x, y in middles)
    assert spotter.detect([page])[0] == found


def test_a_stage_that_rapidocr_has_not() -> None:
    with pytest.raises(StrbenchError, match="expected all, words or detection"):
        rapidocr.build_spotter("words!")


def test_importing_an_adapter_imports_no_engine() -> None:
    code = (
        "import sys\n"
        "from strbench.baselines.adapters import onnx, rapidocr, tesseract\n"
        "onnx.is_available(), rapidocr.is_available(), tesseract.is_available()\n"
        "print({'rapidocr', 'onnxruntime', 'cv2', 'torch', 'pytesseract'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("package", ["rapidocr", "onnxruntime", "cv2"])
def test_a_missing_package_of_rapidocr(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    for name in ("rapidocr", "onnxruntime", "cv2"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    monkeypatch.setitem(sys.modules, package, None)
    assert package in str(rapidocr.is_available())
    with pytest.raises(StrbenchError, match=package) as caught:
        rapidocr.build()
    assert caught.value.hint == "pip install 'strbench[ocr]'"


def test_an_old_rapidocr(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := rapidocr.is_available():
        pytest.skip(reason)
    monkeypatch.setattr(rapidocr, "version", lambda _: "3.9.2")
    with pytest.raises(StrbenchError, match=r"rapidocr 3\.9\.2 is too old, 3\.10 or newer"):
        rapidocr.build()


def test_a_missing_tesseract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tesseract.is_available() == "the program tesseract is not on the PATH"
    with pytest.raises(StrbenchError, match="not on the PATH") as caught:
        tesseract.build()
    assert "apt-get install tesseract-ocr" in caught.value.hint


def test_a_missing_onnxruntime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "card.json").write_text(json.dumps(CTC))
    with pytest.raises(StrbenchError, match="onnxruntime is not installed") as caught:
        onnx.build(str(tmp_path / "card.json"))
    assert caught.value.hint == "pip install 'strbench[ocr]'"


@pytest.mark.parametrize("threads", [0, -1, "two", "1.5"])
def test_a_thread_count_that_is_none(threads: Any) -> None:
    with pytest.raises(StrbenchError, match="number of threads"):
        rapidocr.build(threads)


def test_rapidocr_is_silent_and_offline(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if reason := rapidocr.is_available():
        pytest.skip(reason)

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    spec = importlib.util.find_spec("rapidocr")
    assert spec is not None
    assert spec.origin is not None
    models = Path(spec.origin).parent / "models"
    before = sorted(models.iterdir())
    rapidocr.build().read([drawn("hotel")])
    assert sorted(models.iterdir()) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"psm": 3}, "Expected psm 8"),
        ({"psm": "word"}, "Expected psm 8"),
        ({"lang": "tlh"}, "no language 'tlh'"),
    ],
)
def test_tesseract_refuses(arguments: dict[str, Any], message: str) -> None:
    if reason := tesseract.is_available():
        pytest.skip(reason)
    with pytest.raises(StrbenchError, match=message) as caught:
        tesseract.build(**arguments)
    assert caught.value.hint


def test_a_tesseract_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if reason := tesseract.is_available():
        pytest.skip(reason)
    recognizer = tesseract.build(threads=1)
    shell = shutil.which("sh")
    program = tmp_path / "tesseract"
    program.write_text(f"#!{shell}\necho level\necho 'no memory' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StrbenchError, match="read 0 of 1 images and said: no memory"):
        recognizer.read([drawn("hotel")])


@pytest.mark.parametrize(
    ("card", "rows", "text"),
    [
        (CTC, (1, 1, 0, 1, 2, 3, 3), "aabc"),  # repeats collapse, a blank parts them
        (CTC, (0, 0, 0), ""),
        ({**CTC, "blank": 3}, (0, 3, 0, 1, 2, 2), "aabc"),  # the blank may be the last class
        ({**CTC, "charset": "ab", "skip": [2]}, (1, 2, 3), "ab"),
        (PARALLEL, (1, 1, 2, 0, 3), "aab"),  # reads up to the end, repeats stay
        (PARALLEL, (1, 2, 3), "abc"),  # no end: the whole length
        (PARALLEL, (0, 1), ""),
        ({**PARALLEL, "decoding": "attention", "eos": 3}, (2, 1, 3, 0), "cb"),
    ],
)
def test_decoding(tiny: Tiny, card: dict[str, Any], rows: tuple[int, ...], text: str) -> None:
    (reading,) = tiny(card).read([columns(*rows)])
    assert reading == Reading(text, 1.0 if text else 0.0)


def test_confidence_is_the_mean_over_the_characters(tiny: Tiny) -> None:
    image = columns(1, 0, 2)
    image[:, 2] //= 2  # b at 127 / 255; the blank at 1 does not count
    (reading,) = tiny(CTC).read([image])
    assert reading.confidence == pytest.approx((1 + 127 / 255) / 2)


def test_softmax_turns_logits_into_confidence(tiny: Tiny) -> None:
    card = {**CTC, "softmax": True, "std": [0.25]}  # logits 4 and 0
    (reading,) = tiny(card).read([columns(1)])
    assert reading.confidence == pytest.approx(np.exp(4) / (np.exp(4) + 3), rel=1e-6)
    with pytest.raises(StrbenchError, match="found a mean of 4"):
        tiny({**card, "softmax": False}).read([columns(1)])


def test_channel_order(tiny: Tiny) -> None:
    image = columns(1, 2, channel=0) + columns(3, 1, channel=2)  # red says ab, blue ca
    assert tiny(CTC).read([image])[0].text == "ab"
    assert tiny({**CTC, "channels": "BGR"}).read([image])[0].text == "ca"
    green = columns(2, 3, channel=1)  # green weighs most in luma: 0.587
    (gray,) = tiny({**CTC, "channels": "gray"}, channels=1).read([green + image])
    assert gray.text == "bc"
    assert gray.confidence == pytest.approx(0.587, abs=0.003)


def test_normalisation_is_per_channel(tiny: Tiny) -> None:
    card = {**CTC, "mean": [0.25, 0, 0], "std": [0.75, 1, 1]}
    (reading,) = tiny(card).read([columns(1, value=153)])
    assert reading.confidence == pytest.approx((0.6 - 0.25) / 0.75, rel=1e-6)


@pytest.mark.parametrize("options", [{"nhwc": True}, {"lbk": True}])
def test_layouts(tiny: Tiny, options: dict[str, bool]) -> None:
    card = {**CTC, "layout": "NHWC"} if "nhwc" in options else {**CTC, "output_layout": "LBK"}
    assert tiny(card, **options).read([columns(1, 2, 3)])[0].text == "abc"


def test_a_width_is_filled_by_stretching_or_padding(tiny: Tiny) -> None:
    image = columns(1, 2)
    stretched = {**PARALLEL, "width": 4, "interpolation": "opencv-bilinear"}
    assert tiny(stretched).read([image])[0].text == "aabb"
    assert tiny({**stretched, "resize": "pad"}).read([image])[0].text == "ab"
    assert tiny({**PARALLEL, "min_width": 9}).read([image])[0].text == "ab"
    squeezed = {**PARALLEL, "max_width": 2, "interpolation": "bilinear"}
    assert tiny(squeezed).read([columns(1, 1, 2, 2)])[0].text == "ab"


def test_charset_from_file_and_metadata(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "chars.txt").write_text("ä\r\nß\n", encoding="utf-8")
    file = {**CTC, "charset": "", "charset_file": "chars.txt", "space_char": True}
    assert tiny(file).read([columns(1, 3, 2)])[0].text == "ä ß"
    stored = {**CTC, "charset": "", "charset_metadata": "character"}
    model = tiny(stored, metadata={"character": "x\n\u2028\nz"})
    assert model.read([columns(1, 2, 3)])[0].text == "x\u2028z"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"charset": "ab"}, "2 characters and 1 special classes, 3 in all, but .* is 4 wide"),
        ({"charset": "abb"}, "'b' twice"),
        ({"charset": ""}, "one of charset, charset_file and charset_metadata"),
        ({"charset_file": "chars.txt"}, "one of charset, charset_file and charset_metadata"),
        ({"charset": "", "charset_file": "none.txt"}, "none.txt does not exist"),
        ({"charset": "", "charset_metadata": "chars"}, "holds nothing, not 'chars'"),
        ({"chanels": "RGB"}, "'chanels'; near names: channels"),
        ({"channels": "rgb"}, "one of RGB, BGR, gray, found 'rgb'"),
        ({"height": "4"}, "height must be of type int, found '4'"),
        ({"softmax": 1}, "softmax must be of type bool, found 1"),
        ({"mean": [0, 0]}, "1 or 3 numbers, found 2"),
        ({"std": [0]}, "std must not be 0"),
        ({"height": 0}, "height must be positive"),
        ({"blank": None}, "needs the class index blank"),
        ({"blank": 4}, "3 characters and 1 special classes"),
        ({"skip": [0]}, "different indices"),
        ({"eos": 1}, "put its index under skip"),
        ({"resize": "pad"}, "resize pad needs a width"),
        ({"width": 9, "max_width": 9}, "go with width 0"),
        ({"max_width": 2, "min_width": 9}, "is below min_width"),
        ({"height": 5}, "takes no float32 input of shape"),
        ({"channels": "gray"}, "takes no float32 input of shape"),
        ({"input": "y"}, "no input 'y'; it has x"),
        ({"output": "y"}, "no output 'y'; it has scores"),
        ({"output_layout": "LBK", "min_width": 7}, "as LBK with B = 1"),
        ({"model": "none.onnx"}, "none.onnx does not exist"),
    ],
)
def test_a_card_that_does_not_fit(tiny: Tiny, change: dict[str, Any], message: str) -> None:
    with pytest.raises(StrbenchError, match=message) as caught:
        tiny({**CTC, **change})
    assert caught.value.hint


@pytest.mark.parametrize("name", ["model", "height", "width", "channels", "mean", "std", "softmax"])
def test_a_card_without_a_required_field(tiny: Tiny, name: str) -> None:
    with pytest.raises(StrbenchError, match=f"the field '{name}' is missing"):
        tiny({key: value for key, value in CTC.items() if key != name})


def test_files_that_are_no_card_or_no_model(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(StrbenchError, match="path of a card file, found none"):
        onnx.build("")
    with pytest.raises(StrbenchError, match="There is no card file") as caught:
        onnx.build(str(tmp_path / "none.json"))
    assert caught.value.hint == "strbench eval --model onnx:path/to/card.json"
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(StrbenchError, match="not a JSON file"):
        onnx.build(str(tmp_path / "card.json"))
    (tmp_path / "card.json").write_text("[]")
    with pytest.raises(StrbenchError, match="expected a JSON object, found list"):
        onnx.build(str(tmp_path / "card.json"))
    (tmp_path / "card.json").write_text(json.dumps(CTC))
    (tmp_path / "tiny.onnx").write_bytes(b"no model")
    with pytest.raises(StrbenchError, match="not a model that onnxruntime"):
        onnx.build(str(tmp_path / "card.json"))


def test_the_key_of_a_model_changes_with_its_card(tiny: Tiny) -> None:
    first = tiny(CTC).card
    second = tiny({**CTC, "charset": "xyz"}).card
    assert first.name == "card"
    assert first.notes != second.notes


def test_opencv_bilinear_is_opencv_s() -> None:
    cv2 = pytest.importorskip("cv2")
    random = np.random.default_rng(7)
    for size, height, width in [((31, 90), 48, 140), ((96, 200), 48, 100), ((150, 7), 48, 3)]:
        image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        ours = onnx._opencv_bilinear(image, height, width)
        assert np.array_equal(ours, cv2.resize(image, (width, height)))


# Counted once by hand with rapidocr 3.10.0 and tesseract 5.3.0; the onnx row is the wheel's model
# without the engine's enlarging of small crops. Other versions may differ.
REAL = {
    "rapidocr": {"svt_word_test": 603, "cute80_word": 265, "ic15_word_test": 1641},
    "onnx": {"svt_word_test": 601, "cute80_word": 265, "ic15_word_test": 1638},
    "tesseract": {"svt_word_test": 451, "cute80_word": 87, "ic15_word_test": 913},
}
COUNTED_WITH = {"rapidocr": "rapidocr 3.10.0", "onnx": "6f327246b50388f3", "tesseract": "5.3.0"}


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["svt_word_test", "cute80_word", "ic15_word_test"])
def test_words_right_on_real_crops(engine: Any, shared: Path, folder: str) -> None:
    name = engine.card.name if engine.card.name in REAL else "onnx"
    if COUNTED_WITH[name] not in engine.card.notes:
        pytest.skip(f"counted with {COUNTED_WITH[name]}, here is {engine.card.title}")
    root = shared / "real" / "recognition" / folder
    rows = [line.split("\t") for line in (root / "labels.tsv").read_text().splitlines()]
    images = [np.asarray(Image.open(root / path).convert("RGB")) for path, _ in rows]
    readings = engine.read(images)
    right = sum(alnum(r.text) == alnum(row[1]) for r, row in zip(readings, rows, strict=True))
    assert abs(right - REAL[name][folder]) <= 2
