"""The demo's own Tidewatt: a temporary home, the real commands, and nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tidewatt.scheduler.demo.scenario import LOCAL
from tidewatt.scheduler.errors import SchedulerError

Json = dict[str, Any]
COMMAND_S = 60.0  # no command of the demo takes this long unless something is wrong
ENDING_S = 5.0  # for processes to end by themselves before they are killed


class DemoError(SchedulerError):
    """The demo cannot go on."""


class Stage:
    """A temporary folder with a home of its own, in which `tidewatt` commands are run; a context manager.

    Leaving it ends every process that was started in it, whatever happened, and removes the folder.
    """

    def __init__(self) -> None:
        # A Unix socket's path is short, a user's TMPDIR need not be.
        parent = tempfile.gettempdir() if len(tempfile.gettempdir()) <= 40 else "/tmp"  # noqa: S108 - mkdtemp
        self.folder = Path(tempfile.mkdtemp(prefix="tidewatt-demo-", dir=parent))
        self.home = self.folder / "home"
        self.work = self.folder / "work"
        self.environment = own_environment(self.folder)
        for part in ("home", "work", "run", "config", "leases"):
            (self.folder / part).mkdir(mode=0o700)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second Ctrl-C while tidying up must not leave processes behind.
        before = [
            (number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)
        ]
        try:
            self._end_processes()
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def tidewatt(self, *arguments: str) -> str:
        """What the command printed; raises DemoError with its own words where it fails."""
        done = subprocess.run(
            [sys.executable, "-c", "from tidewatt.scheduler.cli import main; main()", *arguments],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise DemoError(f"`tidewatt {arguments[0]}` failed: {said}")
        return done.stdout

    def ask(self, *arguments: str) -> Json:
        """The command's answer to `--json`."""
        verb, *rest = arguments
        answer: Json = json.loads(self.tidewatt(verb, "--json", *rest))
        return answer

    def log_tail(self, lines: int = 15) -> str:
        """The end of the daemon's log; empty where there is none."""
        with suppress(OSError):
            return "\n".join((self.home / "log" / "daemon.log").read_text().splitlines()[-lines:])
        return ""

    def processes(self) -> Iterator[int]:
        """Pids of all processes started in this stage: they carry its home in their environment."""
        mark = b"TIDEWATT_HOME=" + os.fsencode(self.home)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):  # ended meanwhile, or somebody else's
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        yield int(entry.name)

    def _end_processes(self) -> None:
        """Asks all of them to end, supervisors and daemon included, then kills what is left."""
        deadline = time.monotonic() + ENDING_S
        asked: set[int] = set()
        while left := set(self.processes()):
            number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
            for pid in left if number == signal.SIGKILL else left - asked:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            asked |= left
            time.sleep(0.05)


def own_environment(folder: Path) -> dict[str, str]:
    """The caller's environment, with Tidewatt's own folders below `folder` and the grid's local time."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATT_")}
    return kept | {
        "TIDEWATT_HOME": str(folder / "home"),
        "TIDEWATT_LEASES": str(folder / "leases"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "TZ": LOCAL.key,
    }


def examples() -> Path:
    """The folder with the recorded grid and the training script: beside this module, or in the checkout.

    Raises:
        DemoError: where it is in neither place.
    """
    installed = Path(__file__).parent / "examples"
    for folder in (installed, Path(__file__).parents[4] / "configs" / "examples"):
        if folder.is_dir():
            return folder
    raise DemoError(f"the demo's data are missing: {installed} is not there; install Tidewatt again")
