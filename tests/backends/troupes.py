"""This host and the fakes, as the stories play on them."""

import contextlib
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.backends.stage import PATIENCE_S, Part, RealJobs, Stage, until
from tidewatt.backends import claim, durable
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import BackendError
from tidewatt.backends.fake import FakeBackend, Script
from tidewatt.backends.fake_cluster import FakeCluster
from tidewatt.backends.fake_engine import FakeEngine
from tidewatt.backends.local import LocalBackend
from tidewatt.backends.processes import Tree

_NO_LINE = "there is no line that could fail between the daemon and this backend"
_FAULTS = ("timeout", "loss", "hide", "reuse", "down")


class Faultless:
    """For backends without a line to their engine."""

    region = "local"
    patience_s = PATIENCE_S

    def mute(self) -> None:
        raise NotImplementedError

    def lose(self) -> None:
        raise NotImplementedError

    def hide(self) -> None:
        raise NotImplementedError

    def vanish(self, _folder: Path) -> None:
        raise NotImplementedError

    def reuse(self, _folder: Path) -> None:
        raise NotImplementedError

    def restart(self) -> None:
        raise NotImplementedError

    def down(self, *, yes: bool) -> None:
        raise NotImplementedError


@dataclass
class HostTroupe(RealJobs, Faultless):
    """Real processes of this host."""

    backend: LocalBackend = field(default_factory=LocalBackend)
    lacks: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys((*_FAULTS, "vanish"), _NO_LINE))

    def pass_time(self) -> None:
        time.sleep(0.02)

    def restart(self) -> None:
        self.backend = LocalBackend()


@dataclass
class FakeTroupe(Faultless):
    """No processes: the clock goes on by a tenth of a second whenever a story waits."""

    now_ms: int = 1_700_000_000_000
    lacks: Mapping[str, str] = field(
        default_factory=lambda: (
            dict.fromkeys((*_FAULTS, "vanish"), _NO_LINE)
            | {"restart": "it is in memory", "logs": "nothing is written"}
        )
    )

    def __post_init__(self) -> None:
        self.backend = FakeBackend(lambda: self.now_ms)

    def play(self, part: Part, attempt_id: str, _evidence: Path) -> tuple[str, ...]:
        self.backend.scripts[attempt_id] = script(part)
        return ("sleep", str(part.runs_s))

    def copies(self, attempt_id: str, _evidence: Path) -> int:
        return self.backend.started().count(attempt_id)

    def ready(self, _attempt_id: str, _output: Path) -> bool:
        return True

    def pass_time(self) -> None:
        self.now_ms += 100


@dataclass
class ClusterTroupe:
    """The fake engine: a cluster in memory, and a line to it that fails as told."""

    kind: type[FakeEngine] = FakeEngine
    region: str = "fake"
    patience_s: float = PATIENCE_S
    now_ms: int = 1_700_000_000_000
    lacks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(lambda: self.now_ms, highest=3)
        self._faults: dict[str, object] = {}
        self.restart()

    def restart(self) -> None:
        self.backend = self.kind(self.cluster, visible_within_s=5.0)

    def play(self, part: Part, attempt_id: str, _evidence: Path) -> tuple[str, ...]:
        self.cluster.scripts[attempt_id] = script(part)
        self.backend.output[attempt_id] = b"ready\n"
        return ("sleep", str(part.runs_s))

    def copies(self, attempt_id: str, _evidence: Path) -> int:
        return [run.launch.attempt_id for run in self.cluster.begun].count(attempt_id)

    def ready(self, _attempt_id: str, _output: Path) -> bool:
        return True

    def pass_time(self) -> None:
        self.now_ms += 100

    def mute(self) -> None:
        self._with(mutes=True)

    def lose(self) -> None:
        self._with(loses=True)

    def hide(self) -> None:
        self._with(hidden_s=2.0)

    def vanish(self, _folder: Path) -> None:
        for number, job in tuple(self.cluster.jobs.items()):
            if job.run is not None:
                del self.cluster.jobs[number]

    def reuse(self, folder: Path) -> None:
        number = (durable.read(folder / "engine.json") or {})["number"]
        launch = Attempt(folder).launch()
        assert launch is not None
        others = replace(launch, attempt_id="9.1", token="tw-00000000-9-1", folder=folder.parent / "others")
        others.folder.mkdir()
        del self.cluster.jobs[number]
        while number not in self.cluster.jobs:
            self.cluster.submit(others)

    def down(self, *, yes: bool) -> None:
        self.cluster.down = BackendError("no answer came within 10 s", transient=True) if yes else None

    def _with(self, **fault: object) -> None:
        for attempt_id, each in self.cluster.scripts.items():
            self.cluster.scripts[attempt_id] = replace(each, **fault)  # type: ignore[arg-type]


def script(part: Part) -> Script:
    """The same for fakes."""
    stops_after_s = 0.0 if part.heeds else None
    return Script(
        runs_s=part.runs_s,
        exit_code=part.code,
        stops_after_s=stops_after_s,
        stop_exit_code=part.stop_code,
    )


def clear(folder: Path) -> None:
    """Kills supervisor and job; the poison keeps a supervisor that is just starting from starting the job."""
    attempt = Attempt(folder)
    with contextlib.suppress(OSError, durable.CorruptError):
        claim.poison(folder, "the test is over")
        if (supervisor := attempt.supervisor()) is not None:
            supervisor.send(signal.SIGKILL)
        taken = claim.read(folder)
        if taken is not None and taken.process is not None:
            Tree(taken.process, folder).signal(signal.SIGKILL)


class HostStage(Stage):
    """A stage on this host, whose processes can be killed."""

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
