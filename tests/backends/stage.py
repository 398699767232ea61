"""A stage for backends: the same stories are told on each of them, with real jobs or with fakes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, Launch, Phase

T = TypeVar("T")
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Part:
    """What a job of a story does: it runs so long and ends with `code`.

    At a stop signal it ends by it; where it does not `heed` it goes on, and with a `stop_code` it ends so.
    """

    runs_s: float = 0.0
    code: int = 0
    heeds: bool = True
    stop_code: int | None = None

    def script(self, evidence: Path) -> tuple[str, ...]:
        """The command that does this; each copy that runs adds a line to the file of evidence."""
        trap = "" if self.stop_code is None else f"trap 'exit {self.stop_code}' TERM; "
        trap = trap if self.heeds else "trap '' TERM; "
        # a shell runs its trap only between commands: it waits for one in the background instead
        sleep = f"sleep {self.runs_s} & wait $!" if self.stop_code is not None else f"sleep {self.runs_s}"
        return ("sh", "-c", f"{trap}echo x >> {evidence}; echo ready; {sleep}; exit {self.code}")


class Troupe(Protocol):
    """One kind of backend, as the stories play on it: all that differs from one to another.

    `lacks` says of a feature or a fault why there is none here ("reuse": "ids are UUIDs"); its stories are
    skipped with that reason. Known are `timeout`, `loss`, `hide`, `vanish`, `reuse`, `restart`, `down`,
    `limit`, `logs`, `grace`, `early stop`.
    """

    region: str
    lacks: Mapping[str, str]
    patience_s: float

    @property
    def backend(self) -> Any:
        """The backend that is on the stage; another one after `restart`."""
        ...

    def play(self, part: Part, attempt_id: str, evidence: Path) -> tuple[str, ...]:
        """The command of a job that does this; a fake is told of it."""
        ...

    def copies(self, attempt_id: str, evidence: Path) -> int:
        """How many copies of an attempt have begun, by the evidence of the jobs themselves."""
        ...

    def ready(self, attempt_id: str, output: Path) -> bool:
        """Whether a job that is seen running has set itself up: its output says `ready`."""
        ...

    def pass_time(self) -> None:
        """Waits for a moment; a fake's clock goes on."""
        ...

    def mute(self) -> None:
        """The next submit reaches the engine, but its answer does not come back."""
        ...

    def lose(self) -> None:
        """The next submit does not reach the engine, and nobody says so."""
        ...

    def hide(self) -> None:
        """What the next submit brings is found by nobody for a little while (with `mute`)."""
        ...

    def vanish(self, folder: Path) -> None:
        """The engine forgets all of this attempt, and its processes end."""
        ...

    def reuse(self, folder: Path) -> None:
        """The engine has forgotten this ended attempt; its id belongs to a job of somebody else's now."""
        ...

    def restart(self) -> None:
        """Engine and backend begin anew on what they have kept; jobs go on."""
        ...

    def down(self, *, yes: bool) -> None:
        """The engine does not answer any more, or does again."""
        ...


class RealJobs:
    """A troupe's jobs that really run, and tell of it themselves."""

    def play(self, part: Part, _attempt_id: str, evidence: Path) -> tuple[str, ...]:
        return part.script(evidence)

    def copies(self, _attempt_id: str, evidence: Path) -> int:
        return lines(evidence)

    def ready(self, _attempt_id: str, output: Path) -> bool:
        return output.exists() and "ready" in output.read_text()


@dataclass
class Stage:
    """Launches attempts below `root` and waits for what becomes of them."""

    troupe: Troupe
    root: Path
    folders: list[Path] = field(default_factory=list)

    @property
    def backend(self) -> Any:
        """The backend, with whatever verbs it has."""
        return self.troupe.backend

    def launch(self, *argv: str, attempt_id: str = "1.1", **more: Any) -> Launch:
        """A launch of this command, its folder made."""
        folder = self.root / "jobs" / attempt_id.replace(".", "/")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folders.append(folder)
        out = self.root / f"{attempt_id}.out"
        given: dict[str, Any] = {
            "cwd": self.root,
            "environment_file": None,
            "stdout": out,
            "stderr": out,
            "token": f"tw-{abs(hash(str(self.root))) % 16**8:08x}-{attempt_id.replace('.', '-')}",
            "region": self.troupe.region,
            "name": "story",
        }
        return Launch(attempt_id, folder, argv, **(given | more))

    def submit(self, *argv: str, **more: Any) -> Path:
        """Launches this command."""
        launch = self.launch(*argv, **more)
        self.backend.submit(launch)
        return launch.folder

    def job(
        self,
        runs_s: float = 0.0,
        code: int = 0,
        heeds_stop: bool = True,
        stop_code: int | None = None,
        attempt_id: str = "1.1",
        **more: Any,
    ) -> Launch:
        """A job that behaves as said, on any backend; not submitted yet."""
        part = Part(runs_s, code, heeds_stop, stop_code)
        argv = self.troupe.play(part, attempt_id, self._evidence(attempt_id))
        return self.launch(*argv, attempt_id=attempt_id, **more)

    def copies(self, attempt_id: str = "1.1") -> int:
        """How many copies of it have begun."""
        return self.troupe.copies(attempt_id, self._evidence(attempt_id))

    def needs(self, *features: str) -> None:
        """Skips a story that cannot happen here."""
        for feature in features:
            if reason := self.troupe.lacks.get(feature):
                pytest.skip(f"{feature}: {reason}")

    def status(self, folder: Path) -> AttemptStatus:
        """The attempt's status now."""
        found: AttemptStatus = self.backend.status([folder])[folder]
        return found

    def until(self, folder: Path, *phases: Phase) -> AttemptStatus:
        """The attempt's status once it is in one of these phases."""
        return self.see(folder, lambda status: status.phase in phases)

    def running(self, folder: Path) -> AttemptStatus:
        """Its status once a `job` runs and has set itself up."""
        status = self.until(folder, Phase.RUNNING)
        attempt_id = f"{folder.parent.name}.{folder.name}"
        self.wait(lambda: self.troupe.ready(attempt_id, self.root / f"{attempt_id}.out"))
        return status

    def see(self, folder: Path, told: Callable[[AttemptStatus], bool]) -> AttemptStatus:
        """Its status once that is so."""
        deadline = time.monotonic() + self.troupe.patience_s
        while not told(status := self.status(folder)):
            assert time.monotonic() < deadline, f"still {status}; {_log(folder)}"
            self.troupe.pass_time()
        return status

    def ended(self, folder: Path) -> AttemptStatus:
        """Its status once it is over."""
        return self.until(folder, Phase.ENDED, Phase.POISONED)

    def wait(self, look: Callable[[], T]) -> T:
        """The first true answer of `look`, while time passes here."""
        deadline = time.monotonic() + self.troupe.patience_s
        while not (answer := look()):
            assert time.monotonic() < deadline, "nothing came of it"
            self.troupe.pass_time()
        return answer

    def output(self, attempt_id: str = "1.1") -> str:
        """What the job has written."""
        return (self.root / f"{attempt_id}.out").read_text()

    def _evidence(self, attempt_id: str) -> Path:
        return self.root / f"{attempt_id}.ran"


def lines(evidence: Path) -> int:
    """How many copies have left their line there."""
    return len(evidence.read_text().splitlines()) if evidence.exists() else 0


def until(look: Callable[[], T]) -> T:
    """The first true answer of `look`."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := look()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.01)
    return answer


def _log(folder: Path) -> str:
    log = Attempt(folder).log
    return log.read_text() if log.exists() else "no log"
