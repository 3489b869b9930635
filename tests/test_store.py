"""The store: whole or absent, readable by the field, and never silently other than it says."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from strbench import files
from strbench.errors import DATA, StrbenchError
from strbench.store import (
    Split,
    adopt_lmdb,
    find_split,
    fingerprint,
    open_split,
    prepared_splits,
    sample_digest,
    split_directory,
    write_split,
)
from strbench.types import Sample


def png(number: int, *, level: int = 6, width: int = 12) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (8, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=level)
    return out.getvalue()


def samples(n: int = 5) -> list[Sample]:
    return [Sample(f"{i}.png", png(i), f"wörd{i}", f"photo{i // 2}") for i in range(n)]


def write(directory: Path, items: Iterator[Sample] | list[Sample], **options: object) -> Split:
    chosen = {"dataset": "mine", "split": "test", "labels": "standard", **options}
    return write_split(directory, items, **chosen)  # type: ignore[arg-type]


def raw_lmdb(folder: Path, pairs: dict[bytes, bytes]) -> Path:
    with lmdb.open(str(folder), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        for key, value in pairs.items():
            transaction.put(key, value)
    return folder


def field_lmdb(folder: Path, n: int = 5, **changes: bytes | None) -> Path:
    """An LMDB as clovaai's script writes it; ``changes`` replace keys, None leaves them out."""
    pairs: dict[bytes, bytes | None] = {b"num-samples": b"%d" % n}
    for i in range(1, n + 1):
        pairs[b"image-%09d" % i] = png(i)
        pairs[b"label-%09d" % i] = f"wörd{i}".encode()
    pairs |= {key.replace("_", "-").encode(): value for key, value in changes.items()}
    return raw_lmdb(folder, {key: value for key, value in pairs.items() if value is not None})


