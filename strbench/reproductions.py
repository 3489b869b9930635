"""Tables of papers as data, and the runs that each needs in their order.

A ``Reproduction`` is found by name in the registry's table "reproductions". A ``Scale`` says with how
much of what it is rebuilt: the paper's recipes and data, or an hour of a CPU. Figures of two scales
never share a table. Every run has a name of its own, ``table.scale.key-seedN``.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from strbench import registry
from strbench.errors import unknown_name

# The line belongs to registry.TABLES.
registry.TABLES.setdefault("reproductions", "strbench.benchmarks.reproductions:REPRODUCTIONS")

Part = tuple[Literal["first", "random"], float]


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training run of a row; equal ones of several rows are trained once."""

    key: str  # short name of the run, unique in its table or family
    entry: str  # name in the registry
    data: str  # which of the scale's data, e.g. "pretraining" or "labelled"
    unlabelled: str = ""  # which of the scale's data it sees without labels; "": none
    settings: tuple[str, ...] = ()  # on top of the recipe, as --set takes them
    recipes: Mapping[str, str] = field(default_factory=dict)  # the scale's recipe -> this run's
    part: Part | None = None  # of each split of ``data``
    parents: tuple[Training, ...] = ()  # whose weights it starts from
    family: str = ""  # stands for the table in the run's name: tables of one family share the run


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table: the run that is evaluated, and where its printed figures are."""

    label: str
    run: Training
    reported: Mapping[str, str] = field(default_factory=dict)  # columns of the CSV -> their values
    against: str = ""  # label of the row from which a difference is tested


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large the runs of a table are, and on what they are trained and tested."""

    title: str
    recipe: str
    # Name -> splits as --data takes them; one that ends in "?" is used where it is prepared.
    data: Mapping[str, tuple[str, ...]]
    splits: tuple[str, ...] = ()  # test sets; (): the columns of the table
    seeds: int = 1
    recipes: Mapping[str, str] = field(default_factory=dict)  # entry -> recipe, where it is another
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # entry -> on top of it
    # Rows trained in another way than the paper's, or fewer of them; (): the table's.
    rows: tuple[Row, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A table of a paper as runs of this project."""

    title: str
    source: str  # authors, venue, table
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    scales: Mapping[str, Scale]
    average: str = ""  # what the CSV calls the printed average over all columns; "": none
    protocol: str = "strbench-36"  # "": of each set its own
    metrics: tuple[str, ...] = ("word_accuracy",)  # a table each, see strbench.report.frame.METRICS
    note: str = ""

    def rule(self, split: str) -> str:
        """The protocol under which a test set is scored."""
        from strbench.task_protocols import default_protocol

        return self.protocol or default_protocol(split, "detection")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One run to train, or one trained run to read and score test sets with."""

    run: str
    does: Literal["pretrain", "finetune", "eval"]
    entry: str
    recipe: str
    seed: int
    rows: tuple[str, ...]  # labels of the rows that need it
    needs: tuple[str, ...] = ()  # runs that must be finished
    settings: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    part: Part | None = None
    splits: tuple[str, ...] = ()  # of an evaluation: the test sets that are at hand
    missing: tuple[str, ...] = ()  # splits that are neither prepared nor drawn here

    @property
    def kind(self) -> registry.Kind:
        return registry.kind_of(self.entry)

    @property
    def command(self) -> str:
        """The same step as a command line of its own."""
        if self.does == "eval":
            words = ["eval", "--model", self.run]
            words += [word for s in (*self.splits, *self.missing) for word in ("--data", s)]
            return shlex.join(["strbench", *words])
        words = [self.does, self.entry, "--recipe", self.recipe]
        starts = self.needs or (("scratch",) if self.does == "finetune" else ())
        for option, values in (
            ("--from", starts), ("--data", self.data), ("--unlabelled", self.unlabelled),
            ("--set", self.settings),
        ):  # fmt: skip
            words += [word for value in values for word in (option, value)]
        if self.part is not None:
            words += [f"--{self.part[0]}", f"{self.part[1]:g}"]
        return shlex.join(["strbench", *words, "--seed", str(self.seed), "--name", self.run])


def known() -> Mapping[str, Reproduction]:
    """Every table that can be rebuilt, by name."""
    tables: Mapping[str, Reproduction] = registry.table("reproductions")
    return tables


def find(table: str, scale: str) -> tuple[Reproduction, Scale]:
    """The table and its scale of these names.

    Raises:
        StrbenchError: there is none; near names are listed.
    """
    if table not in known():
        raise unknown_name("table", table, known(), hint="See: strbench reproduce")
    found = known()[table]
    if scale not in found.scales:
        raise unknown_name(f"scale of {table}", scale, found.scales, hint="See: strbench reproduce")
    return found, found.scales[scale]


def rows_at(found: Reproduction, scale: Scale, only: Sequence[str] = ()) -> list[Row]:
    """The rows of a table at a scale.

    Args:
        only: labels or keys; without any all rows.

    Raises:
        StrbenchError: ``only`` names a row that this scale does not have.
    """
    rows = scale.rows or found.rows
    names = {name: row for row in rows for name in (row.label, row.run.key)}
    for name in only:
        if name not in names:
            raise unknown_name(
                "row", name, names, hint="See the rows: strbench reproduce --dry-run"
            )
    return [row for row in rows if not only or {row.label, row.run.key} & set(only)]


def run_name(table: str, scale: str, run: Training, seed: int) -> str:
    """The folder of a run of a table."""
    return f"{run.family or table}.{scale}.{run.key}-seed{seed}"


def plan(
    table: str,
    scale: str,
    *,
    seeds: int = 0,
    only: Sequence[str] = (),
    prepared: Collection[str] | None = None,
) -> list[Step]:
    """Every step that a table needs, each behind those that it needs; equal ones once.

    Seed by seed, so that a plan that is cut short leaves whole tables of fewer seeds.

    Args:
        seeds: how many, counted from 0; 0: as many as the scale says.
        prepared: splits that are at hand; None: those prepared here.

    Raises:
        StrbenchError: an unknown table, scale or row.
    """
    from strbench.store import prepared_splits

    found, chosen = find(table, scale)
    rows = rows_at(found, chosen, only)
    prepared = set(prepared_splits() if prepared is None else prepared)
    tests = chosen.splits or found.columns
    at_hand = tuple(split for split in tests if split in prepared or is_drawn(split))
    steps: dict[tuple[str, str], Step] = {}
    trainings: dict[str, Training] = {}

    def add(step: Step) -> None:
        before = steps.get((step.does, step.run), step)
        labels = dict.fromkeys([*before.rows, *step.rows])
        steps[step.does, step.run] = replace(before, rows=tuple(labels))

    def train(run: Training, seed: int, label: str) -> str:
        if trainings.setdefault(run.key, run) != run:
            raise ValueError(f"{table}: two different runs have the key {run.key}")
        needs = tuple(train(parent, seed, label) for parent in run.parents)
        name = run_name(table, scale, run, seed)
        data, missing = _at_hand(chosen.data[run.data], prepared)
        unlabelled, absent = _at_hand(chosen.data.get(run.unlabelled, ()), prepared)
        usual = chosen.recipes.get(run.entry, chosen.recipe)
        add(
            Step(
                run=name,
                does="pretrain" if registry.kind_of(run.entry) == "methods" else "finetune",
                entry=run.entry,
                recipe=run.recipes.get(chosen.recipe, usual),
                seed=seed,
                rows=(label,),
                needs=needs,
                settings=(*chosen.settings.get(run.entry, ()), *run.settings),
                data=data,
                unlabelled=unlabelled,
                part=run.part,
                missing=(*missing, *absent),
            )
        )
        return name

    for seed in range(seeds or chosen.seeds):
        for row in rows:
            name = train(row.run, seed, row.label)
            trained = (
                steps["pretrain", name] if ("pretrain", name) in steps else steps["finetune", name]
            )
            add(
                replace(
                    trained,
                    does="eval",
                    rows=(row.label,),
                    needs=(name,),
                    data=(),
                    unlabelled=(),
                    part=None,
                    settings=(),
                    splits=at_hand,
                    missing=tuple(split for split in tests if split not in at_hand),
                )
            )
    return list(steps.values())


def is_drawn(split: str) -> bool:
    """Whether strbench draws this split itself, so that it need not be brought."""
    from strbench.datasets import resolve

    spec = resolve(split, own=True).spec
    return spec is not None and spec.make is not None


def _at_hand(
    names: Iterable[str], prepared: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The splits to train on, and those among them that somebody must bring first."""
    used: list[str] = []
    missing: list[str] = []
    for text in names:
        name, is_optional = text.removesuffix("?"), text.endswith("?")
        split = name.partition("=")[0]
        is_there = split in prepared or split.endswith(".txt") or is_drawn(split)
        if is_there or not is_optional:
            used.append(name)
        if not is_there and not is_optional:
            missing.append(split)
    return tuple(used), tuple(missing)
