"""Slurm's job states in our words (squeue(1), "JOB STATE CODES")."""

from enum import StrEnum

from tidewatt.backends.backend import StopReason


class Stand(StrEnum):
    """Where a job stands, as Slurm says it."""

    WAITS = "waits"
    RUNS = "runs"
    SUSPENDED = "suspended"
    OVER = "over"
    UNSURE = "unsure"  # a state of a later release


_RUNS = frozenset({"CONFIGURING", "RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING"})
_WAITS = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
_SUSPENDED = frozenset({"SUSPENDED", "STOPPED"})
_STOPPED = {
    "CANCELLED": StopReason.SIGNALLED,
    "TIMEOUT": StopReason.TIME_LIMIT,
    "DEADLINE": StopReason.TIME_LIMIT,
    "NODE_FAIL": StopReason.PREEMPTED,
    "BOOT_FAIL": StopReason.PREEMPTED,
    "PREEMPTED": StopReason.PREEMPTED,
    "REQUEUED": StopReason.PREEMPTED,
    "PENDING": StopReason.PREEMPTED,  # queued again after it had run
    "REVOKED": StopReason.PREEMPTED,
}
_OVER = frozenset({"COMPLETED", "FAILED", "OUT_OF_MEMORY"}) | (frozenset(_STOPPED) - _WAITS)


def stand(state: str) -> Stand:
    """Where a job in this state stands."""
    if state in _RUNS:
        return Stand.RUNS
    if state in _WAITS:
        return Stand.WAITS
    if state in _SUSPENDED:
        return Stand.SUSPENDED
    return Stand.OVER if state in _OVER else Stand.UNSURE


def stopped(state: str) -> StopReason | None:
    """What made a job end that ended in this state; None where it ended by itself."""
    return _STOPPED.get(state)
