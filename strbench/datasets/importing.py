"""From files that the user has to splits of the store: find the layout, check the count, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_field
from pathlib import Path
from typing import Any

from strbench.annotations.rows import fault
from strbench.datasets import Lexicons, Spec, SplitSpec, Target, label_variant, same_count
from strbench.datasets.labels import (
    Row,
    check_all_labelled,
    find_label_file,
    join_images,
    one_file_per_image,
    read_rows,
)
from strbench.datasets.pages import Found, find_pages, looks_like_pages
from strbench.datasets.pairs import find_masks, find_pairs, looks_like_pairs
from strbench.datasets.tree import Tree, open_tree
from strbench.errors import DATA, StrbenchError
from strbench.fetch import file_sha256
from strbench.lmdb_files import read_key
from strbench.store import (
    Manifest,
    Split,
    adopt_lmdb,
    count_samples,
    split_directory,
    write_split,
)
from strbench.types import Sample, Task


@dataclass(frozen=True)
class _Plan:
    """How one split will be made."""

    name: str
    layout: str  # for the manifest
    n: int | None  # known before reading: the number of rows or of LMDB keys
    samples: Iterator[Sample] | None  # None: adopt ``lmdb`` in place
    labels: list[str | None] | None  # known before reading
    lmdb: Path | None = None
    task: Task = "recognition"


def import_splits(
    target: Target,
    paths: Sequence[Path],
    *,
    labels: str,
    task: Task | None = None,
    unlabelled: bool,
    root: Path | None,
    replace: bool,
    origin: Sequence[dict[str, object]],
) -> list[Split]:
    """See ``strbench.datasets.prepare``."""
    spec = target.spec
    if spec is not None and task not in (None, spec.task):
        raise StrbenchError(
            f"{spec.id} is a dataset of {spec.task}, not of {task}.",
            hint=f"Leave --task out, or see: strbench list datasets   (asked for {target.splits[0]})",
        )
    if unlabelled and spec is not None:
        raise StrbenchError(
            f"{spec.id} is a labelled dataset; --unlabelled makes a split of your own.",
            hint=f"strbench data import my-{spec.id}/unlabelled {paths[0]} --unlabelled",
        )
    wanted = _not_yet(target.splits, root, replace, single=len(target.splits) == 1)
    official = {r.file.rpartition("/")[2] for r in _remotes(spec)} if spec else set()
    official |= set(spec.drop_in) if spec else set()
    streamed = spec.streamed if spec else ()
    with open_tree(paths, official=official, streamed=streamed) as tree:
        if spec is None:
            plans = [_own(tree, target.splits[0], unlabelled, task)]
        else:
            plans = _registered(tree, spec, [spec.split(name) for name in wanted])
        sources = list(origin) or [_origin(path) for path in paths]
        return [
            _write(tree, spec, plan, labels, root, replace, sources, unlabelled) for plan in plans
        ]


def _remotes(spec: Spec) -> Iterator[Any]:
    for source in spec.sources:
        yield from (*source.files, *source.optional)


def _not_yet(names: Sequence[str], root: Path | None, replace: bool, *, single: bool) -> list[str]:
    free = [n for n in names if replace or not split_directory(n, root=root).exists()]
    if not free:
        what = f"{names[0]} is" if single else f"{', '.join(names)} are"
        raise StrbenchError(
            f"{what} prepared already.",
            hint=f"Add --replace to write anew, or check with: strbench data verify {names[0]}",
        )
    return free


def _origin(path: Path) -> dict[str, object]:
    if path.is_dir() and (path / "data.mdb").is_file():
        path = path / "data.mdb"
    if not path.is_file():
        return {"name": path.absolute().name, "kind": "folder"}
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _registered(tree: Tree, spec: Spec, wanted: Sequence[SplitSpec]) -> list[_Plan]:
    plans: list[_Plan] = []
    for split in wanted:
        plan = _named_lmdb(tree, spec, split, alone=len(wanted) == 1)
        if plan is None and _official(tree, spec):
            samples = spec.parse(tree, split.name)
            if samples is not None:
                plan = _Plan(split.name, "official layout", None, samples, None, task=spec.task)
        if plan is not None:
            plans.append(plan)
    if plans:
        return plans
    if tree.lmdbs and not tree.images:
        return [_lmdb_by_count(tree, spec, wanted)]
    return [_generic(tree, spec, wanted)]


def _official(tree: Tree, spec: Spec) -> bool:
    """Whether the official layout may be looked for: not where the user names another label file."""
    last = tree.label_file.rpartition("/")[2]
    return not last or last in {"gt.txt", *spec.drop_in}


def _named_lmdb(tree: Tree, spec: Spec, split: SplitSpec, *, alone: bool) -> _Plan | None:
    names = tuple(f"/{n.lower()}" for n in (split.name.replace("/", "_"), *split.folders))
    fitting = [p for p in tree.lmdbs if p.absolute().as_posix().lower().endswith(names)]
    counted = [(p, count_samples(p)) for p in fitting]
    right = [(p, n) for p, n in counted if split.n in (0, n)]
    if len(right) > 1:
        raise fault(
            f"{tree.shown} holds {len(right)} LMDBs of {split.name}: "
            f"{', '.join(str(p) for p, _ in right[:3])}.",
            f"Name one of them: strbench data import {split.name} {right[0][0]}",
        )
    if right:
        return _lmdb_plan(tree, split, *right[0], task=spec.task)
    if counted and alone:
        raise wrong_count(split, counted[0][1], str(counted[0][0]))
    return None


def _lmdb_by_count(tree: Tree, spec: Spec, wanted: Sequence[SplitSpec]) -> _Plan:
    if len(tree.lmdbs) > 1:
        raise fault(
            f"{tree.shown} holds {len(tree.lmdbs)} LMDBs and none is named like "
            f"{wanted[0].name}: {', '.join(p.name for p in tree.lmdbs[:8])}.",
            f"Name the one to use: strbench data import {wanted[0].name} {tree.lmdbs[0]}",
        )
    path = tree.lmdbs[0]
    chosen = _by_count(wanted, n := count_samples(path), str(path))
    for other in spec.splits:
        if other.n == n and other.name != chosen.name and path.name.lower() in other.folders:
            raise fault(
                f"{path}: expected {chosen.name}, but the folder's name is that of {other.name}, "
                "which is as large.",
                f"Import it as that: strbench data import {other.name} {path}",
            )
    return _lmdb_plan(tree, chosen, path, n, task=spec.task)


def _by_count(wanted: Sequence[SplitSpec], n: int, place: str) -> SplitSpec:
    fitting = [split for split in wanted if split.n == n] or [s for s in wanted if not s.n]
    if not fitting:
        raise wrong_count(wanted[0], n, place, others=wanted[1:])
    if len(fitting) > 1:
        raise fault(
            f"{place}: {n} samples fit {' and '.join(s.name for s in fitting)}.",
            f"Name the split: strbench data import {fitting[0].name} PATH",
        )
    return fitting[0]


def wrong_count(
    split: SplitSpec, found: int, place: str, *, others: Sequence[SplitSpec] = ()
) -> StrbenchError:
    """The error for a source with another number of samples than its split has."""
    expected = " or ".join(f"{s.n} samples ({s.name})" for s in (split, *others))
    twins = [name for name in same_count(found) if name != split.name]
    own = split.name.partition("/")[0]
    return StrbenchError(
        f"{place}: expected {expected}, found {found}.",
        hint=f"{found} is the size of {twins[0]}: strbench data import {twins[0]} {place}"
        if twins
        else "Bring the complete split, or import it as your own: strbench data import "
        f"my-{own}/test {place}",
        exit_code=DATA,
    )


def _lmdb_plan(tree: Tree, split: SplitSpec, path: Path, n: int, *, task: Task) -> _Plan:
    is_bare = split.labels == ("none",)
    reading = unprepared(split.name, path, n, task, labels="none" if is_bare else "")
    labels = reading.labels
    bare = [i for i, label in enumerate(labels, 1) if label is None]
    if bare and not is_bare and task == "recognition":
        raise fault(
            f"{path}: {len(bare)} of {n} labels are missing, the first is label-{bare[0]:09d}.",
            "Bring the labelled LMDB.",
        )
    layout = f"LMDB {path.name}"
    if tree.is_temporary(path):
        return _Plan(split.name, layout, n, reading.samples(), labels, task=task)
    return _Plan(split.name, layout, n, None, labels, path, task=task)


def unprepared(name: str, path: Path, n: int, task: Task, *, labels: str) -> Split:
    """An LMDB of the user's, to be read like a split before it is one; ids count from 1."""
    dataset, _, part = name.partition("/")
    return Split(
        path,
        Manifest(
            dataset=dataset,
            split=part,
            task=task,
            n=n,
            fingerprint="",
            labels=labels,
            ids="index",
            lmdb=str(path.resolve()),
        ),
    )


