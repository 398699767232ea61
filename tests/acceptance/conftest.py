"""A house to test in: the real daemon and the real command line, in a state folder of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tidewatt.scheduler.client import Client
from tidewatt.scheduler.paths import paths

COMMAND = Path(sys.executable).parent / "tidewatt"
PATIENCE_S = 60.0


class House:
    """One state folder, and the commands that a person would type there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.work = folder / "work"
        self.work.mkdir(exist_ok=True)
        self.environ = {**os.environ, "TZ": "UTC", "NO_COLOR": "1"}
        self.command = COMMAND

    def tidewatt(
        self, *args: str, timeout_s: float = PATIENCE_S, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """What the command printed, and its exit code."""
        options: dict[str, Any] = {"cwd": self.work, "env": self.environ, "timeout": timeout_s} | more
        return subprocess.run(
            [str(COMMAND), *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options
        )

    def ask(self, *args: str, **more: Any) -> Any:
        """The JSON that a command prints; it must succeed."""
        done = self.tidewatt(*args[:1], "--json", *args[1:], **more)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def up(self, *args: str, config: str = "") -> None:
        """Starts the daemon, with a configuration where one is given."""
        if config:
            (self.folder / "config.toml").write_text(config, encoding="utf-8")
        done = self.tidewatt("up", *self.flags, *args)
        assert done.returncode == 0, done.stderr

    @property
    def flags(self) -> tuple[str, ...]:
        """What `up` needs to find the house's configuration."""
        file = self.folder / "config.toml"
        return ("--config", str(file)) if file.exists() else ()

    def client(self) -> Client:
        """The daemon, asked directly."""
        return Client(paths(self.environ).socket)

    def daemon_pid(self) -> int:
        """The daemon's process."""
        return int((self.home / "daemon.lock").read_text())

    def kill_daemon(self) -> None:
        """What a power cut does to it."""
        os.kill(self.daemon_pid(), signal.SIGKILL)

    def job(self, job_id: int) -> Any:
        """One job with its history; asked without a command, each of which starts a Python."""
        return self.client().job(job_id)

    def ended(self, job_id: int, within_s: float = PATIENCE_S) -> Any:
        """The job, once it has ended, as `show` tells it."""
        self.until(lambda: self.job(job_id)["state"] in {"done", "failed", "cancelled"}, within_s, 0.1)
        return self.ask("show", str(job_id))

    def until(self, look: Callable[[], Any], within_s: float = PATIENCE_S, every_s: float = 0.05) -> Any:
        """What `look` returns, once it returns something."""
        stop = time.monotonic() + within_s
        while not (found := look()):
            assert time.monotonic() < stop, f"waited {within_s:g} s in vain; {self.log()[-3000:]}"
            time.sleep(every_s)
        return found

    def log(self) -> str:
        """The daemon's log so far."""
        file = self.home / "log" / "daemon.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """Everything that was started in this house and still runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TIDEWATT_HOME") == str(self.home) and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def close(self) -> None:
        """Ends what was started here, by its own state folder's name."""
        for _ in range(3):  # a supervisor may be starting something just now
            for process in self.processes():
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(self.processes(), timeout=5)


@pytest.fixture
def house(own_home: Path) -> Iterator[House]:
    """A house without a daemon yet."""
    made = House(own_home)
    yield made
    made.close()
