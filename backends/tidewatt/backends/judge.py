"""What became of an attempt elsewhere, from its folder and from what its engine shows."""

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tidewatt.backends import claim, durable
from tidewatt.backends.attempt import Attempt, Outcome, ended
from tidewatt.backends.backend import AttemptStatus, Move, Phase, StopReason
from tidewatt.backends.clock import Clock
from tidewatt.backends.desk import Fate, Seen
from tidewatt.backends.reference import Reference


@dataclass(slots=True)
class Judge:
    """Judges attempts of one kind of engine; `sending` are those that are just being sent."""

    kind: str
    visible_s: float
    vanished_s: float
    now_ms: Callable[[], int]
    sending: Collection[Path]
    withdraw: Callable[[Reference], Fate] = lambda _: Fate.OPEN
    _missing_since: dict[Path, float] = field(default_factory=dict)
    _unseen_since: dict[Path, float] = field(default_factory=dict)  # of those without a number

    def closed(self, attempt: Attempt, found: Reference | None) -> AttemptStatus | None:
        """Of an attempt whose end is already written down."""
        outcome = attempt.read(attempt.exit)
        return None if outcome is None else self._ended(attempt, found, outcome)

    def finished(self, folder: Path, found: Reference) -> AttemptStatus | None:
        """Of an attempt that has left its outcome in its folder, whatever its engine says."""
        attempt = Attempt(folder)
        outcome = attempt.read(attempt.outcome)
        return None if outcome is None else self._close(attempt, found, _told(attempt, outcome))

    def judged(self, folder: Path, found: Reference, seen: Seen | None) -> AttemptStatus:
        """Of an attempt as its engine shows it now; None where the engine does not know it."""
        attempt = Attempt(folder)
        if (finished := self.finished(folder, found)) is not None:
            return finished
        if seen is None:
            return self._absent(attempt, found)
        self._missing_since.pop(folder, None)
        self._unseen_since.pop(folder, None)
        found = found.known(folder, seen.id)
        match seen.phase:
            case Phase.ENDED:
                return self._over(attempt, found, seen)
            case Phase.LAUNCHING:
                return AttemptStatus(Phase.LAUNCHING, reason=seen.reason)
            case _:
                return self._running(attempt, found, seen)

    def _running(self, attempt: Attempt, found: Reference, seen: Seen) -> AttemptStatus:
        if found.shared and claim.read(attempt.folder) is None:
            return AttemptStatus(Phase.LAUNCHING, reason="its machine is just starting it")
        if found.started_ms is None:
            found = found.started(attempt.folder, seen.started_ms or self.now_ms())
        moves = _moves(attempt)
        return AttemptStatus(
            moves[-1].phase if moves else Phase.RUNNING,
            started_ms=_started_ms(attempt, found),
            reason=seen.reason,
            warnings=attempt.warnings(),
            moves=moves,
            gpu_uuids=_gpus(attempt),
        )

    def _absent(self, attempt: Attempt, found: Reference) -> AttemptStatus:
        folder = attempt.folder
        if not found.id:
            if not self._long_unseen(folder):
                return AttemptStatus(Phase.LAUNCHING, reason=f"{self.kind} has not shown it yet")
            reason = f"{self.kind} did not take it: it is not there {self.visible_s:g} s after it was sent"
            if (withdrawn := self._withdrawn(attempt, found, reason)) is not None:
                return withdrawn
        since = self._missing_since.setdefault(folder, time.monotonic())
        if time.monotonic() - since < self.vanished_s or self._alive(folder):
            return AttemptStatus(Phase.UNKNOWN, reason=f"{self.kind} does not know it any more")
        lost = f"{self.kind} does not know the job any more"
        if found.id and found.started_ms is None:
            withdrawn = self._withdrawn(attempt, found, f"{lost}, and it never started")
            if withdrawn is not None:
                return withdrawn
        outcome = Outcome(_clock_ms(attempt, self.now_ms()), reason=f"exit status lost: {lost}")
        if attempt.stop_request() is StopReason.PAUSED:  # nobody saw it end: no other goes on in its place
            return self._close(attempt, found, outcome)
        return self._close(attempt, found, _explained(attempt, outcome))

    def _withdrawn(self, attempt: Attempt, found: Reference, reason: str) -> AttemptStatus | None:
        """Of an attempt that is not to be found and was not seen running; None where it was started.

        As long as it may still start it is unknown, however long that is: its job is started nowhere else.
        Only its owner's cancelling ends that, after which nothing is started for it.
        """
        fate = self.withdraw(found)
        given_up = attempt.stop_request() is StopReason.CANCELLED
        if fate is Fate.STARTED and (found.id or given_up):
            return None
        if fate is Fate.STARTED:
            reason = f"{self.kind} does not show it, but it has started"
            return AttemptStatus(
                Phase.UNKNOWN, reason=f"{reason}; its job waits until it is seen or cancelled"
            )
        if fate is Fate.OPEN and not given_up:
            reason = f"{self.kind} does not show it, but it may still start there; its job waits for that"
            return AttemptStatus(Phase.UNKNOWN, reason=f"{reason}, or until it is cancelled")
        if fate is Fate.OPEN:
            reason = f"cancelled; whether {self.kind} ever took it is not known: look there for {found.token}"
        return AttemptStatus(Phase.POISONED, reason=reason) if claim.poison(attempt.folder, reason) else None

    def _long_unseen(self, folder: Path) -> bool:
        """Whether it should have shown up by now; by a clock that nobody sets, so anew after a restart."""
        if folder in self.sending:
            self._unseen_since.pop(folder, None)
            return False
        since = self._unseen_since.setdefault(folder, time.monotonic())
        return time.monotonic() - since >= self.visible_s

    def _alive(self, folder: Path) -> bool:
        """Whether its escort gave a sign of life within the time after which it would count as gone."""
        with suppress(OSError):
            return self.now_ms() / 1000 - (folder / "alive").stat().st_mtime < self.vanished_s
        return False

    def _over(self, attempt: Attempt, found: Reference, seen: Seen) -> AttemptStatus:
        """Of an attempt that its engine says has ended."""
        asked = attempt.stop_request()
        if seen.started_ms is None and found.started_ms is None:
            reason = seen.reason or f"{asked or 'ended'} before it started"
            if claim.poison(attempt.folder, reason):
                return AttemptStatus(Phase.POISONED, reason=reason)
        if found.started_ms is None and seen.started_ms is not None:
            found = found.started(attempt.folder, seen.started_ms)
        outcome = Outcome(
            _clock_ms(attempt, seen.ended_ms or self.now_ms()),
            exit_code=seen.exit_code,
            signal=seen.signal,
            reason=seen.reason,
            stopped=StopReason.PREEMPTED if seen.preempted and asked is None else None,
        )
        if asked is StopReason.PAUSED and found.storage and seen.exit_code == 0 and not _kept(attempt):
            return self._close(attempt, found, outcome)  # done before the request reached it
        return self._close(attempt, found, _explained(attempt, outcome))

    def _close(self, attempt: Attempt, found: Reference, outcome: Outcome) -> AttemptStatus:
        attempt.write(attempt.exit, outcome)
        self._missing_since.pop(attempt.folder, None)
        return self._ended(attempt, found, outcome)

    def _ended(self, attempt: Attempt, found: Reference | None, outcome: Outcome) -> AttemptStatus:
        status = ended(outcome, _started_ms(attempt, found), attempt.warnings())
        moves = tuple(move for move in _moves(attempt) if move.at_ms <= outcome.ended_ms)
        return replace(status, moves=moves, gpu_uuids=_gpus(attempt))


