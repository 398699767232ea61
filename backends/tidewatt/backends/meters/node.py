"""The power of a whole node: IPMI DCMI, Redfish, a PDU, or any command or URL that tells it.

Such meters take their time and may hang, so a thread of its own asks them, and a reading of the host takes
what was answered last. It is a device of the component `node`; what it says beyond the components is shared
by the rule in `remainder.py`.
"""

import atexit
import base64
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from tidewatt.backends.meters import node_source
from tidewatt.backends.meters.node_source import NoAnswerError, NodeSource
from tidewatt.backends.meters.reading import Device, How

_LOOK_S = 30.0  # between two looks whether the source is another now
_MOST_BYTES = 1_000_000
_SLACK_S = 2.0  # the meter's reading may come so much after the answer


def answer(source: NodeSource, started: Callable[[subprocess.Popen[bytes]], None] = lambda _: None) -> int:
    """Asks once: milliwatts, or microjoules of a counter; takes no longer than about `timeout_s`.

    `started` is told of the process of a command.

    Raises:
        NoAnswerError: No number came, or none in time.
    """
    return source.value(_run(source, started) if source.command else _fetch(source))


@dataclass(slots=True)
class Node:
    """The node's meter as an instrument of the host's: it never waits for the one it asks."""

    readings: Path
    monotonic: Callable[[], float] = time.monotonic
    note: str = ""
    _source: NodeSource | None = None
    _asker: "_Asker | None" = None
    _looked_at: float = float("-inf")
    _counted_uj: int = -1

    def devices(self) -> tuple[Device, ...]:
        """The node, where a source is configured, whether it answers or not."""
        if self._source is None:
            return ()
        return (Device(_key(self._source), "node", How.MEASURED, self._source.name),)

    def read(self) -> tuple[dict[str, int], dict[str, int]]:
        """The last answer that is not too old; of a counter, each value once, since it may move in steps."""
        self._look()
        source, asker = self._source, self._asker
        if source is None or asker is None:
            return {}, {}
        self.note = f"node: {source.name} {asker.problem}" if asker.problem else ""
        known = asker.last
        if known is None or self.monotonic() - known[0] > source.interval_s + source.timeout_s + _SLACK_S:
            return {}, {}
        key, value = _key(source), known[1]
        if not source.counts:
            return {}, {key: value}
        if value == self._counted_uj:
            return {}, {}
        self._counted_uj = value
        return {key: value}, {}

    def close(self) -> None:
        """Asks no more."""
        if self._asker:
            self._asker.end()
        self._asker = None

    def _look(self) -> None:
        """Takes over another source, or none; the file is looked at now and then."""
        now = self.monotonic()
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        source = node_source.read(self.readings)
        if source != self._source:
            self.close()
            self._source, self.note, self._counted_uj = source, "", -1
            self._asker = _Asker(source, self.monotonic) if source else None
            if self._asker:
                atexit.register(self._asker.end)  # a command that hangs is not left behind
                self._asker.start()


def _key(source: NodeSource) -> str:
    return f"node:{source.name}"


@dataclass(slots=True)
class _Asker:
    """A thread that asks the source every interval, and keeps the last answer with its instant."""

    source: NodeSource
    monotonic: Callable[[], float]
    last: tuple[float, int] | None = None
    problem: str = ""
    process: subprocess.Popen[bytes] | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begins; the thread ends with the process or soon after `over` is set."""
        threading.Thread(target=self._run, name="node", daemon=True).start()

    def end(self) -> None:
        """Asks no more, and ends a command that is under way."""
        self.over.set()
        process = self.process
        if process and process.returncode is None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)

    def _began(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        if self.over.is_set():  # meanwhile
            self.end()

    def _run(self) -> None:
        while not self.over.is_set():
            began = self.monotonic()
            try:
                self.last, self.problem = (self.monotonic(), answer(self.source, self._began)), ""
            except NoAnswerError as error:
                self.problem = str(error)
            except Exception as error:  # whatever a node's meter does, the host's goes on
                self.problem = f"cannot be read: {error!r}"
            self.over.wait(max(0.1, self.source.interval_s - (self.monotonic() - began)))


def _run(source: NodeSource, started: Callable[[subprocess.Popen[bytes]], None]) -> str:
    """What the command prints; it and all that it started are ended after `timeout_s`."""
    try:
        process = subprocess.Popen(
            source.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
    except OSError as error:
        raise NoAnswerError(f"cannot be run: {error}") from error
    started(process)
    deadline = time.monotonic() + source.timeout_s
    with process:
        try:
            said, errors = _outputs(process, deadline)
            process.wait(max(0.01, deadline - time.monotonic()))
        except (NoAnswerError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGKILL)
            raise NoAnswerError(f"did not come to an end within {source.timeout_s:g} s") from None
    if process.returncode:
        told = " ".join(errors.decode(errors="replace").split())[:200]
        raise NoAnswerError(f"failed with exit code {process.returncode}" + (f": {told}" if told else ""))
    return said.decode(errors="replace")


def _outputs(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """What it writes until it closes both pipes; a flood is no better than a hang."""
    said = {pipe: b"" for pipe in (process.stdout, process.stderr) if pipe}
    with selectors.DefaultSelector() as open_pipes:
        for pipe in said:
            open_pipes.register(pipe, selectors.EVENT_READ)
        while open_pipes.get_map():
            ready = open_pipes.select(max(0.0, deadline - time.monotonic()))
            if not ready or max(len(text) for text in said.values()) > _MOST_BYTES:
                raise NoAnswerError("too late or too much")
            for key, _ in ready:
                part = os.read(key.fd, 65_536)
                said[cast("IO[bytes]", key.fileobj)] += part
                if not part:
                    open_pipes.unregister(key.fileobj)
    out, err = said.values()
    return out, err


def _fetch(source: NodeSource) -> str:
    """The body at the URL, without proxies and without following it elsewhere; within `timeout_s`."""
    import http.client
    import ssl
    from urllib import error, request

    class Here(request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            """Nowhere else: the password is for this host."""

    asked = request.Request(source.url, headers={"Accept": "application/json"})  # noqa: S310 - checked: http(s)
    if source.user:
        pair = f"{source.user}:{_password(source.password_file)}".encode()
        asked.add_header("Authorization", "Basic " + base64.b64encode(pair).decode())
    deadline = time.monotonic() + source.timeout_s
    try:
        trusted = ssl.create_default_context(cafile=source.ca_file or None)
        opener = request.build_opener(request.ProxyHandler({}), request.HTTPSHandler(context=trusted), Here)
        with opener.open(asked, timeout=source.timeout_s) as reply:
            body = b""
            while part := reply.read1(65_536):
                body += part
                if len(body) > _MOST_BYTES:
                    raise NoAnswerError(f"answers more than {_MOST_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise NoAnswerError(f"did not answer within {source.timeout_s:g} s")
    except error.HTTPError as refused:
        refused.close()
        raise NoAnswerError(f"answers HTTP {refused.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as failed:
        reason = getattr(failed, "reason", failed)
        late = isinstance(reason, TimeoutError)
        said = f"did not answer within {source.timeout_s:g} s" if late else f"cannot be reached: {reason}"
        raise NoAnswerError(said) from None
    return body.decode(errors="replace")


def _password(path: str) -> str:
    """The first line of the file, which must be its owner's alone."""
    try:
        if Path(path).stat().st_mode & 0o077:
            raise NoAnswerError(f"was not asked: others may read {path}: chmod 600 {path}")
        return Path(path).read_text().splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise NoAnswerError(f"was not asked: no password in {path!r}: {error}") from None
