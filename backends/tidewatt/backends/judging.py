"""What came of an attempt: how it ended, why, and what a paused one kept of its work."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tidewatt.backends import checkpoint, durable, ending
from tidewatt.backends.attempt import Outcome
from tidewatt.backends.backend import Launch, PauseTerms, StopReason
from tidewatt.backends.checkpoint import Checkpoint, Evidence, Place
from tidewatt.backends.claim import Claim
from tidewatt.backends.clock import moment
from tidewatt.backends.pausing import Pauses, Saving, number_of
from tidewatt.backends.watch import Watch


def outcome(launch: Launch, watch: Watch, status: int | None) -> Outcome:
    """The outcome of a job that has just ended under watch, with this wait status; None where it is lost."""
    found = Outcome(launch.clock.now_ms(), stopped=watch.stopped)
    if status is None:
        lost = "exit status lost: its supervisor was killed, and this kernel does not tell another one"
        why = f"{_stopped(launch, watch)}; {lost}" if watch.stopped is not None else lost
        return replace(found, reason=f"{why}; its output is in {launch.stdout}")
    code = os.waitstatus_to_exitcode(status)
    if watch.stopped is StopReason.PAUSED and code == 0 and _done(launch.pausing):
        found = replace(found, stopped=None)
    reason = _stopped(launch, watch) if found.stopped is not None else watch.refusal or ending.words(code)
    group = watch.pauses.cgroup
    if code == -9 and found.stopped is None and group is not None and group.ran_out_of_memory():
        memory_mb = launch.limits.memory_mb if launch.limits else None
        reason = f"ended by the kernel: it needed more than its {memory_mb} MB of memory"
    if code < 0:
        return replace(found, signal=-code, reason=reason)
    return replace(found, exit_code=code, reason=reason)


def lost(launch: Launch, watch: Watch, taken: Claim, alive_ms: int) -> Outcome:
    """The outcome of a job that ended while nobody watched; `alive_ms` is the last sign of life (real)."""
    seen = [alive_ms]
    for path in (launch.stdout, launch.stderr):
        with suppress(OSError):
            seen.append((launch.cwd / path).stat().st_mtime_ns // 1_000_000)
    until_ms = min(launch.clock.at_ms(max(seen)), launch.clock.now_ms())
    if taken.process is not None and taken.process.this_boot:
        reason = "exit status lost: job and supervisor ended while nobody watched"
    else:
        reason = "the machine restarted while it ran"
    # Also where the signal is not known to have been sent: what it has kept tells.
    stopped = None if watch.pauses.saving is None else StopReason.PAUSED
    reason = f"{reason}; its output is in {launch.stdout}"
    return Outcome(max(until_ms, taken.started_ms), reason=reason, stopped=stopped)


def _done(terms: PauseTerms | None) -> bool:
    """Whether exit code 0 says that a job is done, though asked to save: it has another one for that."""
    return terms is not None and bool(terms.exit_codes) and 0 not in terms.exit_codes


def _stopped(launch: Launch, watch: Watch) -> str:
    match watch.stopped:
        case StopReason.TIME_LIMIT:
            reason = f"stopped: time limit {ending.span(launch.time_limit_s or 0)}"
        case StopReason.SIGNALLED:
            reason = "stopped: its supervisor was told to end"
        case _:
            reason = f"stopped: {watch.stopped}"
    return f"{reason}; killed after {ending.span(launch.grace_s)} of grace" if watch.killed else reason


def paused(launch: Launch, found: Outcome, pauses: Pauses) -> Outcome:
    """The outcome with what became of the job's work, which is written down; others as they are."""
    if found.stopped is not StopReason.PAUSED:
        return found
    kept = checkpoint.read(launch.folder) or _kept(launch, found, pauses)
    checkpoint.write(launch.folder, kept)
    return replace(found, reason=_words(kept))


def forget(launch: Launch, found: Outcome) -> None:
    """Lets our links to checkpoints of a job go that is done or cancelled; what is the user's stays."""
    over = found.exit_code == 0 if found.stopped is None else found.stopped is StopReason.CANCELLED
    if over and launch.resumes is not None:
        checkpoint.let_go(launch.resumes)


def _kept(launch: Launch, found: Outcome, pauses: Pauses) -> Checkpoint:
    """What a paused job kept of its work."""
    terms, place = launch.pausing or PauseTerms(), Place.of(launch)
    ended_ms = launch.clock.real_ms_at(found.ended_ms)
    saving = pauses.saving or Saving(ended_ms, 0, 0.0)
    newest_ms, newest = next(iter(place.matches()), (None, None))
    evidence = Evidence(
        found.exit_code,
        found.signal,
        saving.asked_ms,
        ended_ms,
        saving.late_ms,
        newest_ms,
        place.mark(newest),
        pauses.said(),
    )
    why = checkpoint.fault(terms, number_of(launch), evidence)
    prior = _prior(launch)
    asked_ms = launch.clock.at_ms(saving.asked_ms)
    if not why:
        path = newest if terms.file else place.folder if terms.folder else None
        if path is None:
            return Checkpoint(True, "", "", 0, asked_ms, previous=prior)
        try:
            return replace(checkpoint.stamp(path, asked_ms, launch.folder), previous=prior)
        except OSError as error:
            why = f"it cannot be read: {error}"
    new = newest_ms is not None and newest_ms >= saving.asked_ms
    last = _last(launch, place, saving.asked_ms, prior)
    return Checkpoint(False, str(newest) if new else "", "", 0, asked_ms, why, previous=last)


def _last(launch: Launch, place: Place, asked_ms: int, prior: Checkpoint | None) -> Checkpoint | None:
    """The last good one from before a job was asked to save: one of its own, else the one it went on from."""
    path = place.before(asked_ms)
    if path is None:
        return prior
    with suppress(OSError):
        at_ms = launch.clock.at_ms(checkpoint.written_ms(path))
        own = checkpoint.stamp(path, at_ms, launch.folder)
        same = prior is not None and (prior.path, prior.digest) == (own.path, own.digest)
        return prior if same else replace(own, previous=prior)
    return prior


def _prior(launch: Launch) -> Checkpoint | None:
    """The last good one of the attempt that this one went on from."""
    if launch.resumes is None:
        return None
    with suppress(OSError, durable.CorruptError):
        record = checkpoint.read(launch.resumes)
        return None if record is None else record.good
    return None


def _words(kept: Checkpoint) -> str:
    if kept.whole:
        name = f" ({Path(kept.path).name}, {kept.size} bytes)" if kept.path else ""
        return f"its checkpoint of {_time(kept)} is whole{name}"
    if kept.previous is None:
        return f"no whole checkpoint: {kept.reason}; there is none before: it starts anew"
    return f"no whole checkpoint: {kept.reason}; goes on from the one of {_time(kept.previous)}"


def _time(kept: Checkpoint) -> str:
    return f"{moment(kept.at_ms):%H:%M} UTC"
