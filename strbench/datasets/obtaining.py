"""From a name to prepared splits: what the user dropped in, then the network, then advice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from strbench.datasets import Source, Spec, Target, resolve, specs
from strbench.datasets.importing import import_splits
from strbench.errors import DATA, StrbenchError
from strbench.fetch import (
    Remote,
    Report,
    checksum_fault,
    download,
    file_sha256,
    is_unfinished,
    require_licence,
)
from strbench.home import home
from strbench.store import Split, open_split, split_directory

Say = Callable[[str], None]

# Stands for ``advice`` in the hint of an error about one split; the whole request words it once.
_BY_HAND = "bring it by hand"


def obtain_splits(
    name: str,
    *,
    split: str,
    accepted: bool,
    ask: Callable[[str], bool] | None,
    offline: bool,
    source: str,
    labels: str,
    root: Path | None,
    say: Say,
    progress: Callable[[str], Report] | None,
) -> list[Split]:
    """See ``strbench.datasets.obtain``."""
    target = resolve(name, split=split)
    spec = target.spec
    assert spec is not None
    ready: list[Split] = []
    missing: list[str] = []
    for wanted in target.splits:
        directory = split_directory(wanted, root=root)
        if (directory / "manifest.json").is_file():
            ready.append(open_split(directory))
            say(f"{wanted} is prepared already ({ready[-1].n} samples, at {directory})")
        else:
            missing.append(wanted)
    if spec.make is not None:
        made = []
        for wanted in missing:
            say(f"drawing {wanted}")
            made.append(spec.make(wanted, split_directory(wanted, root=root)))
        return ready + made
    if missing:
        require_licence(spec.id, spec.licence, accepted=accepted, ask=ask)
    failures: dict[str, StrbenchError] = {}
    for i, wanted in enumerate(missing):
        done = {split.name for split in ready}
        if wanted in done:
            continue
        others = [name for name in missing[i + 1 :] if name not in done]
        try:
            ready += _bring(spec, wanted, others, offline, source, labels, root, say, progress)
        except StrbenchError as error:
            failures[wanted] = error
    if failures:
        raise _summary(spec, name, failures, f"{len(ready)} of {len(target.splits)}")
    return ready


def _summary(
    spec: Spec, name: str, failures: Mapping[str, StrbenchError], prepared: str
) -> StrbenchError:
    """One error for all splits that cannot be had, with one advice on what to bring."""
    hints = dict.fromkeys(hint for e in failures.values() for hint in e.hint.split("\n") if hint)
    if _BY_HAND in hints:
        del hints[_BY_HAND]
        needy = [wanted for wanted, error in failures.items() if _BY_HAND in error.hint]
        for source in spec.sources:
            if set(needy) & set(source.splits):
                for remote in source.files:
                    (raw_folder(spec) / remote.file).parent.mkdir(parents=True, exist_ok=True)
        hints[advice(spec, needy, command=needy[0] if len(needy) == 1 else name)] = None
    reasons: dict[str, list[str]] = {}
    for wanted, error in failures.items():
        reasons.setdefault(error.message, []).append(wanted)
    told = " ".join(f"{', '.join(names)} cannot be had: {r}" for r, names in reasons.items())
    kept = "" if prepared.startswith("0") else f" ({prepared} are prepared)"
    worst = max(error.exit_code for error in failures.values())
    return StrbenchError(told + kept, hint="\n".join(hints), exit_code=worst)


def raw_folder(spec: Spec) -> Path:
    """Where downloads of a dataset go and where a person drops files in."""
    return home() / "raw" / (spec.raw or spec.id)


def _choose(spec: Spec, wanted: str, source: str, labels: str) -> list[Source]:
    fitting = [s for s in spec.sources if wanted in s.splits]
    if source.isdecimal():
        if not 1 <= int(source) <= len(spec.sources):
            raise StrbenchError(
                f"{spec.id} has sources 1 to {len(spec.sources)}, not {source}.",
                hint=f"See: strbench data info {spec.id}",
            )
        one = spec.sources[int(source) - 1]
        if one not in fitting:
            raise StrbenchError(
                f"Source {source} of {spec.id} ({one.title}) holds {', '.join(one.splits)}, "
                f"not {wanted}.",
                hint=f"strbench data fetch {one.splits[0]} --source {source}",
            )
        return [one]
    if source:
        return _from_url(spec, wanted, source, fitting)
    if labels:
        fitting = [s for s in fitting if s.labels == labels]
        if not fitting:
            raise StrbenchError(
                f"No source of {wanted} is known to carry {labels!r} labels.",
                hint=f"See: strbench data info {spec.id}",
            )
    return fitting


def _from_url(spec: Spec, wanted: str, url: str, fitting: Sequence[Source]) -> list[Source]:
    """The sources of a split with an address of the user's own in place of the known ones.

    An address that ends with a slash is a mirror: a folder that holds the files under their names. The
    address of a file whose name is known stands for that file, and its source's other files come from
    where they always do. In either case the known checksums hold. A file of another name is taken for
    all that is needed.
    """
    parts = urlsplit(url)
    last = parts.path.rpartition("/")[2]
    if parts.scheme not in ("http", "https", "file") or not (last or url.endswith("/")):
        raise StrbenchError(
            f"--source {url!r} is neither a number nor an http, https or file address of a file or a "
            "folder.",
            hint=f"strbench data fetch {wanted} --source https://host/folder/",
        )

    def elsewhere(remote: Remote) -> Remote:
        name = remote.file.rpartition("/")[2]
        if not last:
            return replace(remote, urls=tuple(dict.fromkeys((url + remote.file, url + name))))
        return replace(remote, urls=(url,)) if name == last else remote

    named = [
        one
        for one in fitting
        if not last or last in {r.file.rpartition("/")[2] for r in (*one.files, *one.optional)}
    ]
    if not named:
        return [
            Source(
                title=url,
                access="direct",
                splits=(wanted,),
                files=(Remote(file=last, urls=(url,)),),
            )
        ]
    return [
        replace(
            one,
            title=url,
            files=tuple(map(elsewhere, one.files)),
            optional=tuple(map(elsewhere, one.optional)),
        )
        for one in named
    ]


def _bring(
    spec: Spec,
    wanted: str,
    others: Sequence[str],
    offline: bool,
    source: str,
    labels: str,
    root: Path | None,
    say: Say,
    progress: Callable[[str], Report] | None,
) -> list[Split]:
    """The wanted split, and those of the others that the same files gave at once."""
    chosen = _choose(spec, wanted, source, labels)
    raw = raw_folder(spec)
    chosen.sort(key=lambda s: not all((raw / r.file).is_file() for r in s.files))
    problems: list[StrbenchError] = []
    dropped = list(_dropped(raw))
    if dropped and not source:
        say(f"{wanted}: looking at what lies in {raw}")
        try:
            return _import(spec, wanted, others, [raw], [], labels, root)
        except StrbenchError as error:
            problems.append(error)
    for one in chosen:
        try:
            _require(one, raw, offline)
            paths, origin = _files(wanted, one, raw, offline, say, progress)
            beside = [name for name in others if name in one.splits]
            return _import(spec, wanted, beside, paths, origin, labels, root)
        except StrbenchError as error:
            say(f"{wanted} from {one.title}: {error.message}")
            problems.append(error)
    raise StrbenchError(
        " ".join(dict.fromkeys(p.message for p in problems)) or "No source of it is known.",
        hint="\n".join(dict.fromkeys(p.hint for p in problems if p.hint)) or _BY_HAND,
        exit_code=DATA,
    )


def advice(spec: Spec, wanted: Iterable[str], *, command: str) -> str:
    """Which files to bring by hand, from where, to which folder, and the command to run then.

    A line a source, without what lies there already and what the command then fetches by itself;
    ``command`` is the name to fetch.
    """
    splits = list(wanted)
    ways = []
    flag = " --offline"
    for one in spec.sources:
        covered = [name for name in splits if name in one.splits]
        absent = [r for r in one.files if not (raw_folder(spec) / r.file).exists()]
        asked = [r for r in absent if not r.urls] or absent
        if covered and asked:
            scope = f"for {', '.join(covered)}: " if len(covered) < len(splits) else ""
            place = "" if any(r.urls for r in asked) else f" from {one.title}"
            ways.append(f"- {scope}{' and '.join(map(_errand, asked))}{place}")
            flag = flag if asked == absent else ""  # the others are fetched then
    choice = " the files of one of these lines" if len(ways) > 1 else ""
    each = " for each split" if len(ways) > 1 and len(splits) > 1 else ""
    return "\n".join(
        (
            f"With a browser bring{choice}{each}:",
            *ways,
            *(f"see {page}" for page in spec.pages),
            f"licence: {spec.licence}",
            f"into {raw_folder(spec)}/ and run: strbench data fetch {command}{flag}",
        )
    )


def _errand(remote: Remote) -> str:
    """A file to bring: its name, and where it is or how to know it."""
    if remote.urls:
        return f"{remote.file} from {remote.urls[0]}"
    known = [f"{remote.size / 1e6:.1f} MB"] if remote.size else []
    known += [f"sha256 {value}" for value in remote.sha256[:1]]
    known += [f"md5 {value}" for value in remote.md5[:1] if not remote.sha256]
    known += [remote.note] if remote.note else []
    return f"{remote.file} ({', '.join(known)})" if known else remote.file


def _dropped(raw: Path) -> Iterator[Path]:
    """What lies in the raw folder and is not there under the name of a known download."""
    sharing = [other for other in specs() if raw_folder(other) == raw]
    sources = [source for other in sharing for source in other.sources]
    known = {raw / remote.file for s in sources for remote in (*s.files, *s.optional)}
    for path in sorted(raw.rglob("*")):
        inside = path.relative_to(raw).parts
        is_hidden = any(part.startswith(".") for part in inside) or path.name == "lock.mdb"
        if path.is_file() and path not in known and not is_hidden and not is_unfinished(path):
            yield path


def _require(source: Source, raw: Path, offline: bool) -> None:
    """Raises a StrbenchError if a file is absent that may not be downloaded."""
    absent = [r for r in source.files if not (raw / r.file).exists()]
    if any(not r.urls for r in absent):
        raise StrbenchError("files are missing that only a person can bring.", hint=_BY_HAND)
    if absent and offline:
        raise StrbenchError("files are missing and --offline forbids to fetch them.", hint=_BY_HAND)


def _files(
    wanted: str,
    source: Source,
    raw: Path,
    offline: bool,
    say: Say,
    progress: Callable[[str], Report] | None,
) -> tuple[list[Path], list[dict[str, object]]]:
    paths: list[Path] = []
    origin: list[dict[str, object]] = []
    for remote in (*source.files, *source.optional):
        path = raw / remote.file
        is_extra = remote in source.optional
        if not path.exists() and not offline:
            size = f" ({remote.size / 1e6:.1f} MB)" if remote.size else ""
            say(f"{wanted}: downloading {remote.file}{size} from {source.title}")
        try:
            download(
                remote,
                path,
                offline=offline,
                by_hand=_BY_HAND,
                report=progress(remote.file) if progress else None,
            )
        except StrbenchError as error:
            if not is_extra:
                raise
            say(f"{wanted}: going on without {remote.file}, which {remote.note} ({error.message})")
            continue
        paths.append(path.parent if path.name == "data.mdb" else path)
        checked = bool(remote.sha256 or remote.md5) and not checksum_fault(remote, path)
        origin.append(
            {
                "name": remote.file,
                "url": remote.urls[0] if remote.urls else "",
                "bytes": path.stat().st_size,
                "sha256": file_sha256(path),
                "checked": checked,  # against a checksum that others published
            }
        )
    return paths, origin


def _import(
    spec: Spec,
    wanted: str,
    beside: Sequence[str],
    paths: list[Path],
    origin: list[dict[str, object]],
    labels: str,
    root: Path | None,
) -> list[Split]:
    """The wanted split and what the files hold of those ``beside`` it.

    Archives are opened once for all of them. Where that fails the wanted one is tried alone, so that a
    fault of another split is told when that one has its turn.
    """

    def take(names: tuple[str, ...]) -> list[Split]:
        return import_splits(
            Target(spec, names),
            paths,
            labels=labels,
            unlabelled=False,
            root=root,
            replace=False,
            origin=origin,
        )

    if beside:
        made: list[Split] = []
        with suppress(StrbenchError):
            made = take((wanted, *beside))
        written = made or [
            open_split(directory)
            for name in (wanted, *beside)
            if ((directory := split_directory(name, root=root)) / "manifest.json").is_file()
        ]
        if any(split.name == wanted for split in written):
            return written
        return [*written, *take((wanted,))]
    return take((wanted,))
