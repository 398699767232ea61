"""Queues with all that can be asked for: feasible by an independent check, and promises are kept."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timetables.situations import EXACT, HOUR, T0, drawn, outlook
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Plan, Window
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, moment
from tidewatt.scheduler.planning.kinds import suitable
from tidewatt.scheduler.planning.queue import admit, plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.validator import missed, plan_faults
from tidewatt.scheduler.region import Pool, Region

seeds = st.integers(0, 100_000)
REGIONS = {region.name: region for region in drawn(0).regions}


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(4, 9))
def test_plans_of_any_queue_are_feasible_and_stay(seed: int, jobs: int) -> None:
    situation = drawn(seed, jobs)
    plans = plan_queue(situation)
    assert plan_faults(situation, plans) == []
    kept = {job_id: plan for job_id, plan in plans.items() if isinstance(plan, Plan)}
    again = plan_queue(replace(situation, keep=kept))
    assert plan_faults(situation, again) == []
    assert len(missed(situation, again)) <= len(missed(situation, plans))


@settings(max_examples=30, deadline=None)
@given(seeds, st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_no_newcomer_takes_a_promised_deadline(seed: int, half_hours: list[int]) -> None:
    """Jobs are admitted one by one while others start and run; every plan is checked."""
    whole = drawn(seed, 8)
    now, waiting, plans = T0, dict[int, Ask](), dict[int, Plan]()
    running, ends = list(whole.bookings), dict(whole.ends)
    for ask, waited in zip(whole.asks, half_hours, strict=True):
        now += timedelta(minutes=30) * waited
        for job_id, plan in list(plans.items()):
            if plan.window.start <= now:
                running.append(started(waiting.pop(job_id), plans.pop(job_id)))
                ends[job_id] = plan.window.end
        here = replace(whole, asks=[*waiting.values()], keep=plans, now=now, bookings=running, ends=ends)
        try:
            admission = admit(ask, here)
        except SchedulerError:
            continue
        waiting[ask.job_id] = ask
        plans = {**plans, **admission.moved, ask.job_id: admission.plan}
        after = replace(here, asks=[*waiting.values()])
        assert plan_faults(after, plans) == []
        assert [job_id for job_id in missed(after, plans) if not waiting[job_id].late] == []


def started(ask: Ask, plan: Plan) -> Booking:
    need = ask.need
    fares = dict(suitable(ask, Timeline(REGIONS[plan.region])))
    return Booking(
        plan.region, plan.pool, plan.window, need.gpus, need.cpus, need.mem_mb, f"job {ask.job_id}",
        ask.power_w * fares[plan.pool][1], ask.array,
    )  # fmt: skip


hourly = st.sampled_from((50.0, 200.0, 400.0))
asks = st.builds(
    lambda gpus, hours, slack, release: (gpus, hours, slack, release),
    st.integers(1, 2),
    st.integers(1, 4),
    st.integers(0, 9),
    st.integers(0, 2),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(asks, min_size=2, max_size=9),
    st.lists(st.sampled_from((50.0, 200.0, 400.0)), min_size=40, max_size=40),
)
def test_deadlines_are_kept_where_earliest_deadline_first_keeps_them(
    drawn_asks: list[tuple[int, int, int, int]], values: list[float]
) -> None:
    region = Region("local", pools=(Pool("A100", 3),), cpus=99)
    jobs = [
        Ask(
            i, T0, Need(gpus=gpus), hours * HOUR, "yours", 500.0, "given",
            finish_by=T0 + (release + hours + slack) * HOUR, release=T0 + release * HOUR,
        )
        for i, (gpus, hours, slack, release) in enumerate(drawn_asks)
    ]  # fmt: skip
    timeline, in_time = Timeline(region), True
    for job in sorted(jobs, key=lambda each: (each.finish_by or T0, each.job_id)):
        lasts = length_ms(job.duration)
        free = timeline.free(job.need, "A100", ceil_ms(job.release or T0))
        start = next(since for since, until in free if until - since >= lasts)
        timeline.book(
            Booking("local", "A100", Window(moment(start), moment(start + lasts)), job.need.gpus, 1)
        )
        in_time &= start + lasts <= floor_ms(job.finish_by or T0)
    situation = Situation((region,), {"local": outlook(values)}, (), T0, EXACT, jobs)
    planned = plan_queue(situation)
    assert plan_faults(situation, planned) == []
    if in_time:
        assert missed(situation, planned) == []
