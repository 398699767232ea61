"""The plans of all waiting jobs together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.plan import Ask, Booking, Plan
from tidewatt.scheduler.planner import Infeasible, Policy
from tidewatt.scheduler.region import Region


@dataclass(frozen=True, slots=True)
class Admission:
    """A newcomer's plan, and the new plans of the waiting jobs that move for it."""

    plan: Plan
    moved: dict[int, Plan] = field(default_factory=dict)


def plan_queue(
    asks: Sequence[Ask],
    regions: Sequence[Region],
    outlooks: Mapping[str, Outlook | None],
    bookings: Sequence[Booking],
    now: datetime,
    policy: Policy,
    keep: Mapping[int, Plan],
) -> dict[int, Plan | Infeasible]:
    """A plan for each waiting job, by id; `outlooks` by region name, `bookings` of what runs or is foreign, `keep` the plans so far."""
    raise NotImplementedError


def admit(
    newcomer: Ask,
    asks: Sequence[Ask],
    regions: Sequence[Region],
    outlooks: Mapping[str, Outlook | None],
    bookings: Sequence[Booking],
    now: datetime,
    policy: Policy,
    keep: Mapping[int, Plan],
) -> Admission:
    """The newcomer's plan; raises BadInput or Refused where no accepted job could otherwise keep its deadline."""
    raise NotImplementedError


def offers(
    ask: Ask,
    asks: Sequence[Ask],
    regions: Sequence[Region],
    outlooks: Mapping[str, Outlook | None],
    bookings: Sequence[Booking],
    now: datetime,
    policy: Policy,
    keep: Mapping[int, Plan],
) -> tuple[tuple[float, datetime | None, float | None], ...]:
    """(slack_h, start, saving_percent) for 6 h and 24 h of slack beyond the earliest finish, against the first feasible start."""
    raise NotImplementedError
