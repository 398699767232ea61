"""A stage for backends: the same stories are told with real processes and with the one in memory."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from tidewatt.backends import claim, durable
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, Backend, Launch, Phase, Withdraw
from tidewatt.backends.fake import FakeBackend, Script
from tidewatt.backends.local import LocalBackend
from tidewatt.backends.processes import Tree

PATIENCE_S = 30.0
T = TypeVar("T")


class HostBackend(Backend, Withdraw, Protocol):
    """Runs attempts, and can tell at once whether one has started."""


@dataclass
class Stage:
    """Launches attempts below `root` and waits for what becomes of them."""

    backend: HostBackend
    root: Path
    pass_time: Callable[[], None]
    folders: list[Path] = field(default_factory=list)

    def launch(self, *argv: str, attempt_id: str = "1.1", **more: Any) -> Launch:
        folder = self.root / "jobs" / attempt_id.replace(".", "/")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folders.append(folder)
        out = self.root / f"{attempt_id}.out"
        given: dict[str, Any] = {"cwd": self.root, "environment_file": None, "stdout": out, "stderr": out}
        return Launch(attempt_id, folder, argv, **(given | more))

    def submit(self, *argv: str, **more: Any) -> Path:
        launch = self.launch(*argv, **more)
        self.backend.submit(launch)
        return launch.folder

    def job(
        self,
        runs_s: float = 0.0,
        code: int = 0,
        heeds_stop: bool = True,
        attempt_id: str = "1.1",
        **more: Any,
    ) -> Launch:
        """A job that behaves as said, on either backend."""
        if isinstance(self.backend, FakeBackend):
            stops_after_s = 0.0 if heeds_stop else None
            self.backend.scripts[attempt_id] = Script(
                runs_s=runs_s, exit_code=code, stops_after_s=stops_after_s
            )
        trap = "" if heeds_stop else "trap '' TERM; "
        return self.launch(
            "sh", "-c", f"{trap}echo ready; sleep {runs_s}; exit {code}", attempt_id=attempt_id, **more
        )

    def status(self, folder: Path) -> AttemptStatus:
        return self.backend.status([folder])[folder]

    def until(self, folder: Path, *phases: Phase) -> AttemptStatus:
        """The attempt's status once it is in one of these phases."""
        return self.see(folder, lambda status: status.phase in phases)

    def running(self, folder: Path) -> AttemptStatus:
        """Its status once a `job` runs and has set itself up."""
        status = self.until(folder, Phase.RUNNING)
        if isinstance(self.backend, LocalBackend):
            self.await_output("ready", f"{folder.parent.name}.{folder.name}")
        return status

    def see(self, folder: Path, told: Callable[[AttemptStatus], bool]) -> AttemptStatus:
        deadline = time.monotonic() + PATIENCE_S
        while not told(status := self.status(folder)):
            assert time.monotonic() < deadline, f"still {status}; {_log(folder)}"
            self.pass_time()
        return status

    def ended(self, folder: Path) -> AttemptStatus:
        return self.until(folder, Phase.ENDED, Phase.POISONED)

    def output(self, attempt_id: str = "1.1") -> str:
        return (self.root / f"{attempt_id}.out").read_text()

    def await_output(self, text: str, attempt_id: str = "1.1") -> None:
        """Returns when the job has written `text`."""
        path = self.root / f"{attempt_id}.out"
        until(lambda: path.exists() and text in path.read_text())

    def kill_supervisor(self, folder: Path) -> int:
        """SIGKILL to the supervisor that works now; returns its pid."""
        supervisor = until(Attempt(folder).supervisor)
        assert supervisor is not None
        supervisor.send(signal.SIGKILL)
        until(lambda: not supervisor.alive())
        return supervisor.pid


def until(look: Callable[[], T]) -> T:
    """The first true answer of `look`."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := look()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.01)
    return answer


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Stage]:
    """Real processes; whatever a test leaves running is killed."""
    tmp_path.chmod(0o755)
    stage = Stage(LocalBackend(), tmp_path, lambda: time.sleep(0.02))
    yield stage
    for folder in stage.folders:
        _clear(folder)


@pytest.fixture
def fake(tmp_path: Path) -> Stage:
    """No processes: its clock goes on by a tenth of a second whenever a story waits."""
    now_ms = [1_700_000_000_000]

    def pass_time() -> None:
        now_ms[0] += 100

    return Stage(FakeBackend(lambda: now_ms[0]), tmp_path, pass_time)


@pytest.fixture(params=["local", "fake"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Every implementation in turn."""
    found: Stage = request.getfixturevalue(request.param)
    return found


def _clear(folder: Path) -> None:
    """Kills supervisor and job; the poison keeps a supervisor that is just starting from starting the job."""
    attempt = Attempt(folder)
    with contextlib.suppress(OSError, durable.CorruptError):
        claim.poison(folder, "the test is over")
        if (supervisor := attempt.supervisor()) is not None:
            supervisor.send(signal.SIGKILL)
        taken = claim.read(folder)
        if taken is not None and taken.process is not None:
            Tree(taken.process, folder).signal(signal.SIGKILL)


def _log(folder: Path) -> str:
    log = Attempt(folder).log
    return log.read_text() if log.exists() else "no log"
