"""A real PostgreSQL server on loopback, below one folder, gone when the test is over."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LIBRARY = Path("/usr/lib/postgresql")  # where Debian keeps each version's own commands
PATIENCE_S = 20.0
OWNER = "postgres"  # the server refuses to run as root


def commands() -> Path | None:
    """The folder of the newest server's commands; None where there is none."""
    found = sorted(LIBRARY.glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@dataclass
class Server:
    """A server below `folder`, whose parents others may enter; by default its disk is never waited for."""

    folder: Path
    port: int = 0
    settings: str = "-c fsync=off"

    def up(self) -> "Server":
        """Makes the databases' folder and starts the server."""
        bin_ = commands()
        assert bin_ is not None
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, OWNER)
        data = self.folder / "data"
        if not data.exists():
            self._run(
                str(bin_ / "initdb"), "-D", str(data), "-A", "trust", "-U", OWNER, "--no-sync", "-E", "UTF8",
                "--locale=C.UTF-8",
            )  # fmt: skip
        self.port = self.port or _free_port()
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} {self.settings}"
        log = str(self.folder / "log")
        self._run(str(bin_ / "pg_ctl"), "-D", str(data), "-w", "-l", log, "-o", options, "start")
        return self

    def down(self, mode: str = "immediate") -> None:
        """Stops it, by default as a power cut does."""
        bin_ = commands()
        assert bin_ is not None
        with suppress(subprocess.CalledProcessError):
            self._run(str(bin_ / "pg_ctl"), "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        self._run(
            "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", OWNER, "-c", f"create database {name}"
        )
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{name}"

    def _run(self, *command: str) -> None:
        as_owner = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups"]
        words = [*as_owner, *command] if os.geteuid() == 0 else [*command]
        done = subprocess.run(
            words, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, stderr=done.stderr)


@contextmanager
def ground() -> Iterator[Path]:
    """A folder that the server's user may enter: pytest's own are for nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs meanwhile."""
    with ground() as folder:
        found = Server(folder / "server").up()
        try:
            yield found
        finally:
            found.down()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Returns when the server listens."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
