"""A backend in memory, for tests: its attempts do what they are told, on a clock that the test passes in."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, PauseMode, Phase, StopReason
from tidewatt.backends.fake_readings import FakeMeter
from tidewatt.backends.fake_run import FakeRun
from tidewatt.backends.fake_script import Leg, Script, Told

__all__ = ["FakeBackend", "FakeMeter", "Leg", "Script", "Told"]


@dataclass(slots=True)
class FakeBackend:
    """Attempts that only exist in this object. `now_ms` is its clock.

    `scripts` say what becomes of an attempt by its id, `script` of all others. `failing`, where set, is
    raised by every call but `status`. `submitted` lists every accepted submit, repetitions too, `signalled`
    every signal. A `meter` writes what the attempts draw whenever `status` is asked for.
    """

    now_ms: Callable[[], int]
    script: Script = Script()  # noqa: RUF009 - frozen
    scripts: dict[str, Script] = field(default_factory=dict)
    failing: BackendError | None = None
    meter: FakeMeter | None = None
    submitted: list[Launch] = field(default_factory=list)
    signalled: list[tuple[str, str]] = field(default_factory=list)
    _attempts: dict[Path, FakeRun] = field(default_factory=dict)
    _poisoned: dict[Path, str] = field(default_factory=dict)
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def submit(self, launch: Launch) -> None:
        """Accepts the attempt; it starts as its script says."""
        with self._working():
            self.submitted.append(launch)
            if launch.folder in self._attempts or launch.folder in self._poisoned:
                return
            script = self.scripts.get(launch.attempt_id, self.script)
            if script.refusal:
                self._poisoned[launch.folder] = script.refusal
                return
            run = self._attempts[launch.folder] = FakeRun(launch, script, self.now_ms())
            earlier = None if launch.resumes is None else self._attempts.get(launch.resumes)
            if earlier is not None and launch.attempt_id not in self.scripts:
                run.goes_on_from(earlier)

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """Each attempt as it stands at `now_ms`."""
        with self._guard:
            now_ms = self.now_ms()
            if self.meter is not None:
                self.meter.write(now_ms, [each.load(now_ms) for each in self._begun(now_ms)])
            for attempt in self._begun(now_ms):
                attempt.tell(now_ms)
            return {folder: self._status(folder) for folder in folders}

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Asks the attempt to end; one that has not started never will."""
        with self._working():
            attempt = self._attempts.get(folder)
            if attempt is None or not attempt.has_started(self.now_ms()):
                self._withdraw(folder, f"{reason} before it started")
            elif attempt.runs(self.now_ms()) and attempt.stopped is None:
                attempt.stop(reason, self.now_ms())

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """Asks a running attempt to stand still, or to save its work and end."""
        with self._working():
            self._known(folder).pause(mode, self.now_ms())

    def resume(self, folder: Path) -> None:
        """Lets an attempt that stands still go on."""
        with self._working():
            self._known(folder).resume(self.now_ms())

    def signal(self, folder: Path, name: str) -> None:
        """Notes the signal in `signalled`; nothing comes of it."""
        with self._working():
            self.signalled.append((self._known(folder).launch.attempt_id, name))

    def _known(self, folder: Path) -> FakeRun:
        if folder not in self._attempts:
            raise BackendError(f"there is no attempt in {folder}")
        return self._attempts[folder]

    def poison(self, folder: Path) -> bool:
        """Makes sure that an attempt which has not started never will; False where it had already started."""
        with self._working():
            attempt = self._attempts.get(folder)
            if attempt is not None and attempt.has_started(self.now_ms()):
                return False
            self._withdraw(folder, "withdrawn before it started")
            return True

    def logs(self, _folder: Path, _offset: int = 0, _limit: int = 1_000_000) -> bytes:
        """No attempt here has output."""
        return b""

    def processes(self, _folder: Path) -> frozenset[int]:
        """No attempt here has processes."""
        return frozenset()

    def started(self) -> tuple[str, ...]:
        """The attempts that have started by now, in the order of their submission."""
        with self._guard:
            return tuple(attempt.launch.attempt_id for attempt in self._begun(self.now_ms()))

    def _begun(self, now_ms: int) -> list[FakeRun]:
        return [attempt for attempt in self._attempts.values() if attempt.has_started(now_ms)]

    def _withdraw(self, folder: Path, reason: str) -> None:
        self._attempts.pop(folder, None)
        self._poisoned.setdefault(folder, reason)

    def _status(self, folder: Path) -> AttemptStatus:
        if folder in self._poisoned:
            return AttemptStatus(Phase.POISONED, reason=self._poisoned[folder])
        attempt = self._attempts.get(folder)
        if attempt is None:
            return AttemptStatus(Phase.LAUNCHING, reason="not submitted yet")
        return attempt.status(self.now_ms())

    def _working(self) -> threading.RLock:
        if self.failing is not None:
            raise self.failing
        return self._guard
