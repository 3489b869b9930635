"""Downloads against a local server that misbehaves in every way seen in the field."""

from __future__ import annotations

import hashlib
import http.server
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from strbench import fetch, transfer
from strbench.errors import StrbenchError
from strbench.fetch import Remote, download, is_unfinished, require_licence

BODY = random.Random(0).randbytes(700_001)
SHA = hashlib.sha256(BODY).hexdigest()
LOGIN = b"<!DOCTYPE html><html><head><title>Login required</title></head></html>"


@dataclass
class Site:
    """What the server answers and what it was asked."""

    url: str = ""
    body: bytes = BODY
    etag: str = '"one"'
    last_modified: str = ""
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes sent before each of the next cuts
    statuses: list[int] = field(default_factory=list)  # statuses of the next answers
    content_type: str = "application/zip"
    pages: dict[str, bytes] = field(default_factory=dict)  # HTML by path
    redirects: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0  # seconds before a body
    chunk_pause: float = 0.0
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, Range header

    def remote(self, **known: object) -> Remote:
        values: dict[str, object] = {"file": "a.zip", "urls": (self.url + "/a.zip",), **known}
        return Remote(**values)  # type: ignore[arg-type]


def _handler(site: Site) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            site.asked.append((self.path, wanted))
            if self.path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[self.path])
                self.end_headers()
                return
            if site.statuses:
                self.send_error(site.statuses.pop(0))
                return
            page = site.pages.get(self.path.partition("?")[0])
            body = page or site.body
            start = 0
            condition = self.headers.get("If-Range", "")
            fresh = not condition or condition in (site.etag, site.last_modified)
            if wanted and site.ranges and fresh:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Type", "text/html" if page else site.content_type)
            self.send_header("Content-Length", str(len(body) - start))
            if site.etag:
                self.send_header("ETag", site.etag)
            if site.last_modified:
                self.send_header("Last-Modified", site.last_modified)
            self.end_headers()
            time.sleep(site.pause)
            end = start + site.cut_after.pop(0) if site.cut_after and not page else len(body)
            try:
                for i in range(start, min(end, len(body)), 50_000):
                    self.wfile.write(body[i : min(i + 50_000, end)])
                    time.sleep(site.chunk_pause)
            except OSError:
                pass  # the client went away, as some tests want
            self.close_connection = True

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def get(tmp_path: Path) -> Callable[..., Path]:
    def get(remote: Remote, **options: object) -> Path:
        values = {"pause": 0.0, "timeout": 5.0, **options}
        return download(remote, tmp_path / "raw" / remote.file, **values)  # type: ignore[arg-type]

    return get


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def test_whole_file_arrives_and_reports_progress(site: Site, get: Callable[..., Path]) -> None:
    told: list[tuple[int, int]] = []
    path = get(site.remote(sha256=(SHA,)), report=lambda done, total: told.append((done, total)))
    assert path.read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert _names(path.parent) == ["a.zip"]


def test_present_file_is_checked_and_not_fetched_again(
    site: Site, get: Callable[..., Path]
) -> None:
    remote = site.remote(sha256=(SHA,))
    path = get(remote)
    site.asked.clear()
    get(remote)
    assert site.asked == []
    path.write_bytes(BODY[:-1])
    with pytest.raises(StrbenchError, match="not the known file"):
        get(remote)
    assert path.read_bytes() == BODY[:-1]  # the user's file is never touched


@pytest.mark.parametrize("etag", ['"one"', ""])
def test_cut_connection_is_resumed(site: Site, get: Callable[..., Path], etag: str) -> None:
    site.etag = etag
    site.last_modified = "Sat, 21 Nov 2026 07:00:00 GMT"
    site.cut_after = [300_000, 100_000]
    assert get(site.remote()).read_bytes() == BODY
    assert [r for _, r in site.asked] == ["", "bytes=300000-", "bytes=400000-"]


def test_server_without_ranges_starts_over(site: Site, get: Callable[..., Path]) -> None:
    site.ranges = False
    site.cut_after = [300_000]
    assert get(site.remote()).read_bytes() == BODY


