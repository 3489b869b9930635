"""One try at one address: ranged, watched for web pages that pose as files, and cut short safely.

What the hosts of datasets do, and what follows from it:

- Hugging Face, GitHub releases, Dropbox and Box redirect to an address that is signed for minutes. A
  download goes on from the first address, never from the signed one.
- Google Drive asks for consent before large files ("can't scan this file for viruses"); the form of
  that page is followed once. Where its quota is spent, it answers 200 with a web page.
- The Robust Reading Competition answers a stranger with a login page, status 200. A web page is
  never taken for a file, whatever its name and content type.
- Some servers take no ranges or send no length, and weak ETags (GitHub's raw files) prove nothing:
  then a part is joined with its rest only where a checksum is known, and otherwise begun anew.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from typing import IO, Any

from strbench.errors import DATA, StrbenchError

_CHUNK = 1 << 18  # bytes read and written at once
_MARGIN = 64 << 20  # bytes of disk that a download leaves free
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP status codes that may pass

Report = Callable[[int, int], None]  # bytes that are there, bytes in all (0: unknown)


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on the network and how to know that it is the right one.

    ``sha256`` and ``md5`` list every checksum known for this content; one that matches is enough,
    since different publishers print different ones.
    """

    file: str  # path below <home>/raw/<id>/, e.g. "svt.zip" or "IC15_1811/data.mdb"
    urls: tuple[str, ...]  # the same bytes at each; tried in order; () where a person must bring it
    sha256: tuple[str, ...] = ()
    md5: tuple[str, ...] = ()
    size: int = 0  # bytes; 0: not known
    note: str = ""


class Refused(Exception):
    """This mirror cannot give the file; the next one may."""


