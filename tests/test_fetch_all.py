"""Every source of every split, from the command line to a verified store, on a played web.

The walk goes through the registry, so a new dataset is walked without a change here: a source of
plain LMDBs needs nothing, any other one a layout in ``tests/layouts``.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import lmdb
import pytest
from hosts_played import Web, manner, play
from layouts import Builder, Layout, layouts, picture
from running import Run

from strbench import registry
from strbench.datasets import Remote, Source, Spec, importing, specs
from strbench.fetch import download
from strbench.splits import find_split

DOWNLOADED = [spec for spec in specs() if spec.make is None]


class Way(NamedTuple):
    """One way to one split."""

    spec: Spec
    split: str
    source: Source

    @property
    def remotes(self) -> tuple[Remote, ...]:
        return (*self.source.files, *self.source.optional)

    @property
    def number(self) -> int:
        return self.spec.sources.index(self.source) + 1


WAYS = [Way(spec, split, s) for spec in DOWNLOADED for s in spec.sources for split in s.splits]


@cache
def _layouts() -> dict[tuple[str, str], Builder]:
    return layouts()


@cache
def _lmdb(name: str, variant: str) -> bytes:
    """The data.mdb of five words that carry a label variant ("none": no labels)."""
    labels = {"case-sensitive": "Word-{}", "none": ""}.get(variant, "WORD{}")
    with TemporaryDirectory() as folder:
        with lmdb.open(folder, map_size=1 << 20) as env, env.begin(write=True) as transaction:
            for i in range(1, 6):
                transaction.put(b"image-%09d" % i, picture(i))
                if labels:
                    transaction.put(b"label-%09d" % i, labels.format(i).encode())
            transaction.put(b"num-samples", b"5")
        return Path(folder, "data.mdb").read_bytes()


def _layout(way: Way) -> Layout:
    """The files of a source, made small."""
    builder = _layouts().get((way.split, way.source.title))
    if builder is not None:
        return builder()
    if any(not remote.file.endswith("data.mdb") for remote in way.remotes):
        pytest.fail(f"tests/layouts has no {(way.split, way.source.title)!r}")
    variants = way.spec.split(way.split).labels
    variant = way.source.labels if way.source.labels in variants else variants[0]
    return Layout(files={r.file: _lmdb(r.file, variant) for r in way.remotes}, n=5)


def _known(remote: Remote, content: bytes) -> Remote:
    """The remote with the checksums and size of this content where it had any."""
    return replace(
        remote,
        sha256=(hashlib.sha256(content).hexdigest(),) if remote.sha256 else (),
        md5=(hashlib.md5(content).hexdigest(),) if remote.md5 else (),
        size=len(content) if remote.size else 0,
    )


def _instead(spec: Spec, load: Callable[..., Any]) -> Callable[..., Any]:
    return lambda kind, name: spec if name == spec.id else load(kind, name)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with play(monkeypatch) as web:
        yield web


Publish = Callable[[Way], Layout]


@pytest.fixture
def publish(web: Web, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Put the files of a source on the played web, and their checksums and counts into its spec."""

    def publish(way: Way) -> Layout:
        layout = _layout(way)
        spec, source = way.spec, way.source
        needed, possible = ({r.file for r in some} for some in (source.files, way.remotes))
        assert needed <= layout.files.keys() <= possible, "the layout has other files"
        for remote in way.remotes:
            if remote.file in layout.files:
                web.files |= dict.fromkeys(remote.urls, layout.files[remote.file])
        known = replace(
            source,
            files=tuple(_known(r, layout.files[r.file]) for r in source.files),
            optional=tuple(_known(r, layout.files.get(r.file, b"")) for r in source.optional),
        )
        split = spec.split(way.split)
        counts = {source.labels: layout.counts} if split.counts else {}
        small = replace(split, n=layout.n if split.n else 0, counts=counts)
        changed = replace(
            spec,
            splits=tuple(small if s is split else s for s in spec.splits),
            sources=tuple(known if s is source else s for s in spec.sources),
        )
        monkeypatch.setattr(registry, "load", _instead(changed, registry.load))
        return layout

    return publish


def _check(run: Run, way: Way, layout: Layout, fetched: str) -> None:
    """The split that `fetch --json` told of is the one that was published, and verifies."""
    (row,) = json.loads(fetched)
    assert (row["name"], row["n"]) == (way.split, layout.n)
    manifest = find_split(way.split).manifest
    assert manifest.task == way.spec.task
    assert manifest.licence == way.spec.licence
    assert manifest.labels == way.source.labels
    assert {key: manifest.counts.get(key, 0) for key in layout.counts} == layout.counts
    assert bool(way.spec.split(way.split).counts) <= bool(layout.counts), "the layout has no counts"
    served = [remote for remote in way.remotes if remote.file in layout.files]
    assert [s["name"] for s in manifest.sources] == [remote.file for remote in served]
    assert [s["checked"] for s in manifest.sources] == [bool(r.sha256 or r.md5) for r in served]
    verified = run("data", "verify", way.split)
    assert verified.code == 0, verified.err


