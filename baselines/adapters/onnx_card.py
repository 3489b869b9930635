"""The card file of an ONNX recognizer: what its weights file does not say, checked field by field.

A JSON object beside the model, for example for a CRNN exported at 32 x 100 in grey::

    {"model": "crnn.onnx", "height": 32, "width": 100, "channels": "gray", "mean": [0.5], "std": [0.5],
     "charset": "0123456789abcdefghijklmnopqrstuvwxyz", "decoding": "ctc", "blank": 0, "softmax": true}
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from strbench.errors import DATA, StrbenchError, unknown_name


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The fields of the card file; paths are relative to it, and those without a default are required."""

    model: str  # path of the .onnx file
    height: int  # input height in pixels
    width: int  # input width in pixels; 0: the crop keeps its aspect
    channels: Literal["RGB", "BGR", "gray"]
    mean: tuple[float, ...]  # one number, or one a channel: input = (pixel / 255 - mean) / std
    std: tuple[float, ...]
    decoding: Literal["ctc", "parallel", "attention"]  # the last two both read up to `eos`
    softmax: bool  # True: the output are logits; False: probabilities already

    # The classes in order are the characters, with the special classes put in at their own index.
    charset: str = ""  # the characters in a string
    charset_file: str = ""  # or a UTF-8 file, one a line
    charset_metadata: str = ""  # or an entry of the model's metadata, one a line
    space_char: bool = False  # a space follows the listed characters (PaddleOCR's use_space_char)
    blank: int | None = None  # class index of CTC's blank
    eos: int | None = None  # class index that ends a text
    skip: tuple[int, ...] = ()  # class indices that are never text, such as [B] and [P]

    resize: Literal["stretch", "pad"] = "stretch"  # with a width: fill it, or keep aspect and pad
    interpolation: Literal["bicubic", "bilinear", "opencv-bilinear"] = "bicubic"
    min_width: int = 0  # with width 0: padded on the right to at least this
    max_width: int = 0  # with width 0: squeezed to at most this; 0: no limit
    pad_value: float = 0.0  # after normalisation
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    input: str = ""  # name of the input; "": the only one
    output: str = ""  # name of the output; "": the first
    output_layout: Literal["BLK", "LBK"] = "BLK"  # batch, length, class

    name: str = ""  # "": the name of the card file
    title: str = ""
    paper: str = ""
    code: str = ""
    licence: str = ""
    trained_on: str = ""


