"""Where and when one job runs: the exact cleanest window that its deadline and the free capacity allow."""

from dataclasses import dataclass
from datetime import timedelta

from tidewatt.scheduler.plan import Plan


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided.

    A job neither waits nor moves for less than `min_saving` (share of the grams) or waits less than `min_wait`. Plans
    aim to end `margin` before the deadline. `default_slack` is the wait that a job without deadline accepts.
    """

    min_saving: float = 0.02
    min_wait: timedelta = timedelta(minutes=5)
    margin: timedelta = timedelta(minutes=2)
    default_slack: timedelta | None = None
    signal: str = "average"


@dataclass(frozen=True, slots=True)
class Infeasible:
    """A job that cannot meet its deadline: why, and the plan that finishes earliest (None where it fits nowhere)."""

    job_id: int
    reason: str
    earliest: Plan | None
