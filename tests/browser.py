"""A headless Chromium, driven through the DevTools protocol over its own pipe: no port, no client.

https://chromedevtools.github.io/devtools-protocol; on the pipe, messages of JSON end with a NUL.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check",
    "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=user-gesture-required", "--hide-scrollbars",
)  # fmt: skip
PATIENCE = 30.0  # seconds, for anything


def find_browser() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One open page. ``events`` are all messages that are not replies, oldest first."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._waiting = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []

    def attach(self) -> None:
        """Open an empty tab and listen to all that happens in it."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command; raise ``RuntimeError`` where it is an error."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(PATIENCE)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self.events.append(answer)

    def _receive(self, patience: float) -> dict[str, Any]:
        until = time.monotonic() + patience
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._reader], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self._reader, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError("the browser does not answer" if not ready else "it has ended")
            self._waiting += data
        message, _, self._waiting = self._waiting.partition(b"\0")
        return dict(json.loads(message))

    def open(self, path: Path) -> None:
        """Load the file at ``path`` and wait until it is there."""
        self.events.clear()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("document.readyState === 'complete' && location.protocol === 'file:'")

    def evaluate(self, code: str, *, gesture: bool = False) -> Any:
        """Return the value of ``code``, awaited; raise ``RuntimeError`` for what it throws."""
        answer = self.send(
            "Runtime.evaluate",
            expression=code,
            returnByValue=True,
            awaitPromise=True,
            userGesture=gesture,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    def wait_for(self, code: str) -> None:
        """Wait until ``code`` is true."""
        until = time.monotonic() + PATIENCE
        while not self.evaluate(code):
            if time.monotonic() > until:
                raise RuntimeError(f"never true: {code}")
            time.sleep(0.02)

    def show(
        self, width: int, height: int = 900, *, dark: bool = False, calm: bool = False
    ) -> None:
        """Give the window a size (CSS pixels), and a person's preferences."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if calm else "no-preference",
        }
        self.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )

    def press(self, key: str, code: str = "", *, shift: bool = False) -> None:
        """Press and release a key, as a keyboard does."""
        texts = {" ": " ", "Enter": "\r"}
        text = texts.get(key, key if len(key) == 1 else "")
        numbers = {" ": 32, "Enter": 13, "Tab": 9, "ArrowLeft": 37, "ArrowRight": 39}
        number = numbers.get(key, ord(key.upper()) if len(key) == 1 else 0)
        common = {
            "key": key,
            "code": code or key,
            "windowsVirtualKeyCode": number,
            "modifiers": 8 * shift,
        }
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector: str) -> None:
        """Click the middle of the first element that ``selector`` finds, with a mouse."""
        place = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def capture(self, path: Path, *, whole: bool = True) -> Path:
        """Write a picture (PNG) of the page, or of what is in sight."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened."""
        self.evaluate("0")  # all earlier events are in by then
        sent = (e for e in self.events if e.get("method") == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def complaints(self) -> list[str]:
        """Return errors and warnings of the console, and exceptions, since the page was opened."""
        self.evaluate("0")
        found = []
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(json.dumps(parameters)[:500])
            if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
                found.append(json.dumps(parameters)[:500])
            if method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"])
        return found


@contextlib.contextmanager
def open_browser(program: str) -> Iterator[Tab]:
    """Start ``program`` and give an empty page of it; end it afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        words = [program, *SWITCHES, f"--user-data-dir={profile}", "about:blank"]
        if os.geteuid() == 0:
            words.insert(1, "--no-sandbox")  # it refuses to run as root with one
        silence = os.open(os.devnull, os.O_RDWR)
        # Chromium reads commands from the file descriptor 3 and answers on 4.
        moves = [(os.POSIX_SPAWN_DUP2, silence, n) for n in (0, 1, 2)]
        high_in, high_out = os.dup(theirs_in), os.dup(theirs_out)
        moves += [(os.POSIX_SPAWN_DUP2, high_in, 3), (os.POSIX_SPAWN_DUP2, high_out, 4)]
        process = os.posix_spawn(program, words, os.environ, file_actions=moves, setpgroup=0)
        for number in (theirs_in, theirs_out, high_in, high_out, silence):
            os.close(number)
        try:
            page = Tab(ours_in, ours_out)
            page.attach()
            yield page
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(ours_in)
            os.close(ours_out)
