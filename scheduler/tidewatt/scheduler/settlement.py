"""Settles a job that has ended: energy times the intensity that really happened, against immediate execution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidewatt.backends.meters.reading import Usage
from tidewatt.forecasting.series import Series
from tidewatt.scheduler.receipt import Settlement

METHOD_VERSION = "1"

Observations = Callable[[str, str, datetime, datetime], Series | None]
"""Observed steps of (zone, signal) that overlap [start, end), as known now; None where there is no source."""


@dataclass(frozen=True, slots=True)
class AttemptRun:
    """One attempt that ran: where, with which factors, and what it used.

    `zones` maps signal to zone. `productive` is False for an attempt whose work was lost. `pauses` are half-open
    stretches of Unix milliseconds inside the run in which it was suspended.
    """

    attempt_id: str
    region: str
    zones: Mapping[str, str]
    pue: float
    pue_source: str
    usage: Usage
    productive: bool
    pauses: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the baseline depends on, fixed at submit, before any outcome is known."""

    home: str
    home_zones: Mapping[str, str]
    home_pue: float
    home_pue_source: str
    submitted: datetime
    signal: str  # the deciding one
    gpus: int = 0
    method_version: str = METHOD_VERSION

    def to_json(self) -> str:
        """Integers and strings only; `from_json` reads it."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, text: str) -> "Frozen":
        """What `to_json` wrote."""
        raise NotImplementedError


def settle(
    frozen: Frozen,
    runs: Sequence[AttemptRun],
    feasible_start: datetime | None,
    observations: Observations,
    now: datetime,
    *,
    predecessors_ended: bool = True,
    final_after: timedelta = timedelta(hours=24),
    unverified_after: timedelta = timedelta(days=7),
) -> Settlement:
    """The job's account as far as it can be known at `now`."""
    raise NotImplementedError