@pytest.mark.parametrize("way", WAYS, ids=lambda w: f"{w.split}-{w.number}")
def test_from_the_command_line_to_a_verified_store(
    way: Way, publish: Publish, run: Run, home: Path
) -> None:
    layout = publish(way)
    by_hand = [remote.file for remote in way.source.files if not remote.urls]
    assert bool(by_hand) == (way.source.access == "manual")
    if not by_hand:
        words = ("data", "fetch", way.split, "--source", str(way.number), "--accept-licence")
        fetched = run(*words, "--json")
        assert fetched.code == 0, fetched.err
        _check(run, way, layout, fetched.out)
        return
    asked = run("data", "fetch", way.split, "--source", str(way.number), "--accept-licence")
    raw = home / "raw" / (way.spec.raw or way.spec.id)
    assert asked.code == 3
    for told in (*by_hand, *way.spec.pages, way.spec.licence, f"into {raw}/ and run: "):
        assert told in asked.err
    again = asked.last.partition(" and run: strbench ")[2].split()
    assert again[:3] == ["data", "fetch", way.split]
    assert way.spec.pages, "a person needs a page to go to"
    for remote in way.remotes:
        if not remote.urls or "--offline" in again:
            (raw / remote.file).parent.mkdir(exist_ok=True)  # what was asked for has its folder
            (raw / remote.file).write_bytes(layout.files[remote.file])
    fetched = run(*again, "--json")
    assert fetched.code == 0, fetched.err
    _check(run, way, layout, fetched.out)


def test_every_layout_belongs_to_a_source() -> None:
    assert not _layouts().keys() - {(way.split, way.source.title) for way in WAYS}


@pytest.mark.parametrize("spec", DOWNLOADED, ids=lambda spec: spec.id)
def test_every_address_is_fetched_through_a_cut_connection(
    spec: Spec, web: Web, tmp_path: Path
) -> None:
    remotes = {remote for way in WAYS if way.spec is spec for remote in way.remotes}
    addresses = {url: remote for remote in remotes for url in remote.urls}
    for i, (url, remote) in enumerate(addresses.items()):
        content = random.Random(url).randbytes(3000)
        web.files[url] = content
        web.faults[url] = ["cut"]
        web.asked.clear()
        alone = _known(replace(remote, urls=(url,)), content)
        assert download(alone, tmp_path / f"{i}.bin").read_bytes() == content
        way = manner(web.asked[-1].address.split("/")[2])
        whole = not way.ranges or not (
            remote.sha256 or remote.md5 or way.etag == "strong" or way.dated
        )
        assert web.asked[-1].range == ("" if whole else "bytes=1500-")


# --- what goes wrong, and what a person sees then ------------------------------------------------


def _way(split: str, number: int) -> Way:
    return next(way for way in WAYS if way.split == split and way.number == number)


def _hosts(web: Web) -> list[str]:
    """The hosts that were asked, each name once in a row."""
    hosts = [asked.address.split("/")[2] for asked in web.asked]
    return [host for i, host in enumerate(hosts) if hosts[i - 1 : i] != [host]]


HUB, DRIVE = "huggingface.co", "drive.usercontent.google.com"
CDN = "cas-bridge.xethub.hf.co"


def test_refused_then_asked_for_consent_then_cut(
    publish: Publish, web: Web, run: Run, home: Path
) -> None:
    way = _way("svtp/test", 1)
    layout = publish(way)
    hub, pinned, drive = way.source.files[0].urls
    web.faults = {hub: ["403"], pinned: ["404"], drive: ["ask", "cut", "ask"]}
    fetched = run("data", "fetch", "svtp", "--source", "1", "--accept-licence", "--json")
    assert fetched.code == 0, fetched.err
    _check(run, way, layout, fetched.out)
    assert list(dict.fromkeys(_hosts(web))) == [HUB, CDN, DRIVE]
    half = len(layout.files["SVTP/data.mdb"]) // 2
    assert [asked.range for asked in web.asked[-4:]] == ["", "", *[f"bytes={half}-"] * 2]
    assert sorted(p.name for p in (home / "raw/svtp/SVTP").glob("[!.]*")) == ["data.mdb"]


