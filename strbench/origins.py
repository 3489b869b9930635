"""What the weights of a run start from: finished runs, and files of weights that other projects wrote."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from strbench import models
from strbench.errors import DATA, StrbenchError
from strbench.files import file_sha256
from strbench.methods import Method

SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
# What torch's reader raises on files that are no weights, or damaged ones.
_DAMAGED = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    AttributeError,
    pickle.UnpicklingError,
)
_WRAPPED = ("state_dict", "model", "module")  # under which training scripts keep the tensors


class Origin(NamedTuple):
    """A run or a file, opened."""

    info: models.RunInfo  # of a file its name, and no record
    tensors: Mapping[str, Tensor]  # named as in the module that starts from them
    sha256: str
    lineage: tuple[str, ...]  # what a record's ``parents`` says of it


def is_file(parent: str) -> bool:
    """Whether a parent is a file of weights by its name."""
    return Path(parent).suffix in SUFFIXES


def info_of(parent: str) -> models.RunInfo:
    """What is known of a parent before its tensors are read.

    Raises:
        StrbenchError: there is neither such a run nor such a file.
    """
    if not is_file(parent):
        return models.load_info(models.run_directory(parent))
    path = Path(parent).expanduser()
    if not path.is_file():
        raise StrbenchError(f"{path}: no such file of weights.", hint="--from RUN, or scratch")
    return models.RunInfo(
        name=path.name, entry=path.stem, kind="methods", recipe="", config={}, seed=0, record=""
    )


def opened(parent: str, method: Method) -> Origin:
    """A parent with its tensors, those of a file under the names that ``method`` has for them.

    Raises:
        StrbenchError: as ``info_of`` does; files that cannot be read, or that the method has no use for.
    """
    info = info_of(parent)
    if not is_file(parent):
        info, _, tensors, weights = models.load_run(models.run_directory(parent))
        return Origin(info, tensors, weights["sha256"], (info.record, *info.parents))
    if method.adopts is None:
        raise StrbenchError(
            f"{method.card.name} does not start from a file of weights.",
            hint="See: strbench list runs",
        )
    path = Path(parent).expanduser()
    sha256 = file_sha256(path)
    named = method.adopts(_read(path))
    return Origin(info, named, sha256, (f"{path.name} sha256:{sha256}",))


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; ``module.`` of a parallel training is left out.

    Nothing but tensors is unpickled.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (*_DAMAGED, SafetensorError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # torch's text advises to run what is in it
            reason = "damaged, or more in it than tensors"
        raise StrbenchError(
            f"{path} holds no weights that can be read ({reason}).",
            hint="Give a state dict as torch.save or safetensors write it.",
            exit_code=DATA,
        ) from error
    for key in _WRAPPED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    tensors = {
        str(name).removeprefix("module."): value
        for name, value in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise StrbenchError(
            f"{path} holds no named tensors.",
            hint="Give a state dict as torch.save or safetensors write it.",
            exit_code=DATA,
        )
    return tensors
