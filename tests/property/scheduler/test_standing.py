"""What is free by steps is what is free by changes, whatever was booked, and in whatever way."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Booking, Window
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.instants import FAR_MS, moment
from tidewatt.scheduler.planning.standing import Steps
from tidewatt.scheduler.region import Pool, Region

START = 1_655_000_000_000
times = st.integers(0, 40)
windows = st.tuples(times, times).map(lambda pair: Window(*(moment(START + 500 * at) for at in sorted(pair))))
bookings = st.builds(
    Booking,
    region=st.just("eu"),
    pool=st.sampled_from(["", "A100", "H100", "gone"]),
    window=windows,
    gpus=st.integers(0, 3),
    cpus=st.integers(0, 5),
    mem_mb=st.integers(0, 400),
    power_w=st.floats(0, 900),
).map(lambda each: each if each.pool else replace(each, gpus=0))
regions = st.builds(
    Region,
    name=st.just("eu"),
    pools=st.just((Pool("A100", 4), Pool("H100", 2))),
    cpus=st.integers(1, 12),
    mem_mb=st.sampled_from([0, 800]),
    power_limit_kw=st.sampled_from([0.0, 2.0]),
    closed=st.lists(windows.filter(lambda each: each.end > each.start), max_size=2).map(tuple),
)
needs = st.builds(
    Need,
    gpus=st.integers(0, 3),
    gpu_kind=st.just(""),
    cpus=st.integers(1, 6),
    mem_mb=st.integers(0, 500),
)


@given(
    region=regions,
    at_once=st.lists(bookings, max_size=12),
    later=st.lists(bookings, max_size=6),
    need=needs,
    pool=st.sampled_from(["", "A100", "H100"]),
    begin=times,
    length=st.one_of(st.none(), st.integers(-1, 40)),
    power_w=st.floats(0, 900),
)
def test_steps_and_changes_leave_the_same_free(
    region: Region,
    at_once: list[Booking],
    later: list[Booking],
    need: Need,
    pool: str,
    begin: int,
    length: int | None,
    power_w: float,
) -> None:
    plainly, quickly = Timeline(region, [*at_once, *later]), Steps(region, at_once)
    for booking in later:
        quickly.book(booking)
    earliest = START + 500 * begin
    end = FAR_MS if length is None else earliest + 500 * length
    if not pool:
        need = Need(0, "", need.cpus, need.mem_mb)
    assert quickly.free(need, pool, earliest, end, power_w) == plainly.free(
        need, pool, earliest, end, power_w
    )
