"""The test splits that --suite and --data mean, brought where that is possible."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from strbench import registry
from strbench.cli.console import command_line, say
from strbench.errors import DATA, StrbenchError, unknown_name
from strbench.types import Task

if TYPE_CHECKING:
    from strbench.store import Split


class Consent(NamedTuple):
    """What may be done to get a split that is not prepared."""

    accept_licence: bool = False
    offline: bool = False


def named_splits(
    suite: str | None, data: Sequence[str] | None, *, stand_in: bool = False
) -> tuple[str, list[str]]:
    """The suite's name for the record ("" without one) and the splits, each once.

    Without --suite and --data: every test split of words that is prepared here.

    Raises:
        StrbenchError: no such suite, a suite without a stand-in, or nothing was named and nothing is
            prepared.
    """
    suites = registry.table("suites")
    if suite is None and stand_in:
        raise StrbenchError(
            "--stand-in replaces the real sets of a suite, and no --suite was given.",
            hint="strbench eval --suite occluded --stand-in",
        )
    if suite is None and not data:
        from strbench.store import prepared_splits

        tests = {
            s for entry in suites.values() if entry.task == "recognition" for s in entry.splits
        }
        prepared = [name for name in prepared_splits() if name in tests]
        if not prepared:
            raise StrbenchError(
                "No test set is prepared here, and neither --suite nor --data was given.",
                hint="strbench eval --suite rendered",
            )
        say(f"no --suite: every prepared test split, {', '.join(prepared)}")
        return "", prepared
    names: list[str] = []
    if suite is not None:
        if suite not in suites:
            raise unknown_name("suite", suite, suites, hint="See: strbench list suites")
        if stand_in:
            if not suites[suite].stand_in:
                raise StrbenchError(
                    f"The suite {suite} has no rendered stand-in.",
                    hint=f"strbench eval --suite {suite}",
                )
            say(f"--stand-in: the rendered suite {suites[suite].stand_in} in place of {suite}")
            suite = suites[suite].stand_in
        names += suites[suite].splits
    return suite or "", list(dict.fromkeys([*names, *(data or [])]))


def named_task(name: str) -> Task:
    """The task of a split by its name, prepared or not; ``recognition`` where nothing tells."""
    from strbench.datasets import resolve
    from strbench.store import find_split, prepared_splits

    if name in prepared_splits():
        return cast(Task, find_split(name).manifest.task)
    spec = resolve(name).spec
    return spec.task if spec is not None else "recognition"


def chosen_protocol(named: str | None, data: str | None) -> str:
    """The protocol that was named, else the one that goes with the split's task.

    Raises:
        StrbenchError: no task has one of that name; or none was named, and ``data`` is a file, or a
            split without one of its own.
    """
    if named is not None:
        from strbench.image_protocols import IMAGE_PROTOCOLS
        from strbench.protocols import PROTOCOLS
        from strbench.region_protocols import REGION_PROTOCOLS

        known = {**PROTOCOLS, **REGION_PROTOCOLS, **IMAGE_PROTOCOLS}
        if named not in known:
            raise unknown_name("protocol", named, known, hint="See: strbench list protocols")
        return named
    if data is not None and Path(data).exists():
        raise StrbenchError(
            f"{data} is a ground truth of regions, and no protocol was named.",
            hint="Name one: --protocol ic15-iou   (see: strbench list protocols)",
        )
    from strbench.task_protocols import default_protocol  # here: what named one needs no registry

    return default_protocol(data or "", named_task(data) if data else "recognition")


def bring(
    names: Sequence[str],
    consent: Consent,
    *,
    suite: str | None = None,
    task: Task | None = "recognition",
) -> list[Split]:
    """The splits, each opened where it is prepared and otherwise fetched or drawn first.

    On a terminal the licence of a set is put to the user; elsewhere ``consent`` decides.

    Args:
        task: of all of them; None lets any pass.

    Raises:
        StrbenchError: some cannot be had; the hint names the files to bring, from where and to which
            folder, and the suite's rendered stand-in.
    """
    from strbench.cli.data import ask_on_terminal, show_bytes
    from strbench.datasets import obtain, resolve
    from strbench.splits import check_task
    from strbench.store import find_split, prepared_splits, split_directory

    ready = prepared_splits()
    missing = [name for name in names if name not in ready]
    for name in missing:
        split_directory(name)  # a misspelt name stops the command before the first download
    targets = {name: resolve(name) for name in missing}
    for name, target in targets.items():
        if target.spec is not None and task is not None:
            check_task(name, target.spec.task, task)
    ask = ask_on_terminal if sys.stdin.isatty() and sys.stderr.isatty() else None
    failures: dict[str, StrbenchError] = {}
    for name in missing:
        try:
            obtain(
                name,
                accept_licence=consent.accept_licence,
                offline=consent.offline,
                ask=ask,
                say=say,
                progress=show_bytes,
            )
        except StrbenchError as error:
            spec = targets[name].spec
            if spec is None or spec.make:  # drawn here: there is nothing to bring
                raise
            failures[name] = error
    if failures:
        raise _not_at_hand(failures, consent, suite)
    return [find_split(name, task=task) for name in names]


def _not_at_hand(
    failures: dict[str, StrbenchError], consent: Consent, suite: str | None
) -> StrbenchError:
    from strbench.datasets import resolve
    from strbench.datasets.obtaining import raw_folder

    reasons = dict.fromkeys(e.message for e in failures.values() if e.exit_code != DATA)
    if any(e.exit_code == DATA for e in failures.values()):  # each source's failure was told
        reasons["Bringing them failed, as told above."] = None

    def again(*added: str) -> str:
        return (
            command_line(*added) if suite else " ".join(("strbench data fetch", *failures, *added))
        )

    hints = []
    if any("licence" in reason for reason in reasons) and not consent.accept_licence:
        hints.append(f"To accept and fetch: {again('--accept-licence')}")
    for name in failures:
        spec = resolve(name).spec
        assert spec is not None
        source = next((s for s in spec.sources if name in s.splits), None)
        for remote in source.files if source else ():
            target = raw_folder(spec) / remote.file
            place = remote.urls[0] if remote.urls else f"{remote.file} ({spec.pages[0]})"
            hints.append(f"By hand: bring {place}\n  as {target}")
    if len(hints) > 1 or (hints and consent.accept_licence):
        hints.append(f"  then: {again('--offline', '--accept-licence')}")
    if suite and registry.table("suites")[suite].stand_in:
        hints.append(f"On rendered data instead: {command_line('--stand-in')}")
    worst = max(failures.values(), key=lambda error: error.exit_code)
    names = ", ".join(failures)
    return StrbenchError(
        f"Not at hand: {names}. {' '.join(reasons)}",
        hint="\n".join(hints) or worst.hint,
        exit_code=worst.exit_code,
    )
