"""How an attempt is closed: what is written down of its end, and how it is told."""

from dataclasses import replace
from pathlib import Path

from tidewatt.backends.attempt import Attempt, Outcome, ended
from tidewatt.backends.backend import AttemptStatus, Launch, Move, Phase, StopReason
from tidewatt.backends.kubernetes import checkpoints, output, release
from tidewatt.backends.kubernetes.cluster import Cluster
from tidewatt.backends.kubernetes.facts import JobFacts
from tidewatt.backends.kubernetes.reference import Reference, Wanted
from tidewatt.backends.kubernetes.standing import Standing


def close(
    attempt: Attempt, ref: Reference, job: JobFacts | None, stand: Standing, now_ms: int
) -> AttemptStatus:
    """Writes its end down, for ever."""
    launch = attempt.launch()
    assert launch is not None  # noqa: S101 - it was submitted
    if not ref.started_ms and job is not None and job.started_ms:  # its pod was never seen
        ref = replace(ref, started_ms=job.started_ms)
    # A cluster tells whole seconds: a short job may seem to have ended as it began.
    finished_ms = max(stand.finished_ms or now_ms, ref.started_ms + 1)
    ref = replace(ref, finished_ms=finished_ms)
    reason = stand.reason
    if stand.stopped is StopReason.PAUSED:
        wrong = checkpoints.keep(attempt.folder, ref, launch, finished_ms)
        reason = f"paused, no whole checkpoint: {wrong}" if wrong else reason
    ref.replace(attempt.folder)
    outcome = Outcome(
        launch.clock.at_ms(finished_ms), stand.exit_code, stand.signal, reason, stopped=stand.stopped
    )
    attempt.write(attempt.exit, outcome)
    return over(attempt, ref, launch, outcome)


def over(attempt: Attempt, ref: Reference, launch: Launch, outcome: Outcome) -> AttemptStatus:
    """The status of an attempt that was closed."""
    started_ms = launch.clock.at_ms(ref.started_ms) if ref.started_ms else None
    return replace(ended(outcome, started_ms, attempt.warnings()), moves=_moves(ref, launch))


def live(attempt: Attempt, ref: Reference, stand: Standing, witnessed: bool) -> AttemptStatus:
    """The status of an attempt that is not closed."""
    if stand.phase is Phase.POISONED:
        return AttemptStatus(Phase.POISONED, reason=stand.reason)
    launch = attempt.launch()
    assert launch is not None  # noqa: S101 - it was submitted
    phase = stand.phase
    if phase is Phase.ENDED and witnessed:  # its last lines are still coming
        phase = Phase.PAUSING if ref.wanted is Wanted.PAUSE else Phase.RUNNING
    started_ms = launch.clock.at_ms(ref.started_ms) if ref.started_ms else None
    return AttemptStatus(
        phase,
        started_ms=started_ms,
        reason=stand.reason if phase is stand.phase else "",
        warnings=attempt.warnings(),
        moves=_moves(ref, launch),
    )


def fetched(cluster: Cluster, folder: Path, ref: Reference) -> bool:
    """Brings the rest of its log here and clears the cluster; True once that is done.

    Raises:
        BackendError: The cluster does not answer, or does not allow it.
    """
    if not ref.finished_ms:
        return False
    output.copy(cluster, folder, ref, ended=True)
    release.forget_secret(cluster, ref)
    release.delete(cluster, ref)
    return True


def _moves(ref: Reference, launch: Launch) -> tuple[Move, ...]:
    """Into pausing, where it was asked to."""
    if ref.wanted is not Wanted.PAUSE or not ref.started_ms:
        return ()
    return (Move(Phase.PAUSING, launch.clock.at_ms(max(ref.asked_ms, ref.started_ms))),)
