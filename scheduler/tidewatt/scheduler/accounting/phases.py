"""What an attempt did from its launch to its end, stretch by stretch."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What a job does at a time; the words are those of the states."""

    WAITING = "waiting"
    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSING = "pausing"  # it writes a checkpoint
    SUSPENDED = "suspended"
    RESUMING = "resuming"


@dataclass(frozen=True, slots=True)
class Stretch:
    """The attempt's phase over the half-open `[start_ms, end_ms)` of Unix milliseconds.

    `label` is the training script's own word for it ("warm-up"), "" where it gave none; only running
    stretches have one.
    """

    phase: Phase
    start_ms: int
    end_ms: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an attempt achieved. Counts that nobody reported are missing from `counts`.

    `kept_until_ms`: the work done before that instant was kept by a later attempt or by the attempt's own
    end; the attempt's start where nothing was. `counts` holds "steps", "samples", "tokens", "epochs",
    "parameters", "flops".
    """

    stretches: tuple[Stretch, ...]
    kept_until_ms: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class PhaseUse:
    """What a job did for how long, over all attempts, and the energy of it, PUE not applied.

    `lost` is True for running time whose work no later attempt kept. Energy is None where none was metered,
    and for phases in which the job has no process: `waiting` and `launching`.
    """

    phase: Phase
    label: str
    lost: bool
    ms: int
    energy_uj: int | None = None
    active_uj: int | None = None


def uninterrupted(start_ms: int, end_ms: int, *, kept: bool = True) -> Progress:
    """The progress of an attempt that ran from start to end, of which all was kept or nothing."""
    return Progress((Stretch(Phase.RUNNING, start_ms, end_ms),), end_ms if kept else start_ms, {})
