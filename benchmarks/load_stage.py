"""A daemon of its own for loads: its state folder, its database, and requests as bare HTTP on its socket."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from tests.postgresql.server import Server
from tidewatt.backends.clock import Clock, time_ms
from tidewatt.scheduler.client import Client
from tidewatt.scheduler.daemon.lifetime import remembered
from tidewatt.scheduler.paths import Paths, paths
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.address import parsed

TIDEWATT = str(Path(sys.executable).parent / "tidewatt")
BEGIN = "2022-06-15T20:00:00+00:00"  # an evening: the clean hours of the built-in profile lie ahead
CPUS = 2_000  # of a region that never starts anything meanwhile
CONFIG = f"""
zone = "DE"
{{database}}
[[region]]
name = "local"
cpus = {CPUS}
"""


@dataclass
class Stage:
    """One state folder with its daemon. `url` is its database's, "" for a file."""

    folder: Path
    url: str = ""
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Makes the folder's configuration."""
        self.environ = {
            **os.environ, "TIDEWATT_HOME": f"{self.folder}/home", "TIDEWATT_LEASES": f"{self.folder}/leases",
            "XDG_RUNTIME_DIR": f"{self.folder}/run",
        }  # fmt: skip
        (self.folder / "run").mkdir(mode=0o700)
        database = f'database = "{self.url}"' if self.url else ""
        self.config.write_text(CONFIG.format(database=database), encoding="utf-8")
        self.paths.make()
        remembered(self.paths, Clock(Clock().now_ms(), time_ms(datetime.fromisoformat(BEGIN)), 1.0))

    @property
    def config(self) -> Path:
        """The configuration's path."""
        return self.folder / "config.toml"

    @property
    def paths(self) -> Paths:
        """Where everything of the daemon is."""
        return paths(self.environ)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store, while no daemon runs."""
        store = Store(parsed(self.url) if self.url else self.paths.database)
        try:
            yield store
        finally:
            store.close()

    def up(self) -> float:
        """Starts the daemon; returns how many seconds that took."""
        began = time.monotonic()
        words = [TIDEWATT, "up", "--config", str(self.config), "--replay-from", BEGIN]
        subprocess.run(words, env=self.environ, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began

    def down(self) -> None:
        """Ends the daemon."""
        subprocess.run([TIDEWATT, "down"], env=self.environ, check=False, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """What a power cut does to the daemon; returns when it is gone."""
        daemon = psutil.Process(self.pid)
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait(30)

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return int((self.paths.home / "daemon.lock").read_text())

    def memory_mb(self) -> float:
        """What the daemon holds in memory."""
        return float(psutil.Process(self.pid).memory_info().rss / 1e6)

    def cpu_s(self) -> float:
        """Processor time of the daemon so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def await_calm(self, calm_s: int = 4, longest_s: float = 300.0) -> float:
        """Returns when the daemon and its searches have done nothing for so long; how long that took."""
        began, calm, before = time.monotonic(), 0, -1.0
        while calm < calm_s and time.monotonic() - began < longest_s:
            time.sleep(1.0)
            now = self.cpu_s()
            for child in psutil.Process(self.pid).children(recursive=True):
                with suppress(psutil.Error):
                    now += sum(child.cpu_times()[:2])
            calm, before = calm + 1 if abs(now - before) < 0.1 else 0, now
        return max(0.0, time.monotonic() - began - calm)

    def client(self, timeout_s: float = 120.0) -> Client:
        """The daemon, asked as the command line does."""
        return Client(self.paths.socket, timeout_s)

    def end(self) -> None:
        """Ends all that was started here: the meter and a search outlive their daemon."""
        self.down()
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("TIDEWATT_HOME") == self.environ["TIDEWATT_HOME"]
                if ours and process.pid != os.getpid():
                    process.kill()
            except psutil.Error:
                continue


@contextmanager
def staged(database: str) -> Iterator[Stage]:
    """A stage with an empty store: in a file ("sqlite"), or in a server of its own ("postgresql")."""
    with tempfile.TemporaryDirectory(prefix="tw-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server's own user has to pass
        server = Server(folder / "pg", settings="-c max_wal_size=4GB") if database == "postgresql" else None
        stage = Stage(folder, "" if server is None else server.up().database("tidewatt"))
        try:
            yield stage
        finally:
            stage.end()
            if server is not None:
                server.down()


def request(method: str, path: str, body: Any = None, **headers: str) -> bytes:
    """One HTTP request, after which the connection is closed; a path without a `/` is below `/api/v1/`."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path if path.startswith('/') else f'/api/v1/{path}'} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
    ]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(data)}", "Content-Type: application/json"] if data else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


async def answered(socket: Path, asked: bytes) -> tuple[int, bytes]:
    """Status and body of the answer on a connection of its own."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=2**24)
    try:
        writer.write(asked)
        answer = await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1] if head else 0), body