def test_written_split_is_an_lmdb_of_the_field(tmp_path: Path) -> None:
    split = write(tmp_path / "s", samples())
    assert (split.name, split.n, len(split)) == ("mine/test", 5, 5)
    assert list(split.samples()) == samples()
    assert split.label(3) == "wörd3"
    script = """
import lmdb, sys
env = lmdb.open(sys.argv[1], max_readers=32, readonly=True, lock=False, readahead=False, meminit=False)
with env.begin(write=False) as txn:
    n = int(txn.get("num-samples".encode()))
    for i in range(1, n + 1):
        print(txn.get(f"label-{i:09d}".encode()).decode(), len(txn.get(f"image-{i:09d}".encode())))
"""
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script, str(tmp_path / "s")],
        capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert run.stdout.split() == [
        part for s in samples() for part in (str(s.label), str(len(s.image)))
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["data.mdb", "manifest.json"]


def test_memory_does_not_grow_with_the_split(tmp_path: Path) -> None:
    """300 images of 1 MB pass through a process that may grow by a fifth of them."""
    script = f"""
import io, resource, sys
import numpy as np
from pathlib import Path
from PIL import Image
from strbench.store import write_split
from strbench.types import Sample
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def source():
    for i in range(300):
        pixels = np.full((400, 850, 3), i % 251, np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG", compress_level=0)
        yield Sample(str(i), out.getvalue(), "x")
before = peak()
write_split(Path({str(tmp_path / "s")!r}), source(), dataset="d", split="t", labels="x", workers=2)
print(peak() - before)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 90  # MB
    assert (tmp_path / "s/data.mdb").stat().st_size > 290 << 20


@pytest.mark.parametrize(
    ("items", "expected", "message"),
    [
        ([*samples(), samples()[0]], None, "occurs twice"),
        (samples(), 6, "expected 6 samples, found 5"),
        ([], None, "no sample"),
        ([Sample("\udcff.png", png(0), "x")], None, "not UTF-8"),
        ([Sample("a", png(0), "\ud800")], None, "not UTF-8"),
    ],
)
def test_nothing_is_left_of_a_wrong_source(
    tmp_path: Path, items: list[Sample], expected: int | None, message: str
) -> None:
    with pytest.raises(StrbenchError, match=message) as caught:
        write(tmp_path / "s", items, expected=expected)
    assert caught.value.exit_code == DATA
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("first", "again"), [(3, 4), (3, 255), (255, 256), (0, 1299), (800, 1100)])
def test_an_id_that_occurs_again_is_named(tmp_path: Path, first: int, again: int) -> None:
    items = samples(1300)  # samples are packed 256 at a time
    items[again] = items[again]._replace(id=items[first].id)
    with pytest.raises(StrbenchError, match=f"'{items[first].id}' occurs twice"):
        write(tmp_path / "s", items)


def test_all_faulty_images_are_named_in_one_error(tmp_path: Path) -> None:
    items = samples(600)
    items[3] = items[3]._replace(image=b"")
    items[77] = items[77]._replace(image=png(77)[:60])
    items[599] = items[599]._replace(image=b"<html>not found</html>")
    with pytest.raises(StrbenchError) as caught:
        write(tmp_path / "s", items)
    message = caught.value.message
    assert "3 images" in message
    assert all(f" {i}.png: " in message for i in (3, 77, 599))
    assert "0 bytes" in message
    assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_the_split_that_was_there(tmp_path: Path) -> None:
    first = write(tmp_path / "s", samples())

    def broken() -> Iterator[Sample]:
        yield samples()[0]
        raise OSError("the archive is cut off")

    with pytest.raises(StrbenchError, match="exists already"):
        write(tmp_path / "s", samples(2))
    with pytest.raises(OSError, match="cut off"):
        write(tmp_path / "s", broken(), replace=True)
    assert open_split(tmp_path / "s").fingerprint == first.fingerprint
    second = write(tmp_path / "s", samples(2), replace=True)
    assert open_split(tmp_path / "s").labels == second.labels == ["wörd0", "wörd1"]
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_fingerprint(tmp_path: Path) -> None:
    items = samples()
    base = write(tmp_path / "a", items).fingerprint
    assert write(tmp_path / "b", items[::-1]).fingerprint == base
    assert fingerprint(sample_digest(item) for item in items) == base
    recoded = [item._replace(image=png(i, level=1)) for i, item in enumerate(items)]
    assert recoded[0].image != items[0].image
    assert write(tmp_path / "c", recoded).fingerprint == base
    pixels = np.array(Image.open(io.BytesIO(items[0].image)))
    pixels[0, 0, 0] ^= 1
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    for change in (
        {"id": "other"}, {"label": "other"}, {"label": None}, {"image": out.getvalue()},
    ):  # fmt: skip
        changed = [items[0]._replace(**change), *items[1:]]  # type: ignore[arg-type]
        assert fingerprint(map(sample_digest, changed)) != base
    assert fingerprint([5, 5]) != fingerprint([])


# --- several readers


def _first_label(split: Split) -> tuple[str | None, int]:
    return split.labels[0], len(split.image(4))


def test_two_objects_pickled_and_forked(tmp_path: Path) -> None:
    one = write(tmp_path / "s", samples())
    two = open_split(tmp_path / "s")
    wanted = _first_label(one)
    assert _first_label(two) == wanted
    assert _first_label(pickle.loads(pickle.dumps(one))) == wanted
    for start in ("fork", "spawn"):  # the LMDB is open in the parent
        with multiprocessing.get_context(start).Pool(2) as pool:
            assert pool.map(_first_label, [one, two, one]) == [wanted] * 3
    assert _first_label(one) == wanted


def test_replaced_split_is_read_anew(tmp_path: Path) -> None:
    assert _first_label(write(tmp_path / "s", samples()))[0] == "wörd0"
    write(tmp_path / "s", samples()[::-1], replace=True)
    assert open_split(tmp_path / "s").labels[0] == "wörd4"


# --- adopting


def test_adopted_lmdb_stays_where_it_is(tmp_path: Path) -> None:
    folder = field_lmdb(tmp_path / "lmdb")
    before = (folder / "data.mdb").read_bytes()
    split = adopt_lmdb(folder / "data.mdb", tmp_path / "s", dataset="d", split="t")
    assert split.ids == [f"{i:09d}" for i in range(1, 6)]
    assert split.labels == [f"wörd{i}" for i in range(1, 6)]
    split.verify()
    assert (folder / "data.mdb").read_bytes() == before
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_samples": None}, "no key num-samples"),
        ({"num_samples": b"many"}, "no key num-samples"),
        ({"num_samples": b"0"}, "no sample"),
        ({"image_000000003": None}, "image-000000003 is missing"),
        ({"image_000000002": b"\xff\xd8\xff"}, "000000002: not a readable image"),
        ({"label_000000004": "café".encode("latin-1")}, "label-000000004 .* not UTF-8"),
    ],
)
def test_lmdb_that_cannot_be_adopted(
    tmp_path: Path, changes: dict[str, bytes | None], message: str
) -> None:
    folder = field_lmdb(tmp_path / "lmdb", **changes)
    with pytest.raises(StrbenchError, match=message) as caught:
        adopt_lmdb(folder, tmp_path / "s", dataset="d", split="t")
    assert caught.value.exit_code == DATA
    assert [p.name for p in tmp_path.iterdir()] == ["lmdb"]


@pytest.mark.parametrize("size", [0, 100, 8192, 0.5, -4096])
def test_truncated_lmdb_is_an_error_and_no_crash(tmp_path: Path, size: float) -> None:
    folder = field_lmdb(tmp_path / "lmdb", 300)
    whole = (folder / "data.mdb").stat().st_size
    kept = int(whole * size) if isinstance(size, float) else size + (whole if size < 0 else 0)
    os.truncate(folder / "data.mdb", kept)
    script = f"""
from pathlib import Path
from strbench.store import adopt_lmdb
adopt_lmdb(Path({str(folder)!r}), Path({str(tmp_path / "s")!r}), dataset="d", split="t")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 1, "killed by a signal"
    assert "StrbenchError" in run.stderr
    assert not (tmp_path / "s").exists()


def test_lmdb_changed_under_its_manifest(tmp_path: Path) -> None:
    folder = field_lmdb(tmp_path / "lmdb", 50)
    split = adopt_lmdb(folder, tmp_path / "s", dataset="d", split="t")
    size = (folder / "data.mdb").stat().st_size
    script = f"""
import lmdb
with lmdb.open({str(folder)!r}, map_size=1 << 24) as env, env.begin(write=True) as transaction:
    transaction.put(b"label-000000001", b"other")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(StrbenchError, match=r"bytes, found|was written to"):
        open_split(tmp_path / "s")
    with pytest.raises(StrbenchError, match="expected fingerprint"):
        split.verify()
    os.truncate(folder / "data.mdb", size // 2)
    with pytest.raises(StrbenchError, match=f"of {size} bytes, found {size // 2}"):
        open_split(tmp_path / "s")
    shutil.rmtree(folder)
    with pytest.raises(StrbenchError, match="found no file"):
        open_split(tmp_path / "s")


def test_lmdb_written_in_place_without_growing(tmp_path: Path) -> None:
    folder = field_lmdb(tmp_path / "lmdb", 50)
    with lmdb.open(str(folder), map_size=1 << 24) as env:
        for _ in range(3):  # free pages to reuse
            with env.begin(write=True) as transaction:
                transaction.put(b"label-000000001", b"first")
    split = adopt_lmdb(folder, tmp_path / "s", dataset="d", split="t")
    script = f"""
import lmdb
with lmdb.open({str(folder)!r}, map_size=1 << 24) as env, env.begin(write=True) as transaction:
    transaction.put(b"label-000000001", b"other")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (folder / "data.mdb").stat().st_size == split.manifest.lmdb_bytes
    with pytest.raises(StrbenchError, match="was written to"):
        open_split(tmp_path / "s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"spec_version": 99, "version": "9.0"}', "newer than this program"),
        ('{"spec_version": 1, "dataset": "d"}', "not a manifest"),
        ("[1]", "not a manifest"),
        ('{"dataset": "mi', "not a manifest"),
        ("", "not a manifest"),
        ("\xff", "not a manifest"),
        (None, "n: expected int, found '5'"),
    ],
)
def test_manifest_that_cannot_be_read(tmp_path: Path, text: str | None, message: str) -> None:
    write(tmp_path / "s", samples())
    path = tmp_path / "s/manifest.json"
    if text is None:
        text = json.dumps({**json.loads(path.read_text()), "n": "5"})
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StrbenchError, match=message) as caught:
        open_split(tmp_path / "s")
    assert caught.value.exit_code == DATA