def read_card(path: Path) -> ModelCard:
    """The checked card at ``path``.

    Raises:
        StrbenchError: no such file, no JSON object, an unknown or missing field, a value of another type,
            or fields that contradict each other.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        near = sorted(path.parent.glob("*.json")) if path.parent.is_dir() else []
        raise StrbenchError(
            f"There is no card file {path}.",
            hint=f"strbench eval --model onnx:{near[0] if near else 'path/to/card.json'}",
        ) from None
    except ValueError as error:
        raise StrbenchError(
            f"{path} is not a JSON file ({error}).",
            hint="A card is a JSON object; see strbench.baselines.adapters.onnx_card.",
            exit_code=DATA,
        ) from error
    if not isinstance(values, dict):
        raise _fault(path, f"expected a JSON object, found {type(values).__name__}")
    hints = get_type_hints(ModelCard)
    for name, value in values.items():
        if name not in hints:
            raise unknown_name(f"field of {path.name}", name, hints, hint=f"Edit {path}")
        values[name] = _checked(path, name, hints[name], value)
    for field in dataclasses.fields(ModelCard):
        if field.default is dataclasses.MISSING and field.name not in values:
            raise _fault(path, f"the field {field.name!r} is missing")
    card = ModelCard(**values)
    _check_whole(path, card)
    return card


def _fault(path: Path, what: str) -> StrbenchError:
    return StrbenchError(f"{path}: {what}.", hint=f"Edit {path}", exit_code=DATA)


def _checked(path: Path, name: str, hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return None if value is None else _checked(path, name, kinds[0], value)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise _fault(
                path, f"{name} must be one of {', '.join(get_args(hint))}, found {value!r}"
            )
        return value
    if get_origin(hint) is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_checked(path, name, get_args(hint)[0], item) for item in items)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:  # exactly: a JSON true is no number
        raise _fault(path, f"{name} must be of type {hint.__name__}, found {value!r}")
    return value


def _check_whole(path: Path, card: ModelCard) -> None:
    depth = 1 if card.channels == "gray" else 3
    if sum(map(bool, (card.charset, card.charset_file, card.charset_metadata))) != 1:
        raise _fault(path, "expected one of charset, charset_file and charset_metadata")
    for name, numbers in (("mean", card.mean), ("std", card.std)):
        if len(numbers) not in (1, depth):
            raise _fault(path, f"{name} must hold 1 or {depth} numbers, found {len(numbers)}")
    if 0.0 in card.std:
        raise _fault(path, "std must not be 0")
    if card.height < 1 or min(card.width, card.min_width, card.max_width) < 0:
        raise _fault(path, f"height must be positive and no width negative, found {card.height}")
    if card.width and (card.min_width or card.max_width):
        raise _fault(path, "min_width and max_width go with width 0")
    if card.max_width and card.max_width < card.min_width:
        raise _fault(path, f"max_width {card.max_width} is below min_width {card.min_width}")
    if not card.width and card.resize == "pad":
        raise _fault(path, "resize pad needs a width; with width 0 the aspect is kept anyway")
    needed, other = ("blank", "eos") if card.decoding == "ctc" else ("eos", "blank")
    if getattr(card, needed) is None:
        raise _fault(path, f"decoding {card.decoding} needs the class index {needed}")
    if getattr(card, other) is not None:
        raise _fault(path, f"decoding {card.decoding} has no {other}; put its index under skip")
    special = [getattr(card, needed), *card.skip]
    if min(special) < 0 or len(set(special)) < len(special):
        raise _fault(
            path, f"{needed} and skip must be different indices from 0 up, found {special}"
        )


def characters(card: ModelCard, path: Path, metadata: dict[str, str]) -> list[str]:
    """The texts of the classes that are no special class, in order.

    Raises:
        StrbenchError: no such file or metadata entry, or a character twice.
    """
    if card.charset:
        found = list(card.charset)
    elif card.charset_file:
        file = path.parent / card.charset_file
        if not file.is_file():
            raise _fault(path, f"charset_file {file} does not exist")
        found = _lines(file.read_text(encoding="utf-8"))
    elif card.charset_metadata in metadata:
        found = _lines(metadata[card.charset_metadata])
    else:
        known = ", ".join(sorted(metadata)) or "nothing"
        raise _fault(path, f"the model's metadata holds {known}, not {card.charset_metadata!r}")
    if card.space_char:
        found.append(" ")
    if len(set(found)) < len(found):
        twice = next(c for c in found if found.count(c) > 1)
        raise _fault(path, f"the charset holds {twice!r} twice")
    return found


def _lines(text: str) -> list[str]:
    # Not splitlines: U+2028 and the like may be characters of the set.
    lines = text.removesuffix("\n").split("\n")
    return [line.removesuffix("\r") for line in lines]


def class_texts(card: ModelCard, path: Path, chars: list[str], classes: int) -> list[str]:
    """The text of each of the model's ``classes``; special classes have "".

    Raises:
        StrbenchError: the charset and the special classes do not make up the output's width.
    """
    special = {i for i in (card.blank, card.eos, *card.skip) if i is not None}
    expected = len(chars) + len(special)
    if expected != classes or max(special) >= classes:
        raise _fault(
            path,
            f"the charset has {len(chars)} characters and {len(special)} special classes, "
            f"{expected} in all, but the model's output is {classes} wide",
        )
    remaining = iter(chars)
    return ["" if i in special else next(remaining) for i in range(classes)]