def _read_generic(tree: Tree, *, complete: bool) -> tuple[str, list[Row], list[str]]:
    """Layout, rows and images of a folder in one of the layouts of ``strbench.datasets.labels``."""
    label_file = find_label_file(tree)
    pairs = None if label_file else one_file_per_image(tree)
    if pairs is not None:
        return ("a text file per image", *pairs)
    if not label_file:
        raise fault(
            f"{tree.shown}: no label file was found beside {len(tree.images)} images.",
            "Write labels.tsv with one `path TAB label` a line, or name the label file itself.",
        )
    rows = read_rows(tree.read(label_file), tree.place(label_file))
    images = join_images(tree, rows, label_file)
    if complete:
        check_all_labelled(tree, images, tree.place(label_file))
    return f"label file {label_file}", rows, images


def _generic(tree: Tree, spec: Spec, wanted: Sequence[SplitSpec]) -> _Plan:
    if not tree.images:
        raise fault(
            f"{tree.shown} holds nothing that {spec.id} comes in: no LMDB, no images, none of "
            f"{', '.join(spec.drop_in) or 'its files'}.",
            f"See which files to bring: strbench data info {spec.id}",
        )
    if spec.task != "recognition":
        found = _GENERIC[spec.task](tree)
        name = _by_count(wanted, found.n, tree.shown).name
        named = (s._replace(id=spec.sample_id(s.id, name)) for s in found.samples)
        return _Plan(name, found.layout, found.n, named, None, task=spec.task)
    if all(split.labels == ("none",) for split in wanted):
        return _bare_images(tree, _by_count(wanted, len(tree.images), tree.shown).name)
    layout, rows, images = _read_generic(tree, complete=False)
    split = _by_count(wanted, len(rows), tree.shown)
    samples = (
        Sample(id_, tree.read(image), row.text, spec.group(id_))
        for row, image in zip(rows, images, strict=True)
        for id_ in [spec.sample_id(image, split.name)]
    )
    return _Plan(split.name, layout, len(rows), samples, [row.text for row in rows])


