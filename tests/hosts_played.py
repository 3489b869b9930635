"""The web as datasets meet it, on one local port: every host answers in its own way, and fails so.

Addresses stay as the specs have them, ``https`` included: ``play`` replaces the last step of
``strbench.transfer``, the connection, and nothing else. Whatever is not served is a 404; no test
reaches a real host.
"""

from __future__ import annotations

import hashlib
import http.client
import http.server
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import pytest

from strbench import fetch, transfer

# What can go wrong with one answer. "ask": Google's page on virus scans comes first. "login" and
# "quota": a web page with status 200. "wrong": other bytes. "cut": the connection ends half-way.
Fault = Literal["403", "404", "503", "ask", "cut", "login", "quota", "slow", "wrong"]


@dataclass(frozen=True)
class Manner:
    """How a host gives its files."""

    leads_to: str = ""  # the host that it redirects to, at an address signed for a while
    ranges: bool = True
    etag: Literal["strong", "weak", ""] = "strong"
    dated: bool = True  # sends Last-Modified
    sized: bool = True  # sends Content-Length


# By the last labels of the host's name; any other host is a plain Apache or nginx.
MANNERS: dict[str, Manner] = {
    "huggingface.co": Manner(leads_to="cas-bridge.xethub.hf.co"),
    "drive.google.com": Manner(leads_to="drive.usercontent.google.com"),
    "drive.usercontent.google.com": Manner(etag=""),
    "github.com": Manner(leads_to="objects.githubusercontent.com"),
    "codeload.github.com": Manner(ranges=False, etag="weak", dated=False, sized=False),
    "raw.githubusercontent.com": Manner(etag="weak", dated=False),
    "dropbox.com": Manner(leads_to="uc0.dl.dropboxusercontent.com"),
    "uc0.dl.dropboxusercontent.com": Manner(dated=False),
    "box.com": Manner(leads_to="public.boxcloud.com"),
}
DATE = "Sat, 21 Nov 2026 07:00:00 GMT"
PAGES: dict[str, bytes] = {
    "login": b"<!DOCTYPE html>\n<html><head><title>Robust Reading Competition: log in</title></head>"
    b"<body><form action='/login' method='post'><input name='email'></form></body></html>",
    "quota": b"<html><head><title>Google Drive - Quota exceeded</title></head><body>Sorry, you "
    b"can't view or download this file at this time.</body></html>",
}


def manner(host: str) -> Manner:
    """How a host gives its files."""
    labels = host.split(".")
    names = (".".join(labels[i:]) for i in range(len(labels)))
    return next((MANNERS[name] for name in names if name in MANNERS), Manner())


class Asked(NamedTuple):
    """A request, as the server saw it."""

    address: str
    range: str  # the Range header, "" without one


class Answer(NamedTuple):
    """What the server sends back."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    cut: bool = False  # the connection ends half-way through the body
    slow: bool = False  # the body comes in drops


@dataclass
class Web:
    """The files that can be had, what will go wrong, and what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)  # by address
    faults: dict[str, list[Fault]] = field(default_factory=dict)  # of the next answers, by address
    asked: list[Asked] = field(default_factory=list)
    _signed: dict[str, str] = field(default_factory=dict)  # signed address -> the one asked first

    def answer(self, address: str, wanted: str, condition: str) -> Answer:
        """What comes for an address, a Range and an If-Range header."""
        self.asked.append(Asked(address, wanted))
        origin = self._signed.get(address, address)
        way = manner(urllib.parse.urlsplit(address).hostname or "")
        if way.leads_to and origin == address and origin in self.files:
            return Answer(302, {"Location": self._sign(address, way.leads_to)})
        faults = self.faults.get(origin)
        fault = faults.pop(0) if faults else None
        if fault in ("403", "404", "503"):
            return Answer(int(fault))
        if fault in PAGES:
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, PAGES[fault])
        if fault == "ask":
            return Answer(200, {"Content-Type": "text/html"}, self._ask(origin))
        if origin not in self.files:
            return Answer(404)
        body = self.files[origin]
        return _content(body[::-1] if fault == "wrong" else body, way, fault, wanted, condition)

    def _sign(self, address: str, host: str) -> str:
        parts = urllib.parse.urlsplit(address)
        query = f"signature={len(self._signed)}"
        signed = urllib.parse.urlunsplit(("https", host, f"/{parts.netloc}{parts.path}", query, ""))
        self._signed[signed] = address
        return signed

    def _ask(self, address: str) -> bytes:
        parts = urllib.parse.urlsplit(address)
        fields = [*urllib.parse.parse_qsl(parts.query), ("uuid", str(len(self._signed)))]
        target = f"https://{parts.netloc}{parts.path}"
        self._signed[f"{target}?{urllib.parse.urlencode(fields)}"] = address
        inputs = "".join(f'<input type="hidden" name="{k}" value="{v}">' for k, v in fields)
        return (
            "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head>"
            f'<body><form id="download-form" action="{target}" method="get">{inputs}'
            '<input type="submit" value="Download anyway"></form></body></html>'
        ).encode()


def _content(body: bytes, way: Manner, fault: str | None, wanted: str, condition: str) -> Answer:
    headers = {"Content-Type": "application/octet-stream"}
    tag = f'"{hashlib.md5(body).hexdigest()}"'
    if way.etag:
        headers["ETag"] = f"W/{tag}" if way.etag == "weak" else tag
    if way.dated:
        headers["Last-Modified"] = DATE
    first = 0
    is_fresh = not condition or condition in (headers.get("ETag"), headers.get("Last-Modified"))
    if wanted and way.ranges and is_fresh:
        first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if first >= len(body):
            return Answer(416, {"Content-Range": f"bytes */{len(body)}"})
        headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
    if way.sized:
        headers["Content-Length"] = str(len(body) - first)
    status = 206 if "Content-Range" in headers else 200
    return Answer(status, headers, body[first:], cut=fault == "cut", slow=fault == "slow")


class _Handler(http.server.BaseHTTPRequestHandler):
    web: Web

    def log_message(self, format: str, *args: object) -> None:
        pass  # pytest shows a failure's own words

    def do_GET(self) -> None:
        address = f"{self.headers['X-Scheme']}://{self.headers['Host']}{self.path}"
        answer = self.web.answer(
            address, self.headers.get("Range", ""), self.headers.get("If-Range", "")
        )
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        body = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
        step = max(len(body) // 10, 1) if answer.slow else max(len(body), 1)
        for i in range(0, len(body), step):
            self.wfile.write(body[i : i + step])
            if answer.slow:
                self.wfile.flush()
                time.sleep(0.02)


class _Door(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Takes every connection, whatever the host, to the local port."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        req.add_unredirected_header("X-Scheme", req.type)
        return self.do_open(self._connection, req)

    https_open = http_open

    def _connection(self, host: str, **options: Any) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, **options)


@contextmanager
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The web for the length of the block: whatever strbench fetches in this process comes from it."""
    web = Web()
    handler = type("Handler", (_Handler,), {"web": web})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), transfer._NoDowngrade(), _Door(server.server_port)
    )
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "_opener", opener)
        patched.setattr(fetch, "_LONGEST_WAIT", 0.0)  # seconds between two tries
        try:
            yield web
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
