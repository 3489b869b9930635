"""What each source dataset holds and how it becomes splits: one file a dataset, one SPEC a file.

A name on the command line is a dataset (``ic15``: all its splits), a dataset id (``ic15_2077``) or a
split (``ic15_2077/test``). ``prepare`` turns files that the user has into splits of the store.

Completion and every list load all of these files, so what needs NumPy or Pillow is imported where it
is used: inside ``parse``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strbench import registry
from strbench.errors import StrbenchError, near_names
from strbench.transfer import Remote
from strbench.types import Sample, Task

if TYPE_CHECKING:
    from strbench.datasets.tree import Tree
    from strbench.store import Split
    from strbench.transfer import Report

__all__ = [
    "Remote",
    "Source",
    "Spec",
    "SplitSpec",
    "catalogue",
    "obtain",
    "prepare",
    "resolve",
    "specs",
]

# How a source is reached: over plain http(s); from Hugging Face; from Google Drive, whose quota may be
# spent; by a person, who registers, logs in or clicks, and drops the files in; or drawn here.
Access = Literal["direct", "hf", "gdrive", "manual", "made"]
# Lexicon name ("strong", "weak", "generic", "full") -> sample id -> words; "*" stands for every sample.
Lexicons = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """One split: its name, its exact count, and what tells it from the others."""

    name: str  # dataset/split, e.g. "ic15_1811/test"
    n: int  # 0: no source states an exact count, so none is asserted
    about: str
    labels: tuple[str, ...] = ("standard",)  # the label variants in circulation; "none": unlabelled
    # Names of its LMDB folder in the field's packs, with folders above it where a pack uses one name
    # twice ("validation/1.SVT"); case does not matter.
    folders: tuple[str, ...] = ()
    # Label variant -> what it holds: "regions", "ignored", "characters". The ground truth of one set
    # of photographs circulates in several versions, and these figures tell which one lies here; a
    # variant that is not named here is taken where no other fits.
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Source:
    """One way to get some splits: all its files are needed, except the optional ones."""

    title: str
    access: Access
    splits: tuple[str, ...]
    files: tuple[Remote, ...]
    optional: tuple[Remote, ...] = ()  # fetched if possible; ``title`` holds without them
    labels: str = "standard"  # the label variant it is known or believed to carry


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A source dataset; ``strbench data info ID`` prints it."""

    id: str
    title: str
    task: Task = "recognition"
    splits: tuple[SplitSpec, ...]
    sources: tuple[Source, ...] = ()
    pages: tuple[str, ...] = ()  # where a person can look or fetch by hand
    licence: str
    paper: str
    notes: tuple[str, ...] = ()  # errata and traps
    drop_in: tuple[str, ...] = ()  # official file names that `data import` reads
    raw: str = (
        ""  # folder below <home>/raw/ where it shares another dataset's downloads; "": its id
    )
    streamed: tuple[str, ...] = ()  # archives that parse reads as a stream, see ``Tree.streamed``
    # Samples of a split in the official layout; None where the tree does not hold that layout.
    parse: Callable[[Tree, str], Iterator[Sample] | None] = lambda tree, split: None
    # The word lists that come with a split, {} where the tree holds none.
    lexicons: Callable[[Tree, str], Lexicons] = lambda tree, split: {}
    # The id under which a file is known, whatever copy it came in: (path, split name) -> id.
    sample_id: Callable[[str, str], str] = lambda path, split: path
    # The photograph a crop was cut from, where the id tells.
    group: Callable[[str], str | None] = lambda id_: None
    # (split name, its folder in the store) -> the split: for datasets that are drawn, not downloaded.
    make: Callable[[str, Path], Split] | None = None

    def split(self, name: str) -> SplitSpec:
        """The split called ``dataset/split``."""
        return next(s for s in self.splits if s.name == name)

    def describe(self) -> dict[str, Any]:
        """Everything but the functions, ready for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {k: v for k, v in values.items() if v is not None and not callable(v)}
        plain["splits"] = [asdict(split) for split in self.splits]
        plain["sources"] = [
            {"number": i, **asdict(source)} for i, source in enumerate(self.sources, 1)
        ]
        return plain


def specs() -> list[Spec]:
    """Every registered dataset, in the order of the registry."""
    return [registry.load("datasets", name) for name in registry.names("datasets")]


@dataclass(frozen=True)
class Target:
    """What a name on the command line means."""

    spec: Spec | None  # None: a split of the user's own
    splits: tuple[str, ...]  # dataset/split


def resolve(name: str, *, split: str = "", own: bool = False) -> Target:
    """The dataset and splits that a name means.

    Args:
        split: "train" or "test"; keeps the splits of that name.
        own: an unknown ``dataset/split`` is allowed and means a split of the user's own.

    >>> resolve("ic15").splits
    ('ic15/train', 'ic15_1811/test', 'ic15_2077/test')
    >>> resolve("ic15_2077").splits
    ('ic15_2077/test',)

    Raises:
        StrbenchError: the name is unknown, or a known dataset has no such split.
    """
    dataset, _, tail = name.partition("/")
    tail = tail or split
    for spec in specs():
        known = [s.name for s in spec.splits]
        ids = {s.partition("/")[0] for s in known}
        if dataset != spec.id and dataset not in ids:
            continue
        exact = [s for s in known if s == f"{dataset}/{tail}"]
        family = [s for s in known if dataset == spec.id or s.startswith(f"{dataset}/")]
        chosen = exact or [s for s in family if not tail or (s.endswith("/" + tail) and split)]
        if not chosen:
            raise StrbenchError(
                f"{dataset} has no split {tail!r}; its splits are {', '.join(family)}.",
                hint=f"See: strbench data info {spec.id}",
            )
        return Target(spec, tuple(chosen))
    if own and tail:
        return Target(None, (f"{dataset}/{tail}",))
    raise _unknown(name, dataset, tail, own=own)


def _unknown(name: str, dataset: str, tail: str, *, own: bool) -> StrbenchError:
    """The error for a name that no registered dataset has; the user's own splits are offered too."""
    from strbench.splits import prepared_splits

    prepared = prepared_splits()
    here = [split for split in prepared if split.partition("/")[0] == dataset]
    if here and not own:
        return StrbenchError(
            f"{name} is not prepared; of {dataset} there is {', '.join(here)}.",
            hint=f"strbench data import {name} PATH" if tail else f"Name one: {here[0]}",
        )
    splits = {*prepared, *(split.name for spec in specs() for split in spec.splits)}
    ids = {split.partition("/")[0] for split in splits} | {spec.id for spec in specs()}
    # By the part before the slash alone, since what follows it, train or test, is much alike.
    near = [f"{n}/{tail}" if f"{n}/{tail}" in splits else n for n in near_names(dataset, ids)]
    hint = "See: strbench list datasets"
    if own:
        hint = f"For a split of your own: strbench data import {dataset}/test PATH"
    return StrbenchError(f"No dataset is named {name!r}; near names: {', '.join(near)}.", hint=hint)


