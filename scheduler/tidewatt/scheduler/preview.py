"""A plan without a job: shared by the daemon and by the command line without one."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.estimate import Estimate
from tidewatt.scheduler.plan import Ask, Booking, Plan
from tidewatt.scheduler.planner import Policy
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.schemas import PlanReply, PlanRequest, PlanView


def home_of(regions: Sequence[Region]) -> Region:
    """The region with `home`, else `local`, else the first."""
    raise NotImplementedError


def ask_of(
    request: PlanRequest,
    job_id: int,
    submitted: datetime,
    home: str,
    power: Estimate,
    default_duration: timedelta,
) -> Ask:
    """What the planner is asked for a request; its duration is the given one, else the time limit, else assumed."""
    raise NotImplementedError


def plan_view(plan: Plan) -> PlanView:
    """The plan as clients see it."""
    raise NotImplementedError


def preview(
    request: PlanRequest,
    regions: Sequence[Region],
    outlooks: Mapping[str, Outlook | None],
    now: datetime,
    policy: Policy,
    power: Estimate,
    default_duration: timedelta,
    *,
    asks: Sequence[Ask] = (),
    bookings: Sequence[Booking] = (),
    keep: Mapping[int, Plan] | None = None,
    empty_queue: bool = False,
    hindsight: bool = False,
) -> PlanReply:
    """The decision that `submit` would make now, and what more slack would be expected to give."""
    raise NotImplementedError