def test_without_validator_or_checksum_nothing_is_joined(
    site: Site, get: Callable[..., Path]
) -> None:
    site.etag = ""
    site.cut_after = [300_000]
    assert get(site.remote()).read_bytes() == BODY
    assert [r for _, r in site.asked] == ["", ""]


def test_part_of_an_older_version_is_dropped(
    site: Site, get: Callable[..., Path], tmp_path: Path
) -> None:
    site.cut_after = [300_000, 0]
    with pytest.raises(StrbenchError, match="ended at byte 300000"):
        get(site.remote(), retries=0)
    assert _names(tmp_path / "raw") == ["a.zip.part", "a.zip.part.json"]
    site.body, site.etag = BODY[::-1], '"two"'
    assert get(site.remote()).read_bytes() == BODY[::-1]


def test_server_that_ignores_if_range_is_caught_by_its_etag(
    site: Site, get: Callable[..., Path]
) -> None:
    site.cut_after = [300_000, 0]
    with pytest.raises(StrbenchError, match="ended at byte 300000"):
        get(site.remote(), retries=0)
    site.body, site.etag, site.last_modified = BODY[::-1], '"two"', '"one"'  # accepts the old tag
    assert get(site.remote()).read_bytes() == BODY[::-1]


def test_bad_join_is_found_by_checksum_and_fetched_anew(
    site: Site, get: Callable[..., Path], tmp_path: Path
) -> None:
    part = tmp_path / "raw" / "a.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    assert get(site.remote(sha256=(SHA,))).read_bytes() == BODY
    assert [r for _, r in site.asked] == ["bytes=1000-", ""]


def test_complete_part_is_accepted_on_416(
    site: Site, get: Callable[..., Path], tmp_path: Path
) -> None:
    part = tmp_path / "raw" / "a.zip.part"
    part.parent.mkdir()
    part.write_bytes(BODY)
    assert get(site.remote(sha256=(SHA,))).read_bytes() == BODY
    assert len(site.asked) == 1


def test_too_long_part_is_dropped_on_416(
    site: Site, get: Callable[..., Path], tmp_path: Path
) -> None:
    part = tmp_path / "raw" / "a.zip.part"
    part.parent.mkdir()
    part.write_bytes(BODY + b"more")
    assert get(site.remote(sha256=(SHA,))).read_bytes() == BODY


