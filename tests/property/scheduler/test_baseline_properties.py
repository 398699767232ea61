"""The replay of the queue, against a search over every instant."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tidewatt.scheduler.accounting.baseline import ReplayJob, first_feasible, holds
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.region import Pool, Region

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

needs = st.builds(
    Need,
    gpus=st.integers(0, 3),
    gpu_kind=st.sampled_from(["", "a100", "t4"]),
    cpus=st.integers(1, 5),
    mem_mb=st.integers(0, 5),
)
jobs = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 8), needs, st.booleans()), min_size=1, max_size=8
).map(
    lambda drawn: [
        ReplayJob(number, NOON + submitted * MINUTE, minutes * MINUTE, need, ended)
        for number, (submitted, minutes, need, ended) in enumerate(drawn)
    ]
)
rooms = st.tuples(st.integers(1, 6), st.integers(0, 6))  # CPUs, memory
regions = st.builds(
    lambda a100, t4, room: Region(
        "r", pools=(Pool("A100", a100), Pool("T4", t4)), cpus=room[0], mem_mb=room[1]
    ),
    st.integers(0, 3),
    st.integers(0, 2),
    rooms,
)
one_pool = st.builds(
    lambda a100, room: Region("r", pools=(Pool("A100", a100),), cpus=room[0], mem_mb=room[1]),
    st.integers(0, 3),
    rooms,
)


@given(jobs, one_pool)
def test_replay_equals_trying_every_minute(queue: list[ReplayJob], region: Region) -> None:
    expected: dict[int, datetime] = {}
    latest = NOON
    for job in sorted(queue, key=lambda job: (job.submitted, job.job_id)):
        if holds(region, job.need):
            minute = max(latest, job.submitted)
            while not _fits(job, minute, expected, queue, region):
                minute += MINUTE
            latest = expected[job.job_id] = minute
    assert first_feasible(queue, region) == expected


@given(jobs, regions)
def test_replay_never_books_more_than_there_is(queue: list[ReplayJob], region: Region) -> None:
    starts = first_feasible(queue, region)
    by_id = {job.job_id: job for job in queue}
    for instant in starts.values():
        running = [
            by_id[number].need for number, start in starts.items() if _runs(by_id[number], start, instant)
        ]
        assert sum(need.cpus for need in running) <= region.cpus
        assert not region.mem_mb or sum(need.mem_mb for need in running) <= region.mem_mb
        assert sum(need.gpus for need in running) <= sum(pool.gpus for pool in region.pools)
        for pool in region.pools:
            bound = [need.gpus for need in running if need.gpu_kind == pool.name.lower()]
            assert sum(bound) <= pool.gpus


@given(jobs, regions)
def test_replay_keeps_the_order_and_never_starts_before_submission(
    queue: list[ReplayJob], region: Region
) -> None:
    starts = first_feasible(queue, region)
    turns = [
        job for job in sorted(queue, key=lambda job: (job.submitted, job.job_id)) if job.job_id in starts
    ]
    assert [starts[job.job_id] for job in turns] == sorted(starts.values())
    assert all(starts[job.job_id] >= job.submitted for job in turns)
    assert {job.job_id for job in queue if holds(region, job.need)} == set(starts)


def _fits(
    job: ReplayJob, at: datetime, starts: dict[int, datetime], queue: list[ReplayJob], region: Region
) -> bool:
    """True where the job and those already booked fit at every minute of its run."""
    by_id = {each.job_id: each for each in queue}
    for offset in range(max(int(job.duration / MINUTE), 1)):
        minute = at + offset * MINUTE
        taken = [job.need, *(by_id[n].need for n, start in starts.items() if _runs(by_id[n], start, minute))]
        if (
            sum(need.cpus for need in taken) > region.cpus
            or (region.mem_mb and sum(need.mem_mb for need in taken) > region.mem_mb)
            or sum(need.gpus for need in taken) > region.pools[0].gpus
        ):
            return False
    return True


def _runs(job: ReplayJob, start: datetime, at: datetime) -> bool:
    return start <= at < start + job.duration
