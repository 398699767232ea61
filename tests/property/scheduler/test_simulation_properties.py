"""Whatever the jobs and whoever decides: capacity is hard, and all work is done."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulated import CLEAN_DAYS, HOUR_MS, job, region, small
from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.simulation.comparing import CONTENDERS, Outcome, compare
from tidewatt.scheduler.simulation.submitted import Submitted
from tidewatt.scheduler.simulation.world import Standing

PAUSING = Pausing(checkpoint=timedelta(minutes=3), restart=timedelta(minutes=7))


@st.composite
def queues(draw: st.DrawFn) -> list[Submitted]:
    count = draw(st.integers(1, 7))
    return [
        job(
            number,
            draw(st.integers(1, 16)) / 4,
            comes=draw(st.integers(0, 32)) / 4,
            slack=draw(st.integers(0, 20)),
            gpus=draw(st.integers(1, 2)),
            home=draw(st.sampled_from(["DE", "GB"])),
            pausing=draw(st.sampled_from([None, PAUSING])),
            real=draw(st.sampled_from([None, 1.3, 2.75])),
        )
        for number in range(1, count + 1)
    ]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(queues())
def test_no_policy_uses_more_gpus_than_there_are_or_leaves_work_undone(jobs: list[Submitted]) -> None:
    regions = [region("DE", 2), region("GB", 3)]
    found = compare(small(jobs, regions, {"GB": CLEAN_DAYS}), list(CONTENDERS))
    for name, outcome in found.items():
        for place in regions:
            assert _most(outcome, place.name) <= place.pools[0].gpus, name
        for standing in outcome.standings:
            _check(standing, name)


def _check(standing: Standing, name: str) -> None:
    held = [each for each in standing.stretches if each.gpus]
    cost_ms = 0 if standing.job.ask.pausing is None else 10 * 60_000
    busy_ms = sum(each.end_ms - each.start_ms for each in held)
    assert held[0].start_ms >= standing.job.submitted_ms, name
    assert standing.ended_ms == held[-1].end_ms, name
    assert busy_ms >= standing.job.work_ms, name
    if standing.job.ask.pausing is None and name != "suspend-resume":
        assert busy_ms == standing.job.work_ms, name
    pauses = sum(a.end_ms != b.start_ms for a, b in pairwise(held))
    assert busy_ms <= standing.job.work_ms + cost_ms * (pauses + len(held)), name


def _most(outcome: Outcome, place: str) -> int:
    """The most GPUs that were busy at once."""
    changes = sorted(
        change
        for standing in outcome.standings
        for each in standing.stretches
        if each.region == place
        for change in ((each.end_ms, -each.gpus), (each.start_ms, each.gpus))
    )
    busy = most = 0
    for _, more in changes:
        busy += more
        most = max(most, busy)
    return most


@pytest.mark.parametrize("name", list(CONTENDERS))
def test_every_policy_ends_a_queue_that_is_far_too_long(name: str) -> None:
    jobs = [job(number, 3, comes=number / 4, slack=4) for number in range(1, 13)]
    found = compare(small(jobs, [region("DE", 1)]), [name])[name]
    assert all(standing.ended_ms is not None for standing in found.standings)
    assert found.tally.missed > 0
    last = max(standing.ended_ms or 0 for standing in found.standings)
    assert last - jobs[0].submitted_ms >= 12 * 3 * HOUR_MS