def test_wrong_checksum_is_kept_aside(site: Site, get: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(StrbenchError) as caught:
        get(site.remote(sha256=("0" * 64,)))
    assert "0" * 64 in caught.value.message
    assert SHA in caught.value.message
    assert "upstream changed" in caught.value.message
    assert caught.value.exit_code == 3
    assert _names(tmp_path / "raw") == ["a.zip.mismatch"]
    assert is_unfinished(tmp_path / "raw" / "a.zip.mismatch")


def test_one_of_several_known_checksums_is_enough(site: Site, get: Callable[..., Path]) -> None:
    md5 = hashlib.md5(BODY).hexdigest()
    assert get(site.remote(sha256=("0" * 64,), md5=("1" * 32, md5))).read_bytes() == BODY


def test_other_size_is_refused_before_the_transfer(
    site: Site, get: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(StrbenchError, match=f"expected 5 bytes, the server has {len(BODY)}"):
        get(site.remote(size=5))
    assert _names(tmp_path / "raw") == []


def test_next_mirror_goes_on_after_403(site: Site, get: Callable[..., Path]) -> None:
    site.statuses = [403]
    remote = site.remote(urls=(site.url + "/first", site.url + "/second"))
    assert get(remote).read_bytes() == BODY
    assert [p for p, _ in site.asked] == ["/first", "/second"]


def test_refusal_names_every_reason_and_the_advice(site: Site, get: Callable[..., Path]) -> None:
    site.statuses = [403, 404]
    remote = site.remote(urls=(site.url + "/first", site.url + "/second"))
    with pytest.raises(StrbenchError) as caught:
        get(remote, by_hand="bring a.zip")
    assert "403" in caught.value.message
    assert "404" in caught.value.message
    assert caught.value.hint == "bring a.zip"


def test_busy_server_is_asked_again(site: Site, get: Callable[..., Path]) -> None:
    site.statuses = [503, 429]
    assert get(site.remote()).read_bytes() == BODY
    assert len(site.asked) == 3


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/zip"])
def test_login_page_is_not_an_archive(
    site: Site, get: Callable[..., Path], tmp_path: Path, content_type: str
) -> None:
    site.body, site.content_type = LOGIN, content_type
    with pytest.raises(StrbenchError, match="a web page titled 'Login required'"):
        get(site.remote())
    assert _names(tmp_path / "raw") == []


def test_binary_file_sent_as_html_is_taken(site: Site, get: Callable[..., Path]) -> None:
    site.content_type = "text/html"
    assert get(site.remote()).read_bytes() == BODY


def test_xml_is_no_web_page(site: Site, get: Callable[..., Path]) -> None:
    site.body, site.content_type = b"<?xml version='1.0'?><tagset/>", "text/html"
    assert get(site.remote()).read_bytes() == site.body


def test_confirmation_page_of_a_drive_is_followed(site: Site, get: Callable[..., Path]) -> None:
    site.pages["/ask"] = (
        b'<!DOCTYPE html><form id="download-form" action="/give" method="get">'
        b'<input type="hidden" name="id" value="abc"><input type="hidden" name="uuid" value="1-2">'
        b"</form>"
    )
    assert get(site.remote(urls=(site.url + "/ask",), sha256=(SHA,))).read_bytes() == BODY
    assert site.asked[-1][0] == "/give?id=abc&uuid=1-2"


def test_confirmation_that_leads_elsewhere_is_refused(site: Site, get: Callable[..., Path]) -> None:
    site.pages["/ask"] = (
        b'<!DOCTYPE html><form id="download-form" action="http://evil.example/give">'
        b'<input name="id" value="abc"></form>'
    )
    with pytest.raises(StrbenchError, match="a web page"):
        get(site.remote(urls=(site.url + "/ask",)))


def test_redirect_is_followed_with_its_range(site: Site, get: Callable[..., Path]) -> None:
    site.redirects["/a.zip"] = site.url + "/moved.zip"
    site.cut_after = [300_000]
    assert get(site.remote()).read_bytes() == BODY
    assert site.asked[-1] == ("/moved.zip", "bytes=300000-")


def test_redirect_to_a_local_file_is_refused(site: Site, get: Callable[..., Path]) -> None:
    site.redirects["/a.zip"] = "file:///etc/passwd"
    with pytest.raises(StrbenchError, match="could not be fetched"):
        get(site.remote(), retries=0)


def test_https_never_falls_back_to_http() -> None:
    import urllib.request

    handler = transfer._NoDowngrade()
    request = urllib.request.Request("https://a.example/x")
    with pytest.raises(transfer.Refused, match="unsafe"):
        handler.redirect_request(request, None, 302, "", {}, "http://a.example/x")  # type: ignore[arg-type]


def test_silent_server_times_out(site: Site, get: Callable[..., Path]) -> None:
    site.pause = 2.0
    with pytest.raises(StrbenchError, match="timed out"):
        get(site.remote(), timeout=0.2, retries=0)


def test_nobody_listens(get: Callable[..., Path]) -> None:
    with pytest.raises(StrbenchError, match="refused"):
        get(Remote(file="a.zip", urls=("http://127.0.0.1:1/a.zip",)), retries=1)


def test_unknown_host_is_not_asked_twice(get: Callable[..., Path]) -> None:
    remote = Remote(file="a.zip", urls=("http://nowhere.invalid/a.zip",))
    begun = time.monotonic()
    with pytest.raises(StrbenchError, match="host is not found"):
        get(remote, retries=3, pause=5.0)
    assert time.monotonic() - begun < 5.0


def test_file_address_and_its_absence(get: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "here.zip").write_bytes(BODY)
    assert get(Remote(file="a.zip", urls=((tmp_path / "here.zip").as_uri(),))).read_bytes() == BODY
    with pytest.raises(StrbenchError, match="no such file"):
        get(Remote(file="b.zip", urls=((tmp_path / "gone.zip").as_uri(),)))


def test_offline_asks_nobody(site: Site, get: Callable[..., Path]) -> None:
    with pytest.raises(StrbenchError, match="--offline") as caught:
        get(site.remote(), offline=True, by_hand="bring a.zip")
    assert caught.value.hint == "bring a.zip"
    assert site.asked == []


def test_disk_too_small_is_told_before_the_transfer(
    site: Site, get: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StrbenchError, match="MB free"):
        get(site.remote())
    assert _names(tmp_path / "raw") == []


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from strbench.fetch import Remote, download
from strbench.errors import StrbenchError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    download(Remote(file="a.zip", urls=(sys.argv[1],)), Path(sys.argv[2]), pause=0.0)
except StrbenchError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_disk_full_during_the_transfer_keeps_the_part(
    site: Site, get: Callable[..., Path], tmp_path: Path
) -> None:
    target = tmp_path / "raw" / "a.zip"
    run = subprocess.run(
        [sys.executable, "-c", _LIMITED, site.url + "/a.zip", str(target)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 3, run.stderr
    assert "disk is full" in run.stdout
    kept = (tmp_path / "raw" / "a.zip.part").stat().st_size
    assert 0 < kept <= 400_000
    assert get(site.remote()).read_bytes() == BODY
    assert site.asked[-1][1] == f"bytes={kept}-"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 400_000


_PLAIN = """
import sys
from pathlib import Path
from strbench.fetch import Remote, download
download(Remote(file="a.zip", urls=(sys.argv[1],)), Path(sys.argv[2]), pause=0.0)
"""


def test_killed_download_leaves_a_part_that_is_resumed(
    site: Site, get: Callable[..., Path], tmp_path: Path
) -> None:
    site.chunk_pause = 0.1
    target = tmp_path / "raw" / "a.zip"
    part = tmp_path / "raw" / "a.zip.part"
    process = subprocess.Popen([sys.executable, "-c", _PLAIN, site.url + "/a.zip", str(target)])
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert _names(tmp_path / "raw") == ["a.zip.part", "a.zip.part.json"]
    kept = part.stat().st_size
    site.chunk_pause = 0.0
    assert get(site.remote()).read_bytes() == BODY
    assert site.asked[-1][1] == f"bytes={kept}-"


def test_two_processes_download_once(site: Site, tmp_path: Path) -> None:
    site.chunk_pause = 0.05
    target = tmp_path / "raw" / "a.zip"
    command = [sys.executable, "-c", _PLAIN, site.url + "/a.zip", str(target)]
    pair = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(30) for process in pair] == [0, 0]
    assert target.read_bytes() == BODY
    assert len(site.asked) == 1


def test_certificates_are_verified(site: Site) -> None:
    context = next(
        handler._context
        for handler in transfer._opener.handlers
        if type(handler).__name__ == "HTTPSHandler"
    )
    import ssl

    assert context is None or context.verify_mode == ssl.CERT_REQUIRED


def test_licence_is_asked_once_and_kept(home: Path) -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(StrbenchError, match="CC BY") as caught:
        require_licence("ic15", "CC BY 4.0", accepted=False)
    assert "--accept-licence" in caught.value.hint
    with pytest.raises(StrbenchError):
        require_licence("ic15", "CC BY 4.0", accepted=False, ask=no)
    require_licence("ic15", "CC BY 4.0", accepted=True)
    require_licence("ic15", "CC BY 4.0", accepted=False, ask=no)
    assert len(asked) == 1
    with pytest.raises(StrbenchError):  # other terms are asked for again
        require_licence("ic15", "CC BY-NC 4.0", accepted=False)
    assert (home / "licences" / "ic15.json").is_file()


def test_names_of_unfinished_files() -> None:
    assert fetch.is_unfinished(Path("x/a.zip.part"))
    assert not fetch.is_unfinished(Path("x/a.zip"))
