"""Jobs, their attempts and their states."""

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"  # planned, or to be planned
    HELD = "held"  # waits for its owner's `release`
    RUNNING = "running"  # has a live attempt
    PAUSED = "paused"  # has run and will run again
    DONE = "done"  # ended with exit code 0
    FAILED = "failed"  # ended otherwise
    CANCELLED = "cancelled"  # ended because somebody said so


class AttemptState(StrEnum):
    """Where one try at running a job stands."""

    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSING = "pausing"
    SUSPENDED = "suspended"
    RESUMING = "resuming"
    ENDED = "ended"
    POISONED = "poisoned"  # proved never started
    UNKNOWN = "unknown"  # keeps its GPUs booked


class SettlementState(StrEnum):
    """How far the account of an ended job is."""

    NONE = "none"
    PROVISIONAL = "provisional"
    FINAL = "final"
    UNVERIFIED = "unverified"  # closed without observations: in energy totals, not in savings totals


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.HELD, JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.HELD: frozenset({JobState.WAITING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.WAITING, JobState.PAUSED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.PAUSED: frozenset({JobState.WAITING, JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}
ATTEMPT_MOVES: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.LAUNCHING: frozenset(
        {AttemptState.RUNNING, AttemptState.ENDED, AttemptState.POISONED, AttemptState.UNKNOWN}
    ),
    AttemptState.RUNNING: frozenset(
        {AttemptState.PAUSING, AttemptState.SUSPENDED, AttemptState.ENDED, AttemptState.UNKNOWN}
    ),
    AttemptState.PAUSING: frozenset(
        {AttemptState.RUNNING, AttemptState.SUSPENDED, AttemptState.ENDED, AttemptState.UNKNOWN}
    ),
    AttemptState.SUSPENDED: frozenset(
        {AttemptState.RESUMING, AttemptState.RUNNING, AttemptState.ENDED, AttemptState.UNKNOWN}
    ),
    AttemptState.RESUMING: frozenset({AttemptState.RUNNING, AttemptState.ENDED, AttemptState.UNKNOWN}),
    AttemptState.ENDED: frozenset(),
    AttemptState.POISONED: frozenset(),
    AttemptState.UNKNOWN: frozenset(
        {
            AttemptState.RUNNING,
            AttemptState.PAUSING,
            AttemptState.SUSPENDED,
            AttemptState.RESUMING,
            AttemptState.ENDED,
            AttemptState.POISONED,
        }
    ),
}
ENDED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Need:
    """What a job occupies; `gpu_kind` is a word of the GPU's name ("a100"), "" for any one kind."""

    gpus: int = 0
    gpu_kind: str = ""
    cpus: int = 1
    mem_mb: int = 0
