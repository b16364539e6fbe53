"""Drive an unmodified Chromium or Firefox through WebDriver BiDi, the W3C protocol both of them speak.

Firefox serves it itself; Chromium through its chromedriver. No driver package is needed, and Firefox stays the one
that users have.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

START_TIMEOUT_S = 60
CALL_TIMEOUT_S = 60
WAIT_MS = 20_000
KEYS = {"Enter": "\ue007", "Control": "\ue009", "Left": "\ue012", "Right": "\ue014", "Down": "\ue015", "Tab": "\ue004"}

CHROMIUM_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--window-size=1100,800",
]
FIREFOX_PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    # The other driver of PulseAudio (in Rust, behind a process of its own) locks up when the machine is busy, and the
    # page that asks it for its latency with it.
    "media.cubeb.backend": "pulse",
    "media.cubeb.sandbox": False,
    "security.sandbox.content.level": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


class BrowserError(Exception):
    """The browser refused a command, a script threw, or a condition did not come true in time."""


class Session:
    """One BiDi connection. Not thread-safe."""

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def wait_event(self, method: str, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that matches and was not waited for before, arrived or still to come. Raises TimeoutError."""
        while True:
            for event in self.events:
                if event.get("method") == method and matches(event["params"]):
                    self.events.remove(event)
                    params: dict[str, Any] = event["params"]
                    return params
            self.events.append(json.loads(self._socket.recv(CALL_TIMEOUT_S)))

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """One command. Events that arrive meanwhile are kept. Raises BrowserError, TimeoutError."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(CALL_TIMEOUT_S))
            if message.get("id") != number:
                self.events.append(message)
            elif message["type"] == "error":
                raise BrowserError(f"{method}: {message['error']}: {message['message']}")
            else:
                result: dict[str, Any] = message["result"]
                return result


class Page:
    """One tab, or a frame in one."""

    def __init__(self, session: Session, context: str = "") -> None:
        self._session = session
        self._context = context or session.call("browsingContext.create", type="tab")["context"]

    def frame(self) -> Page:
        """The first frame of this page."""
        [tree] = self._session.call("browsingContext.getTree", root=self._context)["contexts"]
        return Page(self._session, tree["children"][0]["context"])

    def close(self) -> None:
        """Close the tab."""
        self._session.call("browsingContext.close", context=self._context)

    def goto(self, url: str) -> None:
        """Open a page and wait until it and its modules have loaded."""
        self._session.call("browsingContext.navigate", context=self._context, url=url, wait="complete")
        self.wait_load(url)  # whoever waits for one waits for the next

    def wait_load(self, url_prefix: str) -> None:
        """Wait until the page itself has gone to such an address."""
        self._session.wait_event(
            "browsingContext.load",
            lambda load: load["context"] == self._context and load["url"].startswith(url_prefix),
        )

    def reload(self) -> None:
        """The listener's F5."""
        url = self.evaluate("location.href")
        self._session.call("browsingContext.reload", context=self._context, wait="complete")
        self.wait_load(url)

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression, promises awaited, by way of JSON. Raises BrowserError when it throws."""
        code = f"(async () => JSON.stringify(await ({expression})))()"
        target = {"context": self._context}
        result = self._session.call("script.evaluate", expression=code, target=target, awaitPromise=True)
        if result["type"] == "exception":
            raise BrowserError(f"{expression}: {result['exceptionDetails']['text']}")
        value = result["result"].get("value")
        return None if value is None else json.loads(value)

    def wait_for(self, condition: str, *, timeout_ms: int = WAIT_MS) -> Any:
        """Wait until a JavaScript expression is truthy; its value. Raises BrowserError when it never is."""
        return self.evaluate(
            f"""new Promise((resolve, reject) => {{
              const began = performance.now();
              const look = () => {{
                const value = ({condition});
                if (value) resolve(value);
                else if (performance.now() - began > {timeout_ms})
                  reject(new Error("not in {timeout_ms} ms; the page says: " + document.body.innerText.slice(0, 400)));
                else setTimeout(look, 20);
              }};
              look();
            }})"""
        )

    def click(self, selector: str) -> None:
        """A real click into the middle of the element."""
        self._pointer(selector, "pointerDown", "pointerUp")

    def _pointer(self, selector: str, *kinds: str) -> None:
        box = self.evaluate(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{ block: "center", behavior: "instant" }});
              const {{ x, y, width, height }} = element.getBoundingClientRect();
              return [x + width / 2, y + height / 2].map(Math.round);
            }})()"""
        )
        move = {"type": "pointerMove", "x": box[0], "y": box[1]}
        buttons = [{"type": kind, "button": 0} for kind in kinds]
        self._perform({"type": "pointer", "id": "mouse", "actions": [move, *buttons]})

    def press(self, *keys: str) -> None:
        """Press keys together, release them in reverse."""
        codes = [KEYS.get(key, key) for key in keys]
        downs = [{"type": "keyDown", "value": code} for code in codes]
        ups = [{"type": "keyUp", "value": code} for code in reversed(codes)]
        self._perform({"type": "key", "id": "keyboard", "actions": downs + ups})

    def hold(self, selector: str) -> None:
        """Press the mouse button on the middle of the element, and keep it."""
        self._pointer(selector, "pointerDown")

    def let_go(self) -> None:
        """Release the mouse button."""
        self._perform({"type": "pointer", "id": "mouse", "actions": [{"type": "pointerUp", "button": 0}]})

    def key_down(self, key: str) -> None:
        """Press a key, and keep it."""
        self._perform({"type": "key", "id": "keyboard", "actions": [{"type": "keyDown", "value": KEYS.get(key, key)}]})

    def key_up(self, key: str) -> None:
        """Release a key."""
        self._perform({"type": "key", "id": "keyboard", "actions": [{"type": "keyUp", "value": KEYS.get(key, key)}]})

    def _perform(self, source: dict[str, Any]) -> None:
        self._session.call("input.performActions", context=self._context, actions=[source])

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file of this machine in a file input."""
        target = {"context": self._context}
        found = self._session.call(
            "script.evaluate",
            expression=f"document.querySelector({json.dumps(selector)})",
            target=target,
            awaitPromise=False,
        )
        element = {"sharedId": found["result"]["sharedId"]}
        self._session.call("input.setFiles", context=self._context, element=element, files=[str(path)])

    def preload(self, function: str) -> None:
        """Run a JavaScript function in every page that this tab opens, before its own scripts."""
        self._session.call("script.addPreloadScript", functionDeclaration=function, contexts=[self._context])

    def activate(self) -> None:
        """Bring the tab to the front."""
        self._session.call("browsingContext.activate", context=self._context)

    def viewport(self, width: int, height: int) -> None:
        """Size of the page, CSS pixels."""
        size = {"width": width, "height": height}
        self._session.call("browsingContext.setViewport", context=self._context, viewport=size)

    def screenshot(self, path: Path) -> None:
        """What is seen, as PNG."""
        data = self._session.call("browsingContext.captureScreenshot", context=self._context)["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Errors and warnings of the console and uncaught exceptions in this tab, so far."""
        self.evaluate("null")  # a round trip: what was logged before it has arrived
        entries = [e["params"] for e in self._session.events if e.get("method") == "log.entryAdded"]
        mine = [e for e in entries if e["source"].get("context") == self._context]
        return [f"{e['level']}: {e['text']}" for e in mine if e["level"] in ("warn", "error")]


