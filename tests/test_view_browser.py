"""The page of results in a browser, driven by its keys.

The browser is spoken to over a pipe (the DevTools protocol), for which the standard library is enough.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_view import FOUND, NASTY, TRUTH, gallery, picture, pictures

from strbench.types import Reading
from strbench.view import recognition_items, write_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)  # fmt: skip
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# The browser reads commands from descriptor 3 and answers on 4.
START = """import fcntl, os, sys
to, back = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(to, 3), os.dup2(back, 4)
os.execv(sys.argv[3], sys.argv[3:])"""


class Browser:
    """One tab, driven by the DevTools protocol."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._rest, self._count, self._session = b"", 0, ""
        self.problems: list[object] = []
        (tab,) = (
            target
            for target in self.call("Target.getTargets")["targetInfos"]
            if target["type"] == "page"
        )
        attached = self.call("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.call("Runtime.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("method") == "Runtime.exceptionThrown":
                self.problems.append(answer)
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._answers], [], [], 60)[0], "the browser does not answer"
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def js(self, code: str) -> Any:
        found = self.call("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, page: Path, width: int = 1200, height: int = 800) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Page.navigate", url=page.as_uri())
        loaded = f"document.readyState === 'complete' && location.href.startsWith({json.dumps(page.as_uri())})"
        for _ in range(600):
            if self.js(loaded):
                return
            time.sleep(0.05)
        raise AssertionError("the page does not load")

    def press(self, *keys: str) -> None:
        for key in keys:
            text = (
                {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            )
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def text(self, name: str) -> Any:
        return self.js(f"document.getElementById({json.dumps(name)}).textContent")


@contextmanager
def started(profile: Path) -> Iterator[Browser]:
    assert CHROMIUM
    to, commands = os.pipe()
    answers, back = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(to), str(back), CHROMIUM, *FLAGS,
         f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
        pass_fds=(to, back), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to)
    os.close(back)
    try:
        browser = Browser(commands, answers)
        yield browser
        browser.call("Browser.close")
        process.wait(20)
    finally:
        os.close(commands)
        os.close(answers)
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: the page is not opened")
    with started(tmp_path_factory.mktemp("profile")) as one:
        yield one


def test_photographs_are_paged_filtered_and_found_by_keys(browser: Browser, tmp_path: Path) -> None:
    truth = {f"{k}.png": TRUTH["a.png"] for k in range(20)} | TRUTH
    found = {f"{k}.png": FOUND["a.png"] for k in range(20)} | FOUND
    made = gallery(truth, found)
    browser.open(write_page(made, tmp_path / "page", title="T", images=pictures))
    shown = "document.querySelector('#name bdi').textContent"
    assert browser.js(shown) == "c.png"
    assert browser.text("note") == "no result for this photograph"
    assert browser.text("position") == "1 of 24"
    browser.press("j", "ArrowRight", "k")
    assert browser.js(shown) == "0.png"
    assert browser.js("document.querySelectorAll('#outlines .line').length") == 5
    assert browser.js("photograph.loaded.size") == 3  # this one and its neighbours
    browser.press("6")  # text differs: d.png alone
    assert browser.js(shown) == "d.png"
    assert browser.text("position") == "23 of 24, 1 match."
    browser.press("n", "p")
    assert browser.js(shown) == "d.png"
    browser.press("k")  # arrows do not mind the filter
    assert browser.js(shown) == "a.png"
    browser.press("2")  # or false: 21 photographs more
    assert browser.text("position") == "22 of 24, 22 match."
    browser.press("a")  # both at once: none
    assert browser.text("position").endswith("0 match. No photograph passes the filter.")
    browser.press("0", "s", "s", "s")
    assert browser.js(shown) == "0.png"
    browser.press("/", *"six", "Enter")  # a text of d.png
    assert browser.js(shown) == "d.png"
    browser.press("Escape", "t")
    assert browser.js("document.getElementById('query').value") == "six"
    tags = browser.js("[...document.querySelectorAll('#tags bdi')].map(t => t.textContent)")
    assert tags == ["five", NASTY, "FIVE 1.00", "six 0.50"]
    units = browser.js("[...items[photograph.place()].marks[1].text].map(c => c.codePointAt(0))")
    assert units == [ord(c) for c in NASTY]
    browser.press("d")
    hidden = "getComputedStyle(document.querySelector('#outlines .found.line')).display"
    assert browser.js(hidden) == "none"
    browser.press("r", "z")
    assert browser.js("photograph.zoom.times") > 1
    browser.press("z", "?")
    assert browser.js("document.getElementById('help').open") is True
    browser.press("?", "Home")
    assert browser.js(shown) == "0.png"
    browser.open(tmp_path / "page" / "index.html", 360, 700)
    assert browser.js("document.documentElement.scrollWidth") <= 360
    assert browser.problems == []


def test_words_are_paged_filtered_and_enlarged_by_keys(browser: Browser, tmp_path: Path) -> None:
    n = 150
    ids = [f"{k}" for k in range(n)]
    labels = ["word" if k % 2 else NASTY for k in range(n)]
    first: list[str | Reading] = [*labels]
    second: list[str | Reading] = [*labels]
    first[7], second[9], second[120] = Reading("ward", 0.75), "", "w0rd"
    made = recognition_items(ids, labels, {"one": first, NASTY: second})
    crop = picture(0, (40, 20))
    browser.open(write_page(made, tmp_path / "page", title="T", images=lambda _: crop, limit=130))
    assert browser.text("left-out") == (
        "130 of 150 words are on this page (“Wrong first”); 20 are left out, "
        "none of which a filter here lets through."
    )
    cards = "[...document.querySelectorAll('.card small')].map(s => s.textContent)"
    assert browser.text("position") == "Page 1 of 3: 1 to 60 of 130 words"
    assert browser.js(cards)[:3] == ["9", "120", "7"]  # wrong ones, the least alike first
    browser.press("j", "j", "j")
    assert browser.text("position") == "Page 3 of 3: 121 to 130 of 130 words"
    browser.press("1", "2")
    assert browser.js(cards) == ["7"]
    assert browser.js("document.querySelector('.card .off').textContent") == "a"
    browser.press("2", "5")
    assert browser.js(cards) == ["9"]
    browser.press("0", "z")
    assert browser.js("grid.place()") == 0
    browser.press("j", "j")
    assert "number 8 · 40 × 20 pixels" in browser.text("large")
    assert "✗ wrong 0.75" in browser.text("large")
    browser.press("Escape")
    browser.js("document.querySelector('#ranges input').value = 5;"
               "document.querySelector('#ranges input').dispatchEvent(new Event('input'))")  # fmt: skip
    # on the page are 0 to 129, of which the even ones have the longer label
    assert browser.text("position") == "Page 1 of 2: 1 to 60 of 65 words"
    browser.open(tmp_path / "page" / "index.html", 360, 700)
    assert browser.js("document.documentElement.scrollWidth") <= 360
    assert browser.problems == []
