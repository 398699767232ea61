"""Waits in queues of engines never make a job late that another plan would have kept in time."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.scheduler.test_planner import EXACT, T0, cases
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.whole import plan_whole
from tidewatt.scheduler.region import Region

WAITS_MIN = st.sampled_from([0, 0, 5, 30, 120, 600])


@st.composite
def queued(draw: st.DrawFn) -> tuple[Situation, Ask]:
    job, regions, ahead, booked = draw(cases())
    slower = [replace(region, queue_wait_s=60.0 * draw(WAITS_MIN)) for region in regions]
    return Situation(slower, ahead, booked, T0, EXACT, [job]), job


def sure_end(plan: Plan, regions: dict[str, Region]) -> timedelta:
    return plan.window.end + timedelta(milliseconds=regions[plan.region].queue_wait_ms) - T0


def soonest_sure_end(situation: Situation, job: Ask) -> timedelta | None:
    """By brute force: the first end that any region gives, its wait included."""
    ends = []
    length_ms = job.duration // timedelta(milliseconds=1)
    for region in situation.regions:
        timeline = Timeline(region)
        for booking in situation.bookings:
            if booking.region == region.name:
                timeline.book(booking)
        now_ms = int(T0.timestamp() * 1000)
        for low, high in timeline.free(job.need, "gpu", now_ms, power_w=job.peak_w):
            if high - low >= length_ms:
                ends.append(low + length_ms + region.queue_wait_ms - now_ms)
                break
    return timedelta(milliseconds=min(ends)) if ends else None


@given(queued())
@settings(max_examples=150, deadline=None)
def test_no_plan_is_late_after_its_wait_where_another_is_in_time(case: tuple[Situation, Ask]) -> None:
    situation, job = case
    assert job.finish_by is not None
    soonest = soonest_sure_end(situation, job)
    regions = {region.name: region for region in situation.regions}
    for made in (Board(situation).place(job), plan_queue(situation)[1], plan_whole(situation)[0][1]):
        if soonest is None or soonest > job.finish_by - T0:
            if isinstance(made, Plan):
                assert soonest is None or sure_end(made, regions) == soonest
            continue
        assert isinstance(made, Plan)
        assert sure_end(made, regions) <= job.finish_by - T0


@given(queued())
@settings(max_examples=50, deadline=None)
def test_waits_refuse_nobody(case: tuple[Situation, Ask]) -> None:
    situation, job = case
    quick = replace(situation, regions=[replace(each, queue_wait_s=None) for each in situation.regions])
    before, after = Board(quick).place(job), Board(situation).place(job)
    assert isinstance(before, Infeasible) == isinstance(after, Infeasible)
