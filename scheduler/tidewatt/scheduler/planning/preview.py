"""A plan without a job: shared by the daemon and by the command line without one."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.pausing_schema import pausing_of, record_of
from tidewatt.scheduler.plan import Ask, GpuKind, Plan
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.estimate import Estimate
from tidewatt.scheduler.planning.pausing.living import admitted
from tidewatt.scheduler.planning.queue import Offer
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import ASSUMED
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.request_schema import PlanReply, PlanRequest, SlackOffer
from tidewatt.scheduler.schemas import BesideView, PlanView, StintView

PREVIEW_ID = 0  # no job has it


def home_of(regions: Sequence[Region]) -> Region:
    """The region with `home`, else `local`, else the first."""
    if not regions:
        raise BadInput("no region is configured: add a [[region]] table, or leave them all out for this host")
    marked = [region for region in regions if region.home]
    local = [region for region in regions if region.name == "local"]
    return (marked or local or list(regions))[0]


def ask_of(
    request: PlanRequest,
    job_id: int,
    submitted: datetime,
    home: str,
    power: Estimate,
    default_duration: timedelta,
) -> Ask:
    """What the planner is asked: for the given duration, else the time limit, else `default_duration`."""
    given_s, said = request.duration_s, "yours"
    if given_s is None:
        given_s, said = request.time_limit_s, "time limit"
    if given_s is None:
        given_s, said = default_duration.total_seconds(), ASSUMED
    return Ask(
        job_id=job_id,
        submitted=submitted,
        need=Need(request.gpus, request.gpu_kind, request.cpus, request.mem_mb),
        duration=timedelta(seconds=given_s),
        duration_source=said,
        power_w=power.power_w,
        power_source=power.source,
        finish_by=request.finish_by,
        start_by=request.start_by,
        regions=request.regions,
        exclude_regions=request.exclude_regions,
        home=home,
        late=request.late,
        priority=request.priority,
        kinds=tuple(GpuKind(each.kind, each.speed, each.power) for each in request.kinds),
        data_gb=request.data_gb,
        pausing=None if request.pausing is None else pausing_of(record_of(request.pausing)),
    )


def plan_view(plan: Plan) -> PlanView:
    """The plan as clients see it."""
    values = {name: getattr(plan, name) for name in PlanView.model_fields if hasattr(plan, name)}
    values |= {"start": plan.window.start, "end": plan.window.end, "why": str(plan.why)}
    if plan.beside is not None:
        values["beside"] = BesideView(**asdict(plan.beside))
    values["stints"] = tuple(
        StintView(region=each.region, pool=each.pool, start=each.window.start, end=each.window.end)
        for each in plan.stints
    )
    return PlanView(**values)


def offer_views(made: Sequence[Offer]) -> tuple[SlackOffer, ...]:
    """What slack would give, as clients see it."""
    return tuple(
        SlackOffer(slack_h=slack_h, start=start, saving_percent=saving) for slack_h, start, saving in made
    )


def preview(
    request: PlanRequest,
    situation: Situation,
    power: Estimate,
    default_duration: timedelta,
    *,
    empty_queue: bool = False,
    hindsight: bool = False,
) -> PlanReply:
    """The decision that `submit` would make now, and what more slack would be expected to give.

    Raises:
        BadInput: the request could not be done as asked even if nothing else ran.
        Refused: there is no room before the deadline, and `late` was not accepted.
    """
    home = home_of(situation.regions).name
    ask = ask_of(request, PREVIEW_ID, situation.now, home, power, default_duration)
    return answer(ask, situation, empty_queue=empty_queue, hindsight=hindsight)


def answer(
    ask: Ask, situation: Situation, *, empty_queue: bool = False, hindsight: bool = False
) -> PlanReply:
    """The same for what is asked already."""
    admission = ladder.admit(ask, situation)
    return PlanReply(
        plan=plan_view(admitted(ask, admission, situation)),
        offers=offer_views(ladder.offers(ask, situation)),
        power_w=ask.power_w,
        power_source=ask.power_source,
        duration_s=ask.duration.total_seconds(),
        duration_source=ask.duration_source,
        empty_queue=empty_queue,
        hindsight=hindsight,
    )