def test_names(home: Path) -> None:
    write(split_directory("mine/test"), samples())
    assert prepared_splits() == ["mine/test"]
    assert find_split("mine/test").n == 5
    for bad in ("mine", "mine/../x", "/x", "mine/.hidden", "a/b/c", "a\\b/c"):
        with pytest.raises(StrbenchError, match="is not a split"):
            find_split(bad)
    with pytest.raises(StrbenchError, match="not prepared"):
        find_split("mine/train")


# --- full disks, signals, rivals


def test_limit_on_file_size_is_a_clear_error(tmp_path: Path) -> None:
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_store import samples, write
from strbench.errors import StrbenchError
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    write(Path({str(tmp_path / "s")!r}), samples(1000))
except StrbenchError as error:
    print(error.message)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "disk is full" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_full_disk(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with pytest.raises(StrbenchError, match="disk is full") as caught:
            write(place / "s", samples(3000))
        assert caught.value.exit_code == DATA
        assert list(place.iterdir()) == []
        assert write(place / "s", samples(10)).n == 10
        with pytest.raises(StrbenchError, match="disk is full"):
            files.write_atomically(place / "large", b"x" * (1 << 20))
        assert [p.name for p in place.iterdir()] == ["s"]
        find = open_split(place / "s")
        find.verify()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_disk_that_is_full_at_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("strbench.packing.os.fsync", full)
    with pytest.raises(StrbenchError, match="disk is full"):
        write(tmp_path / "s", samples())
    assert list(tmp_path.iterdir()) == []


_SLOW_IMPORT = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_store import samples, write
from strbench.errors import StrbenchError
def slow():
    for i, sample in enumerate(samples(700)):
        if i == 600:
            Path(sys.argv[2]).touch()
            time.sleep(float(sys.argv[3]))
        yield sample
try:
    write(Path(sys.argv[1]), slow())
except StrbenchError as error:
    print(error.message)
    sys.exit(error.exit_code)
"""


def start_import(directory: Path, mark: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _SLOW_IMPORT, str(directory), str(mark), str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_import_that_is_cut_off(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    directory = split_directory("mine/test")
    process = start_import(directory, tmp_path / "mark", 60)
    wait_for((tmp_path / "mark").exists)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        assert list(directory.parent.iterdir()) == []
    assert prepared_splits() == []
    with pytest.raises(StrbenchError, match="not prepared"):
        find_split("mine/test")
    write(directory, samples())
    find_split("mine/test").verify()
    assert [p.name for p in directory.parent.iterdir()] == ["test"]


def test_two_imports_at_once(home: Path, tmp_path: Path) -> None:
    directory = split_directory("mine/test")
    first = start_import(directory, tmp_path / "mark", 2)
    wait_for((tmp_path / "mark").exists)
    with pytest.raises(StrbenchError, match=f"another process .number {first.pid}"):
        write(directory, samples())
    assert first.wait(timeout=60) == 0, first.communicate()
    split = find_split("mine/test")
    assert split.n == 700
    split.verify()
    assert [p.name for p in directory.parent.iterdir()] == ["test"]
    first.communicate()


def test_replacement_killed_between_its_two_renames(tmp_path: Path) -> None:
    """The old split is whole under its other name then, and comes back."""
    first = write(tmp_path / "s", samples())
    (tmp_path / "s").rename(tmp_path / ".s.old")
    with pytest.raises(StrbenchError, match="exists already"):
        write(tmp_path / "s", samples(2))
    assert open_split(tmp_path / "s").fingerprint == first.fingerprint


def test_lock_is_held_by_one_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with files.lock(path, what="it"):
        with (
            pytest.raises(StrbenchError, match="it is being written by another"),
            files.lock(path, what="it"),
        ):
            pass
        assert path.exists()
    assert not path.exists()
    with files.lock(path, what="it"):
        pass


def test_real_lmdb(shared: Path, tmp_path: Path) -> None:
    split = adopt_lmdb(
        shared / "real/recognition_lmdb/svt", tmp_path / "s", dataset="svt", split="test"
    )
    assert split.n == len(split.labels) == 647
    copied = write(tmp_path / "c", split.samples())
    assert copied.fingerprint == split.fingerprint


ONE_FINGERPRINT = """
import io, sys, threading
from pathlib import Path
from PIL import Image
from strbench.store import write_split
from strbench.types import Sample

def samples():
    for i in range(600):  # three chunks
        data = io.BytesIO()
        Image.new("RGB", (5, 4), (i % 256, i // 256, 7)).save(data, "PNG")
        yield Sample(str(i), data.getvalue(), "x")

root = Path(sys.argv[1])
def write(name, workers):
    return write_split(root / name, samples(), dataset="a", split=name, labels="x", workers=workers)

found = {write("alone", 1).fingerprint, write("processes", 2).fingerprint}
end = threading.Event()
other = threading.Thread(target=end.wait)
other.start()
found.add(write("threads", 2).fingerprint)
end.set()
other.join()
print(len(found))
"""


def test_processes_threads_and_neither_give_one_fingerprint(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONE_FINGERPRINT, str(tmp_path)], capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout == "1\n"
