"""From a name to prepared splits: what the user dropped in, then the network, then advice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from strbench.datasets import Source, Spec, resolve
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
    failures: list[StrbenchError] = []
    for wanted in missing:
        try:
            ready.append(_bring(spec, wanted, offline, source, labels, root, say, progress))
        except StrbenchError as error:
            failures.append(error)
            if len(missing) > 1:
                say(f"{wanted}: {error.message}")
    if failures:
        last = failures[-1]
        kept = f" ({len(ready)} of {len(target.splits)} are prepared)" if ready else ""
        raise StrbenchError(last.message + kept, hint=last.hint, exit_code=last.exit_code)
    return ready


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
        return [_from_url(spec, wanted, source)]
    if labels:
        fitting = [s for s in fitting if s.labels == labels]
        if not fitting:
            raise StrbenchError(
                f"No source of {wanted} is known to carry {labels!r} labels.",
                hint=f"See: strbench data info {spec.id}",
            )
    return fitting


def _from_url(spec: Spec, wanted: str, url: str) -> Source:
    """A source of the user's own; a file whose name is known keeps its known checksums."""
    parts = urlsplit(url)
    last = parts.path.rpartition("/")[2]
    if parts.scheme not in ("http", "https", "file") or not last:
        raise StrbenchError(
            f"--source {url!r} is neither a number nor an http, https or file address of a file.",
            hint=f"strbench data fetch {wanted} --source https://host/folder/file.zip",
        )
    known = [r for s in spec.sources if wanted in s.splits for r in (*s.files, *s.optional)]
    same = next((r for r in known if r.file.rpartition("/")[2] == last), None)
    remote = Remote(
        file=same.file if same else last,
        urls=(url,),
        sha256=same.sha256 if same else (),
        md5=same.md5 if same else (),
    )
    return Source(title=url, access="direct", splits=(wanted,), files=(remote,))


def _bring(
    spec: Spec,
    wanted: str,
    offline: bool,
    source: str,
    labels: str,
    root: Path | None,
    say: Say,
    progress: Callable[[str], Report] | None,
) -> Split:
    chosen = _choose(spec, wanted, source, labels)
    raw = raw_folder(spec)
    chosen.sort(key=lambda s: not all((raw / r.file).is_file() for r in s.files))
    problems: list[StrbenchError] = []
    dropped = list(_dropped(spec, raw))
    if dropped and not source:
        say(f"{wanted}: looking at what lies in {raw}")
        try:
            return _import(wanted, [raw], [], labels, root)
        except StrbenchError as error:
            problems.append(error)
    for one in chosen:
        try:
            if one.access == "manual" and not all((raw / r.file).exists() for r in one.files):
                raw.mkdir(parents=True, exist_ok=True)
                raise StrbenchError(f"{one.title} is not for download by a program.")
            paths, origin = _files(spec, wanted, one, raw, offline, say, progress)
            return _import(wanted, paths, origin, labels, root)
        except StrbenchError as error:
            say(f"{wanted} from {one.title}: {error.message}")
            problems.append(error)
    raise StrbenchError(
        f"{wanted} cannot be had: "
        + (" ".join(dict.fromkeys(p.message for p in problems)) or "no source of it is known."),
        hint=advice(spec, wanted),
        exit_code=DATA,
    )


def advice(spec: Spec, wanted: str) -> str:
    """Which files to bring by hand, from where, to which folder, and the command to run then."""
    raw = raw_folder(spec)
    ways = []
    for one in spec.sources:
        if wanted in one.splits:
            ways.append(" and ".join(_errand(one, r) for r in one.files))
    pages = f" (see {', '.join(spec.pages)})" if spec.pages else ""
    return (
        f"With a browser bring {', or '.join(ways) or 'the files'}{pages} into {raw}/ and run: "
        f"strbench data fetch {wanted} --offline"
    )


def _errand(source: Source, remote: Remote) -> str:
    """A file to bring: its name, how to know it, and where it is."""
    known = f" (sha256 {remote.sha256[0]})" if remote.sha256 and not remote.urls else ""
    return f"{remote.file}{known} from {remote.urls[0] if remote.urls else source.title}"


def _dropped(spec: Spec, raw: Path) -> Iterator[Path]:
    """What lies in the raw folder and is not there under the name of a known download."""
    known = {raw / r.file for s in spec.sources for r in (*s.files, *s.optional)}
    for path in sorted(raw.rglob("*")):
        inside = path.relative_to(raw).parts
        is_hidden = any(part.startswith(".") for part in inside) or path.name == "lock.mdb"
        if path.is_file() and path not in known and not is_hidden and not is_unfinished(path):
            yield path


def _files(
    spec: Spec,
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
                by_hand=advice(spec, wanted),
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
                "url": remote.urls[0],
                "bytes": path.stat().st_size,
                "sha256": file_sha256(path),
                "checked": checked,  # against a checksum that others published
            }
        )
    return paths, origin


def _import(
    wanted: str,
    paths: list[Path],
    origin: list[dict[str, object]],
    labels: str,
    root: Path | None,
) -> Split:
    target = resolve(wanted)
    made = import_splits(
        target, paths, labels=labels, unlabelled=False, root=root, replace=False, origin=origin
    )
    return made[0]
