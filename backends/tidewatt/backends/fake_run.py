"""One attempt of a fake backend: what its script makes of it, told at any time that is asked for."""

import math
from dataclasses import dataclass, replace

from tidewatt.backends import fake_pausing
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, PauseMode, Phase, StopReason
from tidewatt.backends.fake_readings import Load
from tidewatt.backends.fake_script import Leg, Script


@dataclass(slots=True)
class FakeRun:
    """An attempt since `submitted_ms`; all times are on its launch's clock."""

    launch: Launch
    script: Script
    submitted_ms: int
    stopped: StopReason | None = None
    stops_ms: int = 0
    killed: bool = False
    told: bool = False
    restart_s: float = 0.0  # of its running, in which it makes no progress
    left_s: float = 0.0  # of work, when it was paused by checkpoint
    waits: tuple[Leg, ...] = ()  # what it has left while it stands still

    def starts_ms(self) -> int:
        return self.submitted_ms + round(self.script.starts_after_s * 1000)

    def has_started(self, now_ms: int) -> bool:
        return now_ms >= self.starts_ms()

    def natural_end_ms(self) -> int:
        return self.starts_ms() + round(min(self.script.lasts_s, self.taken_after_s) * 1000)

    @property
    def taken_after_s(self) -> float:
        """When the engine takes its place away, since its start; infinite where it does not."""
        after_s = self.script.preempted_after_s
        return math.inf if after_s is None else after_s

    def stop(self, reason: StopReason, at_ms: int) -> None:
        self.stopped = reason
        self.killed = self.script.stops_after_s is None
        after_s = self.launch.grace_s if self.script.stops_after_s is None else self.script.stops_after_s
        self.stops_ms = at_ms + round(after_s * 1000)

    def pause(self, mode: PauseMode, now_ms: int) -> None:
        """Stands still, or saves its work and ends.

        Raises:
            BackendError: It cannot be paused so, or does not run.
        """
        after_s = (now_ms - self.starts_ms()) / 1000
        if not self.has_started(now_ms) or not self.runs(now_ms) or self.stopped is not None:
            raise BackendError(f"attempt {self.launch.attempt_id} does not run")
        if fake_pausing.phase_at(self.script, after_s) is not Phase.RUNNING:
            return
        if mode is PauseMode.STOP:
            self.script, self.waits = fake_pausing.stopped(self.script, after_s)
            return
        if self.launch.pausing is None:
            raise BackendError(f"nobody knows how attempt {self.launch.attempt_id} saves its work")
        work_s = self.script.runs_s - self.restart_s
        did_s = max(0.0, fake_pausing.worked_s(self.script, after_s) - self.restart_s)
        self.left_s = work_s - (did_s if self.script.saves else 0.0)
        self.script = fake_pausing.saved(self.script, after_s)

    def resume(self, now_ms: int) -> None:
        """Goes on where it stood still; else nothing."""
        after_s = (now_ms - self.starts_ms()) / 1000
        if self.runs(now_ms) and fake_pausing.phase_at(self.script, after_s) is Phase.SUSPENDED:
            self.script = fake_pausing.woken(self.script, self.waits, after_s)

    def goes_on_from(self, earlier: "FakeRun") -> None:
        """It needs what the earlier attempt had left, and its restart."""
        self.restart_s = self.script.restarts_s
        self.script = replace(self.script, runs_s=earlier.left_s + self.restart_s, course=())

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
        paused, stopped = self.stopped is None and self.script.ends_paused, self.stopped
        if self.stopped is not None:
            code = None if self.killed else self.script.stop_exit_code
            number = 9 if self.killed else 15 if code is None else None
            reason = f"stopped: {self.stopped}"
        elif self.taken_after_s < self.script.lasts_s:
            code, number, reason = None, 15, "its place was taken away"
            paused, stopped = False, StopReason.PREEMPTED
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
            stopped=StopReason.PAUSED if paused else stopped,
            moves=self.script.moves(self.starts_ms(), self.ends_ms()),
        )