_GENERIC: dict[Task, Callable[[Tree], Found]] = {
    "detection": find_pages,
    "super-resolution": find_pairs,
    "segmentation": find_masks,
}


def _bare_images(tree: Tree, name: str) -> _Plan:
    samples = (Sample(image, tree.read(image)) for image in tree.images)
    return _Plan(name, "images without labels", len(tree.images), samples, None)


def _own(tree: Tree, name: str, unlabelled: bool, task: Task | None) -> _Plan:
    if len(tree.lmdbs) == 1 and not tree.images:
        return _own_lmdb(tree, name, unlabelled, task)
    if task is None and looks_like_pairs(tree):
        task = "super-resolution"
    if task not in (None, "recognition") or (task is None and looks_like_pages(tree)):
        task = task or "detection"
        found = _GENERIC[task](tree)
        return _Plan(name, found.layout, found.n, found.samples, None, task=task)
    if unlabelled:
        return _bare_images(tree, name)
    layout, rows, images = _read_generic(tree, complete=True)
    pairs = (
        Sample(image, tree.read(image), row.text) for row, image in zip(rows, images, strict=True)
    )
    return _Plan(name, layout, len(rows), pairs, [row.text for row in rows])


def _own_lmdb(tree: Tree, name: str, unlabelled: bool, task: Task | None) -> _Plan:
    path = tree.lmdbs[0].resolve()
    told = (t for key, t in _TOLD_BY.items() if read_key(path, b"%s-%09d" % (key, 1)))
    task = task or next(told, None) or "recognition"
    labels = ("none",) if unlabelled else ("custom",)
    spec = SplitSpec(name=name, n=count_samples(path), about="", labels=labels)
    plan = _lmdb_plan(tree, spec, path, spec.n, task=task)
    return replace_field(plan, layout=plan.layout + ", labels dropped") if unlabelled else plan