def test_other_bytes_are_kept_aside_and_the_next_mirror_is_asked(
    publish: Publish, web: Web, run: Run, home: Path
) -> None:
    way = _way("svtp/test", 1)
    layout = publish(way)
    newest, pinned, _ = way.source.files[0].urls  # the hub's file changed, its old revision did not
    web.faults = {newest: ["wrong"], pinned: ["slow"]}
    fetched = run("data", "fetch", "svtp", "--accept-licence", "--json")
    _check(run, way, layout, fetched.out)
    assert (home / "raw/svtp/SVTP/data.mdb.mismatch").is_file()


def test_other_bytes_everywhere_name_both_checksums(
    publish: Publish, web: Web, run: Run, home: Path
) -> None:
    way = _way("svtp/test", 1)
    content = publish(way).files["SVTP/data.mdb"]
    web.faults = {url: ["wrong"] for url in way.source.files[0].urls}
    failed = run("data", "fetch", "svtp", "--source", "1", "--accept-licence")
    assert failed.code == 3
    for data in (content, content[::-1]):
        assert hashlib.sha256(data).hexdigest() in failed.err
    assert "upstream changed" in failed.err
    assert not (home / "data").exists()


def test_next_source_is_taken_where_no_mirror_gives_the_first(
    publish: Publish, web: Web, run: Run
) -> None:
    way = _way("svtp/test", 2)
    layout = publish(way)
    hub, pinned, drive = _way("svtp/test", 1).source.files[0].urls
    # a first try and four more
    web.faults = {hub: ["503"] * 5, pinned: ["403"], drive: ["quota"]}
    fetched = run("data", "fetch", "svtp", "--accept-licence", "--json")
    _check(run, way, layout, fetched.out)
    for told in ("HTTP 503", "(after 5 tries)", "titled 'Google Drive - Quota exceeded'"):
        assert told in fetched.err


def test_same_command_goes_on_where_it_stopped(publish: Publish, web: Web, run: Run) -> None:
    way = _way("ic15/train", 5)
    layout = publish(way)
    (url,) = way.source.files[0].urls
    web.faults = {url: ["cut", *["503"] * 5]}
    words = ("data", "fetch", "ic15/train", "--accept-licence", "--json")
    assert run(*words).code == 3
    web.asked.clear()
    fetched = run(*words)
    _check(run, way, layout, fetched.out)
    half = len(layout.files["ch4_training_word_images_gt.zip"]) // 2
    assert [asked.range for asked in web.asked] == [f"bytes={half}-"]


def test_login_page_leads_to_the_browser_and_back(
    publish: Publish, web: Web, run: Run, home: Path
) -> None:
    way = _way("ic15_det/train", 2)
    layout = publish(way)
    remotes = way.source.files
    web.faults = {url: ["login"] for remote in remotes for url in remote.urls}
    failed = run("data", "fetch", "ic15_det/train", "--accept-licence")
    assert failed.code == 3
    assert "a web page titled 'Robust Reading Competition: log in' came" in failed.err
    for remote in remotes:
        assert f"{remote.file} from {remote.urls[0]}" in failed.err
    raw = home / "raw" / "ic15"
    assert failed.last.strip() == (
        f"into {raw}/ and run: strbench data fetch ic15_det/train --offline"
    )
    assert list(raw.glob("[!.]*")) == []  # no page was kept under the name of an archive
    for remote in remotes:
        (raw / remote.file).write_bytes(layout.files[remote.file])
    web.asked.clear()
    fetched = run("data", "fetch", "ic15_det/train", "--offline", "--json")
    _check(run, way, layout, fetched.out)
    assert web.asked == []


