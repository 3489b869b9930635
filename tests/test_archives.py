"""Archives that try to leave their folder, to grow, or to pass as whole."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from strbench import archives
from strbench.archives import Limits, extract, open_zip, stream
from strbench.errors import StrbenchError

FILES = {f"a/{i}.bin": random.Random(i).randbytes(700 * i + i % 3) for i in range(12)}


def _zip(path: Path, members: list[tuple[str, bytes]], **info: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            for key, value in info.items():
                setattr(entry, key, value)
            bundle.writestr(entry, data)
    return path


def _tar(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as bundle:  # type: ignore[call-overload]
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            bundle.addfile(entry, io.BytesIO(data))
    return path


def _tar_special(path: Path, **values: object) -> Path:
    with tarfile.open(path, "w") as bundle:
        entry = tarfile.TarInfo("data.txt")
        entry.size = 5
        bundle.addfile(entry, io.BytesIO(b"words"))
        special = tarfile.TarInfo("special")
        for key, value in values.items():
            setattr(special, key, value)
        bundle.addfile(special)
    return path


def _refused(archive: Path, folder: Path, match: str, limits: Limits | None = None) -> None:
    with pytest.raises(StrbenchError, match=match) as caught:
        extract(archive, folder / "out", limits=limits)
    assert archive.name in caught.value.message
    assert caught.value.exit_code == 3
    left = [p for p in folder.iterdir() if p != archive]
    assert left == [], "a refused archive leaves nothing behind"


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_contents_arrive_whatever_the_name(tmp_path: Path, kind: str) -> None:
    members = list(FILES.items())
    archive = tmp_path / "odd-name.dat"
    _zip(archive, members) if kind == "zip" else _tar(archive, members, kind)
    folder = extract(archive, tmp_path / "out")
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.bin")}
    assert found == FILES


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_every_truncation_is_noticed(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "cut.dat"
    members = list(FILES.items())
    _zip(archive, members) if kind == "zip" else _tar(archive, members, kind)
    whole = archive.read_bytes()
    # A plain tar ends in padding whose loss loses nothing: cut before it, also between members.
    last = len(whole.rstrip(b"\0")) if kind == "w" else len(whole) - 1
    cuts = {0, 1, 511, *range(512, last, 1024), *(i for i in range(last, last - 4, -1))}
    for cut in cuts:
        archive.write_bytes(whole[:cut])
        _refused(archive, tmp_path, "truncated|damaged|is not a zip or tar")


def test_flipped_byte_is_noticed(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", [("a.txt", b"words " * 500)])
    data = bytearray(archive.read_bytes())
    data[40] ^= 0xFF
    archive.write_bytes(bytes(data))
    _refused(archive, tmp_path, "damaged")


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/etc/evil",
        "C:/evil",
        "C:evil",
        "..\\evil",
        "\\evil",
        "a/\\../../e",
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_leave_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    members = [("fine.txt", b"x"), (name, b"evil")]
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = (_zip if kind == "zip" else _tar)(inner / "evil.dat", members)
    _refused(archive, inner, "would leave the folder")
    assert [p.name for p in tmp_path.iterdir()] == ["inner"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "..", "C:\\x"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_tar_links_that_leave_are_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    archive = _tar_special(tmp_path / "a.tar", type=kind, linkname=target)
    _refused(archive, tmp_path, "points out of the folder")


def test_zip_link_that_leaves_is_refused(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", [("link", b"../../secret")], external_attr=0o120777 << 16)
    _refused(archive, tmp_path, "points out of the folder")


def test_link_inside_becomes_a_copy(tmp_path: Path) -> None:
    archive = _tar_special(tmp_path / "a.tar", type=tarfile.SYMTYPE, linkname="data.txt")
    folder = extract(archive, tmp_path / "out")
    assert (folder / "special").read_bytes() == b"words"
    assert not (folder / "special").is_symlink()


def test_link_to_itself_is_refused(tmp_path: Path) -> None:
    archive = _tar_special(tmp_path / "a.tar", type=tarfile.SYMTYPE, linkname="special")
    _refused(archive, tmp_path, "which is no file of it")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    _refused(_tar_special(tmp_path / "a.tar", type=kind), tmp_path, "device or pipe")


def test_names_that_occur_twice_are_refused(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar", [("a.txt", b"1"), ("./a.txt", b"2")])
    _refused(archive, tmp_path, "occurs twice")
    archive.unlink()
    with pytest.warns(UserWarning, match="Duplicate"):
        archive = _zip(tmp_path / "a.zip", [("a.txt", b"1"), ("a.txt", b"2")])
    _refused(archive, tmp_path, "occurs twice")


def test_file_and_folder_of_one_name_is_refused(tmp_path: Path) -> None:
    _refused(_tar(tmp_path / "a.tar", [("a", b"1"), ("a/b", b"2")]), tmp_path, "at once")


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", [("a.txt", b"words")])
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # general purpose flag of the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and of the central directory
    archive.write_bytes(bytes(data))
    with pytest.raises(StrbenchError, match=r"'a\.txt' is encrypted") as caught:
        extract(archive, tmp_path / "out")
    assert "password" in caught.value.hint


@pytest.mark.parametrize("kind", ["zip", "w:gz"])
def test_bomb_by_ratio_is_refused(tmp_path: Path, kind: str) -> None:
    members = [("zeros", bytes(3_000_000))]
    archive = tmp_path / "bomb.dat"
    _zip(archive, members) if kind == "zip" else _tar(archive, members, kind)
    _refused(archive, tmp_path, "refused as a bomb", Limits(ratio_from=1_000_000))
    extract(archive, tmp_path / "out")  # small enough for the default limits


def test_bomb_by_total_and_by_members_is_refused(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar", [(str(i), b"12345") for i in range(20)])
    _refused(archive, tmp_path, "refused as a bomb", Limits(total=42))
    _refused(archive, tmp_path, "more than 7 members", Limits(members=7))


def test_zip_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", [("a", bytes(100_000))])
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(bytes(data))
    _refused(archive, tmp_path, "damaged|bomb")


def test_web_page_under_an_archives_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<!DOCTYPE html><title>Login</title>")
    _refused(tmp_path / "a.zip", tmp_path, "web page, probably a login")


def test_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = _zip(tmp_path / "a.zip", [("a.txt", b"words" * 1000)])
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: usage)
    _refused(archive, tmp_path, "needs 0 MB to unpack")


def test_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", [("a.txt", b"words")])
    (tmp_path / "out").mkdir()
    with pytest.raises(StrbenchError, match="exists already"):
        extract(archive, tmp_path / "out")


# --- archives that are read where they lie -------------------------------------------------------

Reader = Callable[..., dict[str, bytes]]


def _opened(archive: Path, limits: Limits | None = None) -> dict[str, bytes]:
    with open_zip(archive, limits=limits) as files:
        return {name: file.read_bytes() for name, file in files.items()}


def _streamed(archive: Path, limits: Limits | None = None) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in stream(archive, limits=limits)}


def _extracted(archive: Path, limits: Limits | None = None) -> dict[str, bytes]:
    folder = archive.with_name("extracted")
    try:
        extract(archive, folder, limits=limits)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


in_place = pytest.mark.parametrize("read", [_opened, _streamed])


def _faulty(read: Reader, archive: Path, match: str, limits: Limits | None = None) -> None:
    with pytest.raises(StrbenchError, match=match) as caught:
        read(archive, limits)
    assert archive.name in caught.value.message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("read", "kind"),
    [(_opened, "zip"), *((_streamed, kind) for kind in ("zip", "w", "w:gz", "w:bz2", "w:xz"))],
)
def test_files_are_read_where_they_lie(tmp_path: Path, read: Reader, kind: str) -> None:
    archive = tmp_path / "odd-name.dat"
    members = list(FILES.items())
    _zip(archive, members) if kind == "zip" else _tar(archive, members, kind)
    assert read(archive) == FILES
    assert list(tmp_path.iterdir()) == [archive]


@in_place
@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "C:/evil", "..\\evil"])
def test_names_that_leave_are_refused_in_place(tmp_path: Path, read: Reader, name: str) -> None:
    archive = _zip(tmp_path / "evil.zip", [("fine.txt", b"x"), (name, b"evil")])
    _faulty(read, archive, "would leave the folder")


@in_place
def test_links_that_leave_are_refused_in_place(tmp_path: Path, read: Reader) -> None:
    archive = _zip(tmp_path / "a.zip", [("link", b"../../secret")], external_attr=0o120777 << 16)
    _faulty(read, archive, "points out of the folder")


def test_links_inside_are_followed_by_name_and_left_out_of_a_stream(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        bundle.writestr("b/data.txt", "words")
        entry = zipfile.ZipInfo("a/link")
        entry.external_attr = 0o120777 << 16
        bundle.writestr(entry, "../b/data.txt")
    assert _opened(tmp_path / "a.zip") == {"b/data.txt": b"words", "a/link": b"words"}
    assert _streamed(tmp_path / "a.zip") == {"b/data.txt": b"words"}


def test_name_that_occurs_twice_is_refused_by_name_and_streamed_as_it_is(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        archive = _zip(tmp_path / "a.zip", [("a.txt", b"1"), ("a.txt", b"2")])
    _faulty(_opened, archive, "occurs twice")
    assert [file.read_bytes() for file in stream(archive)] == [b"1", b"2"]


@in_place
def test_bombs_are_refused_in_place(tmp_path: Path, read: Reader) -> None:
    archive = _zip(tmp_path / "bomb.zip", [("zeros", bytes(3_000_000)), ("more", b"x")])
    _faulty(read, archive, "refused as a bomb", Limits(ratio_from=1_000_000))
    _faulty(read, archive, "more than 1 members", Limits(members=1))
    assert len(read(archive)) == 2  # small enough for the default limits


@in_place
@pytest.mark.parametrize("declared", [10, 200_000])
def test_member_of_another_size_than_declared_is_refused(
    tmp_path: Path, read: Reader, declared: int
) -> None:
    archive = _zip(tmp_path / "a.zip", [("a", bytes(100_000))])
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02") + 24  # the uncompressed size in the central directory
    data[at : at + 4] = declared.to_bytes(4, "little")
    archive.write_bytes(bytes(data))
    _faulty(read, archive, "damaged|not the .* bytes that it declares")


@in_place
def test_encrypted_members_are_refused_in_place(tmp_path: Path, read: Reader) -> None:
    archive = _zip(tmp_path / "a.zip", [("a.txt", b"words")])
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # general purpose flag of the central directory
    archive.write_bytes(bytes(data))
    _faulty(read, archive, r"'a\.txt' is encrypted")


@in_place
def test_web_page_is_named_in_place(tmp_path: Path, read: Reader) -> None:
    (tmp_path / "a.zip").write_text("<html><title>Sign in</title></html>")
    _faulty(read, tmp_path / "a.zip", "web page, probably a login")


def _packed(folder: Path) -> dict[str, bytes]:
    """The same files in every kind of archive, by kind."""
    members = list(FILES.items())[:4]
    made = {
        m: _tar(folder / "a.dat", members, m).read_bytes() for m in ("w", "w:gz", "w:bz2", "w:xz")
    }
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(folder / "a.dat", "w", method) as bundle:
            for name, data in members:
                bundle.writestr(name, data)
        made[f"zip {method}"] = (folder / "a.dat").read_bytes()
    return made


@given(kind=st.integers(0, 7), changes=st.lists(st.tuples(st.floats(0, 0.999), st.binary(max_size=8)), min_size=1, max_size=4), cut=st.floats(0.01, 2))  # fmt: skip
@example(kind=2, changes=[(0.5, b"\xff")], cut=1.0)  # a bz2 stream's OSError without a number
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_told_or_harmless(
    tmp_path: Path, kind: int, changes: list[tuple[float, bytes]], cut: float
) -> None:
    name, whole = list(_packed(tmp_path).items())[kind]
    data = bytearray(whole)
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    archive = tmp_path / "damaged.dat"
    archive.write_bytes(data[: int(cut * len(data))])
    for read in (_extracted, _streamed, *[_opened] * name.startswith("zip")):
        with suppress(StrbenchError):  # any other exception fails the test
            read(archive, Limits(total=1 << 20))
