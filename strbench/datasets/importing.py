"""From files that the user has to splits of the store: find the layout, check the counts, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from strbench.datasets import Lexicons, Spec, SplitSpec, Target, label_variant
from strbench.datasets.plans import Plan, own, registered, wrong_count
from strbench.datasets.tree import Tree, open_tree
from strbench.errors import DATA, StrbenchError
from strbench.fetch import file_sha256
from strbench.store import Split, adopt_lmdb, split_directory, write_split
from strbench.types import Sample, Task


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
            plans = [own(tree, target.splits[0], unlabelled, task)]
        else:
            plans = registered(tree, spec, [spec.split(name) for name in wanted])
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
    plan: Plan,
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