def test_archive_of_two_splits_is_fetched_and_opened_once(
    publish: Publish, web: Web, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    real = importing.open_tree
    monkeypatch.setattr(
        importing, "open_tree", lambda paths, **rest: opened.append(paths) or real(paths, **rest)
    )
    publish(_way("svt/train", 2))
    fetched = run("data", "fetch", "svt", "--accept-licence", "--json")
    assert [row["n"] for row in json.loads(fetched.out)] == [257, 647]
    assert [a.address for a in web.asked if a.address.endswith("svt.zip")] == [
        "http://www.iapr-tc11.org/dataset/SVT/svt.zip"
    ]
    assert len(opened) == 1


def test_mirror_of_the_users_own_gives_every_file(publish: Publish, web: Web, run: Run) -> None:
    way = _way("ic15_det/train", 2)
    layout = publish(way)
    mirror = "https://mirror.example.org/text/"
    web.files = {mirror + name: content for name, content in layout.files.items()}
    fetched = run("data", "fetch", way.split, "--accept-licence", "--json", "--source", mirror)
    _check(run, way, layout, fetched.out)
    assert {a.address for a in web.asked} == set(web.files)
    sources = find_split(way.split).manifest.sources
    assert all(source["checked"] for source in sources)  # by the known checksums


def test_address_of_one_file_leaves_the_others_where_they_are(
    publish: Publish, web: Web, run: Run
) -> None:
    way = _way("ic15_det/train", 2)
    layout = publish(way)
    photographs, annotation = way.source.files
    own = f"https://mirror.example.org/{photographs.file}"
    web.files[own] = web.files.pop(photographs.urls[0])
    fetched = run("data", "fetch", way.split, "--accept-licence", "--json", "--source", own)
    _check(run, way, layout, fetched.out)
    assert {a.address for a in web.asked} == {own, annotation.urls[0]}


def test_mirror_brings_what_only_a_person_could(publish: Publish, web: Web, run: Run) -> None:
    way = next(w for w in WAYS if w.source.access == "manual" and w.split == "iam/test")
    layout = publish(way)
    mirror = "https://mirror.example.org/iam/"
    web.files = {mirror + name: content for name, content in layout.files.items()}
    fetched = run("data", "fetch", way.split, "--accept-licence", "--json", "--source", mirror)
    _check(run, way, layout, fetched.out)


def test_fault_of_one_split_does_not_cost_the_other(
    publish: Publish, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(_way("svt/train", 2))
    spec = registry.load("datasets", "svt")
    wrong = tuple(replace(s, n=s.n + (s.name == "svt/test")) for s in spec.splits)
    monkeypatch.setattr(registry, "load", _instead(replace(spec, splits=wrong), registry.load))
    failed = run("data", "fetch", "svt", "--accept-licence", "--source", "2")
    assert failed.code == 3
    assert "svt/test cannot be had" in failed.err
    assert "expected 648 samples (svt/test), found 647" in failed.err
    assert "(1 of 2 are prepared)" in failed.err


def test_downloads_of_a_dataset_that_shares_the_folder_are_not_dropped_files(
    publish: Publish, run: Run
) -> None:
    publish(_way("ic15/train", 5))
    assert run("data", "fetch", "ic15/train", "--accept-licence").code == 0
    publish(_way("ic15_det/train", 2))
    fetched = run("data", "fetch", "ic15_det/train", "--accept-licence")
    assert fetched.code == 0
    assert "looking at what lies in" not in fetched.err


@pytest.fixture
def by_hand(publish: Publish, web: Web, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """SVT's own archive behind a login, beside a list that a program can fetch; both splits."""
    layout = publish(_way("svt/test", 2))
    spec = registry.load("datasets", "svt")
    archive = replace(spec.sources[1].files[0], urls=(), size=5_000_000)
    notes = Remote(file="notes.txt", urls=("https://example.org/notes.txt",))
    web.files["https://example.org/notes.txt"] = b"Read me."
    source = replace(
        spec.sources[1], title="the registered", access="manual", files=(archive, notes)
    )
    changed = replace(spec, sources=(source,), pages=("https://example.org/register",))
    monkeypatch.setattr(registry, "load", _instead(changed, registry.load))
    return layout


def test_what_only_a_person_can_bring_is_asked_for_once(
    by_hand: Layout, web: Web, run: Run, home: Path
) -> None:
    asked = run("data", "fetch", "svt", "--accept-licence")
    raw = home / "raw" / "svt"
    archive = by_hand.files["svt.zip"]
    assert asked.code == 3
    assert asked.err.split("hint: ")[1].split("\n      ") == [
        "With a browser bring:",
        f"- svt.zip (5.0 MB, sha256 {hashlib.sha256(archive).hexdigest()}) from the registered",
        "see https://example.org/register",
        f"licence: {registry.load('datasets', 'svt').licence}",
        f"into {raw}/ and run: strbench data fetch svt\n",
    ]
    assert raw.is_dir()
    assert web.asked == []  # nothing is downloaded before the person's part is there
    (raw / "svt.zip").write_bytes(archive)
    fetched = run("data", "fetch", "svt", "--json")
    assert [row["n"] for row in json.loads(fetched.out)] == [257, 647]
    assert [asked.address for asked in web.asked] == ["https://example.org/notes.txt"]
    sources = find_split("svt/test").manifest.sources
    assert [(s["name"], s["url"]) for s in sources] == [
        ("svt.zip", ""),
        ("notes.txt", "https://example.org/notes.txt"),
    ]


def test_hint_of_a_failed_import_comes_before_the_advice(
    by_hand: Layout, run: Run, home: Path
) -> None:
    (home / "raw" / "svt").mkdir(parents=True)
    (home / "raw" / "svt" / "svt.zip").write_bytes(b"<html><title>Sign in</title></html>")
    failed = run("data", "fetch", "svt", "--accept-licence")
    assert failed.code == 3
    assert "is not the known file" in failed.err
    assert "hint: Remove it and fetch again" in failed.err