@contextmanager
def chromium(binary: str, driver: str, *more: str) -> Iterator[Session]:
    """A fresh headless Chromium. more: arguments."""
    with _process([driver, "--port=0"], r"started successfully on port (\d+)") as port:
        options = {"binary": binary, "args": [*CHROMIUM_ARGUMENTS, *more]}
        wanted = {"webSocketUrl": True, "goog:chromeOptions": options}
        answer = _post(f"http://127.0.0.1:{port}/session", {"capabilities": {"alwaysMatch": wanted}})["value"]
        try:
            with _connected(answer["capabilities"]["webSocketUrl"]) as session:
                _listen(session)
                yield session
        finally:
            _delete(f"http://127.0.0.1:{port}/session/{answer['sessionId']}")


@contextmanager
def firefox(
    binary: str, profile: Path, environment: Mapping[str, str], more: Mapping[str, Any] | None = None
) -> Iterator[Session]:
    """A fresh headless Firefox with a profile of its own; environment comes on top of ours. more: preferences."""
    wanted = {**FIREFOX_PREFERENCES, **(more or {})}
    lines = (f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in wanted.items())
    (profile / "user.js").write_text("".join(lines))
    command = [binary, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    with (
        _process([*command, "about:blank"], r"BiDi listening on (ws://\S+)", environment) as address,
        _connected(f"{address}/session") as session,
    ):
        session.call("session.new", capabilities={})
        _listen(session)
        yield session


@contextmanager
def _connected(url: str) -> Iterator[Session]:
    with connect(url, max_size=None, open_timeout=START_TIMEOUT_S) as socket:
        yield Session(socket)


def _listen(session: Session) -> None:
    session.call("session.subscribe", events=["log.entryAdded", "browsingContext.load"])


@contextmanager
def _process(command: list[str], announcement: str, extra: Mapping[str, str] | None = None) -> Iterator[str]:
    """Runs a program until the block ends; the group in what it announces. Raises BrowserError if it ends before."""
    environment = {**os.environ, **(extra or {})}
    with subprocess.Popen(command, stdout=PIPE, stderr=STDOUT, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if match := re.search(announcement, line):
                    yield match[1]
                    return
            raise BrowserError(f"{command[0]} ended before it was ready")
        finally:
            process.terminate()


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def _delete(url: str) -> None:
    request = urllib.request.Request(url, method="DELETE")
    urllib.request.urlopen(request, timeout=START_TIMEOUT_S).close()
