"""What lies in a folder, archive or LMDB of the user's, and how it becomes splits; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from strbench.annotations.rows import fault
from strbench.datasets import Spec, SplitSpec, same_count
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
from strbench.datasets.tree import Tree
from strbench.errors import DATA, StrbenchError
from strbench.lmdb_files import read_key
from strbench.store import Manifest, Split, count_samples
from strbench.types import Sample, Task


@dataclass(frozen=True)
class Plan:
    """How one split will be made."""

    name: str
    layout: str  # for the manifest
    n: int | None  # known before reading: the number of rows or of LMDB keys
    samples: Iterator[Sample] | None  # None: adopt ``lmdb`` in place
    labels: list[str | None] | None  # known before reading
    lmdb: Path | None = None
    task: Task = "recognition"


def registered(tree: Tree, spec: Spec, wanted: Sequence[SplitSpec]) -> list[Plan]:
    """Plans for those of the wanted splits that the tree holds: as LMDBs under their names, in the
    official layout, or else in one of the common layouts.

    Raises:
        StrbenchError: it holds none of them, or something that cannot be told apart.
    """
    plans: list[Plan] = []
    for split in wanted:
        plan = _named_lmdb(tree, spec, split, alone=len(wanted) == 1)
        if plan is None and _official(tree, spec):
            samples = spec.parse(tree, split.name)
            if samples is not None:
                plan = Plan(split.name, "official layout", None, samples, None, task=spec.task)
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


def _named_lmdb(tree: Tree, spec: Spec, split: SplitSpec, *, alone: bool) -> Plan | None:
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


def _lmdb_by_count(tree: Tree, spec: Spec, wanted: Sequence[SplitSpec]) -> Plan:
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


def _lmdb_plan(tree: Tree, split: SplitSpec, path: Path, n: int, *, task: Task) -> Plan:
    is_bare = split.labels == ("none",)
    reading = unprepared(split.name, path, n, task, labels="none" if is_bare else "")
    if task == "recognition" and not is_bare:
        bare = [i for i in range(n) if reading.label(i) is None]
        if bare:
            raise fault(
                f"{path}: {len(bare)} of {n} labels are missing, the first is "
                f"label-{bare[0] + 1:09d}.",
                "Bring the labelled LMDB.",
            )
    labels = reading.labels if len(split.labels) > 1 else None  # millions need not be held
    layout = f"LMDB {path.name}"
    if tree.is_temporary(path):
        return Plan(split.name, layout, n, reading.samples(), labels, task=task)
    return Plan(split.name, layout, n, None, labels, path, task=task)


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


def _generic(tree: Tree, spec: Spec, wanted: Sequence[SplitSpec]) -> Plan:
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
        return Plan(name, found.layout, found.n, named, None, task=spec.task)
    if all(split.labels == ("none",) for split in wanted):
        return _bare_images(tree, _by_count(wanted, len(tree.images), tree.shown).name)
    layout, rows, images = _read_generic(tree, complete=False)
    split = _by_count(wanted, len(rows), tree.shown)
    samples = (
        Sample(id_, tree.read(image), row.text, spec.group(id_))
        for row, image in zip(rows, images, strict=True)
        for id_ in [spec.sample_id(image, split.name)]
    )
    return Plan(split.name, layout, len(rows), samples, [row.text for row in rows])


_GENERIC: dict[Task, Callable[[Tree], Found]] = {
    "detection": find_pages,
    "super-resolution": find_pairs,
    "segmentation": find_masks,
}


def _bare_images(tree: Tree, name: str) -> Plan:
    samples = (Sample(image, tree.read(image)) for image in tree.images)
    return Plan(name, "images without labels", len(tree.images), samples, None)


def own(tree: Tree, name: str, unlabelled: bool, task: Task | None) -> Plan:
    """The plan for a split of the user's own; None as the task lets the files decide.

    Raises:
        StrbenchError: no layout is known that fits.
    """
    if len(tree.lmdbs) == 1 and not tree.images:
        return _own_lmdb(tree, name, unlabelled, task)
    if task is None and looks_like_pairs(tree):
        task = "super-resolution"
    if task not in (None, "recognition") or (task is None and looks_like_pages(tree)):
        task = task or "detection"
        found = _GENERIC[task](tree)
        return Plan(name, found.layout, found.n, found.samples, None, task=task)
    if unlabelled:
        return _bare_images(tree, name)
    layout, rows, images = _read_generic(tree, complete=True)
    pairs = (
        Sample(image, tree.read(image), row.text) for row, image in zip(rows, images, strict=True)
    )
    return Plan(name, layout, len(rows), pairs, [row.text for row in rows])


def _own_lmdb(tree: Tree, name: str, unlabelled: bool, task: Task | None) -> Plan:
    path = tree.lmdbs[0].resolve()
    told = (t for key, t in _TOLD_BY.items() if read_key(path, b"%s-%09d" % (key, 1)))
    task = task or next(told, None) or "recognition"
    labels = ("none",) if unlabelled else ("custom",)
    spec = SplitSpec(name=name, n=count_samples(path), about="", labels=labels)
    plan = _lmdb_plan(tree, spec, path, spec.n, task=task)
    return replace(plan, layout=plan.layout + ", labels dropped") if unlabelled else plan


# Keys of ``strbench.store`` that only LMDBs of one task have.
_TOLD_BY: dict[bytes, Task] = {
    b"image_hr": "super-resolution",
    b"mask": "segmentation",
    b"regions": "detection",
}