def _told(attempt: Attempt, outcome: Outcome) -> Outcome:
    """An outcome by the escort, which knows whether it had asked the job to end before it did."""
    if outcome.stopped is StopReason.SIGNALLED:  # by the engine, on our behalf or of its own
        outcome = replace(outcome, stopped=attempt.stop_request() or StopReason.SIGNALLED)
    return outcome if outcome.stopped is None else _explained(attempt, outcome)


def _kept(attempt: Attempt) -> dict[str, Any]:
    return durable.read(attempt.folder / "checkpoint.json") or {}


def _explained(attempt: Attempt, outcome: Outcome) -> Outcome:
    """With why it was stopped, where it was asked to before it ended."""
    stopped = outcome.stopped or attempt.stop_request()
    if stopped is None:
        return outcome
    reason = f"stopped: {stopped}" + (f"; {outcome.reason}" if outcome.reason else "")
    kept = _kept(attempt)
    if stopped is StopReason.PAUSED and kept and not kept.get("whole"):
        reason = f"{reason}; no whole checkpoint: {kept.get('reason')}"
    return replace(outcome, reason=reason, stopped=stopped)


def _clock(attempt: Attempt) -> Clock:
    launch = attempt.launch()
    return Clock() if launch is None else launch.clock


def _clock_ms(attempt: Attempt, real_ms: int) -> int:
    """A real instant on the attempt's clock."""
    return _clock(attempt).at_ms(real_ms)


def _started_ms(attempt: Attempt, found: Reference | None) -> int | None:
    """By the claim of the job itself where it reached one, else as its engine tells it."""
    taken = claim.read(attempt.folder)
    if taken is not None and taken.process is not None:
        return taken.started_ms
    return None if found is None or found.started_ms is None else _clock_ms(attempt, found.started_ms)


def _moves(attempt: Attempt) -> tuple[Move, ...]:
    """The pause that was asked for, if one was."""
    if attempt.stop_request() is not StopReason.PAUSED:
        return ()
    asked_ms = (attempt.folder / "stop.json").stat().st_mtime_ns // 1_000_000
    return (Move(Phase.PAUSING, _clock_ms(attempt, asked_ms), "a checkpoint was asked for"),)


def _gpus(attempt: Attempt) -> tuple[str, ...]:
    content = durable.read(attempt.folder / "gpus.json") or {}
    return tuple(str(uuid) for uuid in content.get("uuids", ()))