def catalogue() -> list[dict[str, Any]]:
    """A row per registered split: name, size, label variants, access, whether it is prepared."""
    from strbench.store import split_directory

    return [
        {
            "name": split.name,
            "task": spec.task,
            "n": split.n,
            "prepared": "yes" if (split_directory(split.name) / "manifest.json").is_file() else "",
            "access": "made here"
            if spec.make
            else " ".join(dict.fromkeys(s.access for s in spec.sources if split.name in s.splits)),
            "labels": " ".join(split.labels),
            "about": split.about,
        }
        for spec in specs()
        for split in spec.splits
    ]


def same_count(n: int) -> list[str]:
    """The registered splits that hold ``n`` samples."""
    return [s.name for spec in specs() for s in spec.splits if n and s.n == n]


def label_variant(labels: Iterable[str | None]) -> str:
    """ "case-sensitive" if a label holds a sign other than 0-9 A-Z a-z, else "standard".

    For the sets whose labels circulate twice (IIIT5K, SVT, SVTP, CUTE80). Their official labels hold
    letters and digits only; the relabelling of Long & Yao (UnrealText, CVPR 2020) put punctuation and
    spaces back, in 252 of the 2,000 IIIT5K training labels, 16 of 647 in SVT, 17 of 288 in CUTE80
    (counted on the public files). Case alone does not decide: IIIT5K's character annotation is in
    mixed case and otherwise standard.

    >>> label_variant(["DOOR", "193KM"]), label_variant(["door", "193 KM"])
    ('standard', 'case-sensitive')
    """
    special = any(label and not (label.isascii() and label.isalnum()) for label in labels)
    return "case-sensitive" if special else "standard"


def prepare(
    name: str,
    source: Path | Sequence[Path],
    *,
    split: str = "",
    labels: str = "",
    task: Task | None = None,
    unlabelled: bool = False,
    root: Path | None = None,
    replace: bool = False,
    origin: Sequence[dict[str, object]] = (),
) -> list[Split]:
    """The splits that ``source`` holds of the named dataset, written to the store.

    Args:
        name: dataset, dataset id or split; an unknown ``dataset/split`` becomes a custom split.
        source: an LMDB folder, a folder or archive in the official layout, a folder of images with
            labels in one of the usual forms, a label file, or several of these that belong together.
        labels: name of the label variant; "" lets the rule of ``label_variant`` decide.
        task: of a custom split; None lets the files decide.
        unlabelled: take images without labels, for pretraining.
        root: the folder of the stores, default ``<home>/data``.
        origin: where the files came from, for the manifest.

    Raises:
        StrbenchError: nothing known lies there, counts differ, files are missing or damaged.
    """
    from strbench.datasets.importing import import_splits

    return import_splits(
        resolve(name, split=split, own=True),
        [source] if isinstance(source, Path) else list(source),
        labels=labels,
        task=task,
        unlabelled=unlabelled,
        root=root,
        replace=replace,
        origin=origin,
    )


def obtain(
    name: str,
    *,
    split: str = "",
    accept_licence: bool = False,
    ask: Callable[[str], bool] | None = None,
    offline: bool = False,
    source: str = "",
    labels: str = "",
    root: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[str], Report] | None = None,
) -> list[Split]:
    """The named splits, each opened where it is prepared and otherwise brought and prepared.

    Files that lie in ``<home>/raw/<id>/`` are taken first, then each source of the dataset in turn.

    Args:
        ask: puts the licence question on a terminal; None where there is none.
        source: the number of a source as `strbench data info` shows it, or an address.
        labels: take a source that carries this label variant.
        say: gets one line a step. progress: gives, for a file name, what to tell of its bytes.

    Raises:
        StrbenchError: the licence is not accepted, or nothing gave the files; the hint says which
            file to bring from where into which folder, and what to run then.
    """
    from strbench.datasets.obtaining import obtain_splits

    return obtain_splits(
        name,
        split=split,
        accepted=accept_licence,
        ask=ask,
        offline=offline,
        source=source,
        labels=labels,
        root=root,
        say=say,
        progress=progress,
    )