class Again(Exception):
    """The transfer broke off; the same mirror may go on with it."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def _read_state(part: Path) -> dict[str, Any]:
    try:
        state = json.loads(_state_path(part).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _same_content(state: dict[str, Any], response: Message) -> bool:
    """Whether what the server now sends is what the ``.part`` began with, as far as it tells."""
    pairs = (("etag", "ETag"), ("last_modified", "Last-Modified"))
    return all(
        not state.get(key) or not response.get(name) or state[key] == response.get(name)
        for key, name in pairs
    )


def transfer(
    url: str, source: Remote, part: Path, timeout: float, report: Report | None, follow: bool = True
) -> bool:
    """Whether bytes of an earlier try were kept; on return ``part`` is complete.

    Raises:
        Again: worth another try here. Refused: not. OSError: from writing, never from reading.
    """
    state = _read_state(part)
    offset = part.stat().st_size if part.exists() else 0
    known = bool(source.sha256 or source.md5)
    validator = _validator(state) if state.get("url") == url else ""
    if offset and not validator and not known:
        offset = 0  # nothing could prove that the two halves belong together
    headers = {"User-Agent": "strbench", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    response = _open(url, headers, timeout, part, offset)
    if response is None:
        return True
    with response:
        meta: Message = response.headers
        start, total = _extent(response, offset)
        stale = offset and start == offset and not _same_content(state, meta)
        if stale or start not in (0, offset) or (start and total != (state.get("total") or total)):
            forget(part)
            raise Again("the file changed on the server")
        head = _read(response, 1024)
        html = _html_page(meta, head) if start == 0 else ""
        if html:
            page = head + _read(response, 1 << 20)
            form = _confirmation(url, page) if follow else ""
            if form:
                return transfer(form, source, part, timeout, report, follow=False)
            raise Refused(html)
        if source.size and total and total != source.size:
            raise Refused(f"expected {source.size} bytes, the server has {total}: upstream changed")
        _need_room(part, (total or source.size) - start)
        if start == 0:
            forget(part)  # before the state: a new state must never stand beside old bytes
        new_state = {
            "url": url,
            "etag": meta.get("ETag", ""),
            "last_modified": meta.get("Last-Modified", ""),
            "total": total,
        }
        _state_path(part).write_text(json.dumps(new_state), encoding="utf-8")
        done = start
        with part.open("rb+" if start else "wb") as file:
            file.seek(start)
            chunk = head
            while chunk:
                file.write(chunk)
                done += len(chunk)
                if report:
                    report(done, total)
                chunk = _read(response, _CHUNK)
            file.truncate()
    if total and done != total:
        raise Again(f"the connection ended at byte {done} of {total}")
    return start > 0


def _validator(state: dict[str, Any]) -> str:
    etag = str(state.get("etag") or "")
    # If-Range takes strong validators only (RFC 9110, section 13.1.5).
    return etag if etag and not etag.startswith("W/") else str(state.get("last_modified") or "")


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            raise Refused(f"redirects to the unsafe address {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_cookies = urllib.request.HTTPCookieProcessor(CookieJar())
_opener = urllib.request.build_opener(_cookies, _NoDowngrade())


def _open(url: str, headers: dict[str, str], timeout: float, part: Path, offset: int) -> Any:
    """The response, or None where the server says that ``part`` is complete already."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https", "file"):
        raise Refused(f"{url} is not an http, https or file address")
    try:
        return _opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and offset:
                match = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
                if match and int(match[1]) == offset:
                    return None
                forget(part)
                raise Again("the server has no bytes where the .part file ends") from error
            if error.code in _TRY_AGAIN:
                after = error.headers.get("Retry-After", "")
                wait = float(after) if after.isdigit() else 0.0
                raise Again(f"HTTP {error.code} {error.reason}", wait) from error
            raise Refused(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            raise Refused(
                f"the TLS connection failed ({error.reason}); certificates are always verified"
            ) from error
        if isinstance(error.reason, FileNotFoundError):
            raise Refused("no such file") from error
        if isinstance(error.reason, socket.gaierror):  # no network, or a host that is gone
            raise Refused(f"the host is not found ({error.reason.strerror})") from error
        raise Again(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise Again(str(error) or type(error).__name__) from error


def _extent(response: Any, offset: int) -> tuple[int, int]:
    """First byte and full size (0 where the server does not tell) of what a response carries."""
    if response.status == 206:
        match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match:
            return offset, 0
        return int(match[1]), 0 if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else 0


def _read(response: Any, size: int) -> bytes:
    try:
        return bytes(response.read(size))
    except (OSError, http.client.HTTPException) as error:  # a timeout is an OSError
        raise Again(str(error) or type(error).__name__) from error


def _html_page(meta: Message, head: bytes) -> str:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start.startswith(b"<") or start.startswith(b"<?xml"):
        return ""
    markers = (b"<!doctype html", b"<html", b"<head", b"<script", b"<!--")
    if not start.startswith(markers) and meta.get_content_type() != "text/html":
        return ""
    title = re.search(rb"<title[^>]*>(.*?)</title", head, re.IGNORECASE | re.DOTALL)
    name = title[1].decode("utf-8", "replace").strip() if title else ""
    said = f" titled {name!r}" if name else ""
    return f"a web page{said} came instead of the file (login, quota or consent)"


class _Form(HTMLParser):
    """The address that Google Drive's "can't scan this file for viruses" page leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if tag == "form":
            self.inside = values.get("id") == "download-form"
            if self.inside:
                self.action = values.get("action", "")
        elif tag == "input" and self.inside and values.get("name"):
            self.fields[values["name"]] = values.get("value", "")


def _confirmation(url: str, page: bytes) -> str:
    """The address behind a Google Drive confirmation page, "" if the page is something else."""
    form = _Form()
    form.feed(page.decode("utf-8", "replace"))
    if not form.action or not form.fields:
        return ""
    target = urllib.parse.urljoin(url, form.action)
    hosts = {
        "drive.google.com",
        "drive.usercontent.google.com",
        urllib.parse.urlsplit(url).hostname,
    }
    if urllib.parse.urlsplit(target).hostname not in hosts:
        return ""
    return f"{target}?{urllib.parse.urlencode(form.fields)}"


def _need_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > 0 and needed + _MARGIN > free:
        raise StrbenchError(
            f"{part.parent} has {free / 1e6:.0f} MB free; {part.name.removesuffix('.part')} needs "
            f"{needed / 1e6:.0f} MB more and {_MARGIN / 1e6:.0f} MB stay free.",
            hint="Free some space, or set STRBENCH_HOME to another disk, and run it again.",
            exit_code=DATA,
        )
