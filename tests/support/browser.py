"""A headless Chromium that tests talk to over a pipe, in the DevTools protocol. It needs no package.

    with Browser(folder) as browser:
        page = browser.open(html)
        page.evaluate("document.title")

Whatever a page writes to the console, throws, or asks of the network, is in `page.troubles`.
"""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars"),
)
DESKTOP, PHONE = (1280, 900), (390, 844)
PATIENCE = 60  # seconds
# Requests of the page itself, and those that no network sees.
LOCAL = ("file:", "data:", "blob:")


class Browser:
    """Chromium, started and ended with the block."""

    def __init__(self, folder: Path):
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("no chromium here: apt-get install chromium to test the page in a browser")
        self.folder, self.program, self.numbers = folder, program, itertools.count(1)

    def __enter__(self) -> "Browser":
        self.profile = tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True)
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        # Chromium reads from 3 and writes to 4.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]
        shell = f'exec "$@" 3<&{high[0]} 4>&{high[1]}'
        flags = (*FLAGS, f"--user-data-dir={self.profile.name}", "about:blank")
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "chromium", self.program, *flags],
            pass_fds=high,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        self.to, self.of, self.heard = os.fdopen(ours_out, "wb", 0), ours_in, b""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.to.close()  # upon which it ends
        os.close(self.of)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    def open(
        self, html: str, size: tuple[int, int] = DESKTOP, dark: bool = False, name: str = "page"
    ) -> "Page":
        """A page from a file, once its scripts say that it is ready."""
        path = self.folder / f"{name}.html"
        path.write_text(html)
        return self.visit(path.as_uri(), size, dark)

    def visit(self, address: str, size: tuple[int, int] = DESKTOP, dark: bool = False) -> "Page":
        """The page at an address, once its scripts say that it is ready."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        page = Page(self, attached["sessionId"], [])
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(size)
        page.emulate("screen", dark)
        page.call("Page.navigate", {"url": address})
        page.until("document.body?.dataset.ready || document.body?.dataset.error")
        return page

    def call(
        self, method: str, params: Mapping | None = None, session: str = "", page=None
    ) -> dict:
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        self.to.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            if page is not None:
                page.hear(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self) -> dict:
        while b"\0" not in self.heard:
            if not select.select([self.of], [], [], PATIENCE)[0]:
                raise TimeoutError(f"chromium has said nothing for {PATIENCE} s")
            if not (piece := os.read(self.of, 1 << 20)):
                raise RuntimeError("chromium ended")
            self.heard += piece
        message, _, self.heard = self.heard.partition(b"\0")
        return json.loads(message)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str, troubles: list[str]):
        self.browser, self.session, self.troubles = browser, session, troubles
        self.asked: list[str] = []  # the addresses of all requests, local ones included

    def call(self, method: str, params: Mapping | None = None) -> dict:
        return self.browser.call(method, params, self.session, self)

    def hear(self, event: Mapping[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded":
                self.troubles.append(json.dumps(params)[:500])
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                self.asked.append(url)
                if not url.startswith(LOCAL):
                    self.troubles.append(f"asked for {url}")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait up to 30 seconds for a condition, by way of the page's own clock."""
        wait = "new Promise((done) => setTimeout(done, 50))"
        for _ in range(600):
            if self.evaluate(f"{wait}.then(() => Boolean({condition}))"):
                return
        raise TimeoutError(condition)

    def front(self) -> None:
        """Make it the tab that is looked at: only that one draws."""
        self.call("Page.bringToFront")

    def frames(self) -> None:
        """Let the page draw what it was asked to."""
        twice = "requestAnimationFrame(() => requestAnimationFrame(done))"
        self.evaluate(f"new Promise((done) => {twice})")

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )

    def emulate(self, media: str, dark: bool = False) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key})

    def screenshot(self, whole: bool = True) -> bytes:
        asked = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            asked["clip"] = {**size, "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", asked)["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", {"printBackground": True})["data"])
