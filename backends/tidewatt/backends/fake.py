"""A backend in memory, for tests: its attempts do what they are told, on a clock that the test passes in."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, Phase, StopReason
from tidewatt.backends.fake_readings import FakeMeter, Load
from tidewatt.backends.fake_script import Leg, Script, Told

__all__ = ["FakeBackend", "FakeMeter", "Leg", "Script", "Told"]


@dataclass(slots=True)
class FakeBackend:
    """Attempts that only exist in this object. `now_ms` is its clock.

    `scripts` say what becomes of an attempt by its id, `script` of all others. `failing`, where set, is
    raised by every call but `status`. `submitted` lists every accepted submit, repetitions too. A `meter`
    writes what the attempts draw whenever `status` is asked for.
    """

    now_ms: Callable[[], int]
    script: Script = Script()  # noqa: RUF009 - frozen
    scripts: dict[str, Script] = field(default_factory=dict)
    failing: BackendError | None = None
    meter: FakeMeter | None = None
    submitted: list[Launch] = field(default_factory=list)
    _attempts: dict[Path, "_Attempt"] = field(default_factory=dict)
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
            self._attempts[launch.folder] = _Attempt(launch, script, self.now_ms())

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

    def _begun(self, now_ms: int) -> list["_Attempt"]:
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


@dataclass(slots=True)
class _Attempt:
    launch: Launch
    script: Script
    submitted_ms: int
    stopped: StopReason | None = None
    stops_ms: int = 0
    killed: bool = False
    told: bool = False

    def starts_ms(self) -> int:
        return self.submitted_ms + round(self.script.starts_after_s * 1000)

    def has_started(self, now_ms: int) -> bool:
        return now_ms >= self.starts_ms()

    def natural_end_ms(self) -> int:
        return self.starts_ms() + round(self.script.lasts_s * 1000)

    def stop(self, reason: StopReason, at_ms: int) -> None:
        self.stopped = reason
        self.killed = self.script.stops_after_s is None
        after_s = self.launch.grace_s if self.script.stops_after_s is None else self.script.stops_after_s
        self.stops_ms = at_ms + round(after_s * 1000)

    def ends_ms(self) -> int:
        ends = self.natural_end_ms()
        return min(ends, self.stops_ms) if self.stopped is not None else ends

    def runs(self, now_ms: int) -> bool:
        self._limit(now_ms)
        return now_ms < self.ends_ms()

    def status(self, now_ms: int) -> AttemptStatus:
        if self.script.unknown:
            return AttemptStatus(Phase.UNKNOWN, reason=self.script.unknown)
        if not self.has_started(now_ms):
            return AttemptStatus(Phase.LAUNCHING)
        if not self.runs(now_ms):
            return self._ended()
        moves = self.script.moves(self.starts_ms(), now_ms + 1)
        phase = moves[-1].phase if moves else Phase.RUNNING
        return AttemptStatus(phase, started_ms=self.starts_ms(), warnings=self.script.warnings, moves=moves)

    def load(self, now_ms: int) -> Load:
        """What the meter sees of it by now."""
        self._limit(now_ms)
        legs = tuple(self.script.timed(self.starts_ms()))
        return Load(self.launch.attempt_id, self.launch.gpu_uuids, self.starts_ms(), self.ends_ms(), legs)

    def tell(self, now_ms: int) -> None:
        """Once it has ended: leaves what its training script told."""
        if self.script.told is None or self.told or self.runs(now_ms):
            return
        self.told = True
        marks = Attempt(self.launch.folder).marks
        self.script.told.write(marks, self.launch.clock, self.starts_ms(), self.ends_ms())

    def _limit(self, now_ms: int) -> None:
        limit_s = self.launch.time_limit_s
        if limit_s is None or self.stopped is not None:
            return
        limit_ms = self.starts_ms() + round(limit_s * 1000)
        if now_ms >= limit_ms and limit_ms < self.natural_end_ms():
            self.stop(StopReason.TIME_LIMIT, limit_ms)

    def _ended(self) -> AttemptStatus:
        code, number, reason = self.script.exit_code, self.script.signal, self.script.reason
        paused = self.stopped is None and self.script.ends_paused
        if self.stopped is not None:
            code = None if self.killed else self.script.stop_exit_code
            number = 9 if self.killed else 15 if code is None else None
            reason = f"stopped: {self.stopped}"
        elif paused:
            reason = reason or "paused"
        elif code is None and number is None and not reason:
            reason = "exit status lost"
        return AttemptStatus(
            Phase.ENDED,
            started_ms=self.starts_ms(),
            ended_ms=self.ends_ms(),
            exit_code=code,
            signal=number,
            reason=reason,
            warnings=self.script.warnings,
            stopped=StopReason.PAUSED if paused else self.stopped,
            moves=self.script.moves(self.starts_ms(), self.ends_ms()),
        )