# Keys of ``strbench.store`` that only LMDBs of one task have.
_TOLD_BY: dict[bytes, Task] = {
    b"image_hr": "super-resolution",
    b"mask": "segmentation",
    b"regions": "detection",
}


def _counted(samples: Iterable[Sample], split: SplitSpec, place: str) -> Iterator[Sample]:
    n = 0
    for n, sample in enumerate(samples, 1):  # noqa: B007 (the count is used below)
        yield sample
    if split.n and n != split.n:
        raise wrong_count(split, n, place)


def _variant_by_counts(
    split: SplitSpec, place: str, asked: str
) -> Callable[[Mapping[str, int]], str]:
    """What names the label variant of a split from what was counted in it.

    Args:
        asked: the variant that the user wants; another one is then an error.
    """

    def name(found: Mapping[str, int]) -> str:
        fitting = [
            variant
            for variant, expected in split.counts.items()
            if all(found.get(key, 0) == value for key, value in expected.items())
        ]
        fitting = fitting or [label for label in split.labels if label not in split.counts]
        if asked and fitting and asked not in fitting:
            raise StrbenchError(
                f"{place}: expected the labels {asked!r} of {split.name}, found {fitting[0]!r}.",
                hint=f"Leave --labels {asked} out, or bring that ground truth.",
                exit_code=DATA,
            )
        if fitting:
            return asked or fitting[0]
        known = " or ".join(f"{_spell(v)} ({k})" for k, v in split.counts.items())
        shown = {key: found.get(key, 0) for key in next(iter(split.counts.values()))}
        raise StrbenchError(
            f"{place}: expected {known} in {split.name}, found {_spell(shown)}.",
            hint="Bring one of these ground truths, or import yours under a name of your own: "
            f"strbench data import my-{split.name} PATH --task detection",
            exit_code=DATA,
        )

    return name


def _spell(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value} {key}" for key, value in counts.items())


def _write(
    tree: Tree,
    spec: Spec | None,
    plan: _Plan,
    labels: str,
    root: Path | None,
    replace: bool,
    sources: Sequence[dict[str, Any]],
    unlabelled: bool,
) -> Split:
    dataset, _, split_name = plan.name.partition("/")
    split = spec.split(plan.name) if spec else None
    notes = [f"read from {plan.layout}"]
    samples = plan.samples
    variant: str | Callable[[Mapping[str, int]], str]
    if split is None:
        variant = labels or ("none" if unlabelled else "custom")
    elif split.counts:
        variant = _variant_by_counts(split, tree.shown, labels)
    else:
        texts = plan.labels
        if texts is None and samples is not None and len(split.labels) > 1:
            held = list(samples)  # these sets are small; the variant is known from the labels alone
            texts, samples = [s.label for s in held], iter(held)
        found = label_variant(texts or ()) if len(split.labels) > 1 else split.labels[0]
        variant = labels or found
        if variant not in split.labels:
            raise StrbenchError(
                f"{plan.name} has no label variant {variant!r}; it has {', '.join(split.labels)}.",
                hint="Leave --labels out to let the labels decide.",
            )
        if variant != found:
            notes.append(f"labels named {variant!r} by the user; they look {found!r}")
    directory = split_directory(plan.name, root=root)
    licence = spec.licence if spec else ""
    expected = (split.n or None) if split else None
    if samples is None:
        assert plan.lmdb is not None
        assert isinstance(variant, str)
        return adopt_lmdb(
            plan.lmdb,
            directory,
            dataset=dataset,
            split=split_name,
            labels=variant,
            task=plan.task,
            licence=licence,
            expected=expected,
            sources=sources,
            notes=notes,
            replace=replace,
        )
    lexicons: Lexicons = spec.lexicons(tree, plan.name) if spec else {}
    return write_split(
        directory,
        _counted(samples, split, tree.shown) if split else samples,
        dataset=dataset,
        split=split_name,
        labels=variant,
        task=plan.task,
        lexicons=lexicons,
        licence=licence,
        expected=expected,
        sources=sources,
        notes=notes,
        replace=replace,
    )
