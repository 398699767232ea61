"""One job, also with a changing draw: equal to brute force, never late, never worse than starting at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Plan, PowerStep, Why, Window
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.draw import profile
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, tzinfo=UTC)
T0_MS = floor_ms(T0)
MINUTE = timedelta(minutes=1)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
EXACT = Policy(min_saving=0, min_wait=timedelta(0), margin=timedelta(0))
GRID_MIN = 5  # every border below lies on this grid, so that an optimum does too
HORIZON_MIN = 240

grid_minutes = st.integers(0, HORIZON_MIN // GRID_MIN).map(lambda n: n * GRID_MIN)


@st.composite
def outlooks(draw: st.DrawFn) -> Outlook:
    """Four hours in steps of 5, 15, 30 or 60 minutes."""
    step_min = draw(st.sampled_from((5, 15, 30, 60)))
    n = HORIZON_MIN // step_min
    values = draw(st.lists(st.sampled_from((0.0, 40.0, 90.0, 90.5, 300.0, 700.0)), min_size=n, max_size=n))
    starts = T0_MS + step_min * 60_000 * np.arange(n, dtype=np.int64)
    segment = Segment(T0, T0 + timedelta(minutes=HORIZON_MIN), Rung.LIVE, "drawn")
    return Outlook("DE", KIND, Steps(starts, starts + step_min * 60_000, np.array(values)), (segment,))


@st.composite
def bookings(draw: st.DrawFn, region: str) -> list[Booking]:
    made = []
    for _ in range(draw(st.integers(0, 3))):
        start, length = draw(grid_minutes), draw(st.integers(1, 20)) * GRID_MIN
        window = Window(T0 + start * MINUTE, T0 + (start + length) * MINUTE)
        made.append(Booking(region, "gpu", window, draw(st.integers(1, 2)), 1))
    return made


@st.composite
def power_steps(draw: st.DrawFn, units: int) -> tuple[PowerStep, ...]:
    """None, or up to four of them, each from one of so many equal parts of the run on."""
    later = draw(st.sets(st.integers(1, units - 1), max_size=3)) if units > 1 else set()
    watts = [draw(st.sampled_from((0.0, 100.0, 650.0, 2000.0))) for _ in later] + [500.0]
    return profile([(unit / units, each) for unit, each in zip([0, *sorted(later)], watts, strict=True)])[1]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Ask, list[Region], dict[str, Outlook | None], list[Booking]]:
    names = ["home", "north", "south"][: draw(st.integers(1, 3))]
    regions = [
        Region(
            name, pools=(Pool("gpu", draw(st.integers(1, 3))),), cpus=9, pue=draw(st.sampled_from((1.0, 1.5)))
        )
        for name in names
    ]
    ahead: dict[str, Outlook | None] = {name: draw(outlooks()) for name in names}
    booked = [booking for name in names for booking in draw(bookings(name))]
    units = draw(st.integers(1, 18))
    finish_by = T0 + draw(grid_minutes) * MINUTE
    length = timedelta(minutes=GRID_MIN * units)
    job = Ask(1, T0, Need(gpus=1), length, "yours", 1000.0, "given", finish_by=finish_by, home="home")
    return replace(job, power_steps=draw(power_steps(units))), regions, ahead, booked


def ratio_at(job: Ask, minute: int) -> float:
    """What the job draws in a minute of its run, against its mean."""
    begun = [step for step in job.power_steps if step.share * (job.duration / MINUTE) < minute + 0.5]
    return begun[-1].ratio if begun else 1.0


def in_use(region: str, booked: list[Booking], minute: int) -> int:
    at = T0 + minute * MINUTE
    return sum(b.gpus for b in booked if b.region == region and b.window.start <= at < b.window.end)


def brute_force(
    job: Ask, regions: list[Region], ahead: dict[str, Outlook | None], booked: list[Booking]
) -> dict[tuple[str, int], float]:
    """Grams per kW of every start on the grid that is free and in time, by region and minute."""
    assert job.finish_by is not None
    length = job.duration // MINUTE
    found = {}
    for region in regions:
        outlook = ahead[region.name]
        assert outlook is not None
        minutes = range(0, HORIZON_MIN, GRID_MIN)
        value = {
            minute: float(
                outlook.steps.gco2_per_kwh[
                    np.searchsorted(outlook.steps.end_ms, T0_MS + minute * 60_000, "right")
                ]
            )
            for minute in minutes
        }
        free = {minute: in_use(region.name, booked, minute) < region.pools[0].gpus for minute in minutes}
        for start in range(0, int((job.finish_by - T0) / MINUTE) - length + 1, GRID_MIN):
            window = range(start, start + length, GRID_MIN)
            if all(free[minute] for minute in window):
                drawn = sum(value[minute] * ratio_at(job, minute - start) for minute in window)
                found[region.name, start] = region.pue * drawn * GRID_MIN / 60
    return found


@settings(max_examples=200, deadline=None)
@given(cases())
def test_plan_equals_brute_force(
    case: tuple[Ask, list[Region], dict[str, Outlook | None], list[Booking]],
) -> None:
    job, regions, ahead, booked = case
    truth = brute_force(job, regions, ahead, booked)
    placed = Board(Situation(regions, ahead, booked, T0, EXACT)).place(job)
    if isinstance(placed, Infeasible):
        assert not truth, "a deadline that could be met was missed"
        return
    assert job.finish_by is not None
    assert placed.window.end <= job.finish_by
    least = min(truth.values())
    assert placed.expected_g is not None
    assert abs(placed.expected_g - least) <= 1e-6 * max(least, 1)
    ties = {minute for (_, minute), grams in truth.items() if grams <= least * (1 + 1e-9)}
    assert placed.window.start == T0 + min(ties) * MINUTE
    at_earliest = [
        region.name for region in regions if truth.get((region.name, min(ties)), 1e9) <= least * (1 + 1e-9)
    ]
    assert placed.region == at_earliest[0]  # home is the first


@settings(max_examples=200, deadline=None)
@given(
    cases(),
    st.sampled_from((0.0, 0.02, 0.3)),
    st.sampled_from((0, 5, 30)),
    st.sampled_from((0, 2)),
)
def test_plan_is_never_worse_than_the_first_feasible_start(
    case: tuple[Ask, list[Region], dict[str, Outlook | None], list[Booking]],
    min_saving: float,
    min_wait: int,
    margin: int,
) -> None:
    job, regions, ahead, booked = case
    policy = Policy(min_saving, min_wait * MINUTE, margin * MINUTE)
    truth = brute_force(job, regions, ahead, booked)
    placed = Board(Situation(regions, ahead, booked, T0, policy)).place(job)
    if isinstance(placed, Infeasible):
        assert not truth
        return
    assert job.finish_by is not None
    assert placed.expected_g is not None
    assert placed.window.end <= job.finish_by
    careful = {
        (region, minute): grams
        for (region, minute), grams in truth.items()
        if T0 + minute * MINUTE + job.duration <= job.finish_by - margin * MINUTE
    } or truth
    at_home = [key for key in careful if key[0] == "home"]
    first = min(at_home or careful, key=lambda key: key[1])
    assert placed.expected_g <= careful[first] * (1 + 1e-6) + 1e-6
    if placed.why is Why.CLEANEST and placed.window.start >= T0 + first[1] * MINUTE:
        assert placed.expected_g <= careful[first] * (1 - min_saving) + 1e-6


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(0, 299_999), st.integers(1, 7_000_000))
def test_no_odd_instant_beats_the_plan(
    case: tuple[Ask, list[Region], dict[str, Outlook | None], list[Booking]], offset_ms: int, length_ms: int
) -> None:
    """Off the grid too: a fine sweep of starts finds nothing cleaner than the searched corners."""
    drawn, regions, ahead, _ = case
    length, due = timedelta(milliseconds=length_ms), T0 + 200 * MINUTE
    job = Ask(1, T0, drawn.need, length, "yours", 1000.0, "given", due, power_steps=drawn.power_steps)
    now = T0 + timedelta(milliseconds=offset_ms)
    board = Board(Situation(regions[:1], ahead, (), now, EXACT))
    placed = board.place(job)
    assert isinstance(placed, Plan)
    assert placed.expected_g is not None
    curve = board.curve(regions[0].name)
    assert curve is not None
    last = T0_MS + 200 * 60_000 - length_ms
    starts = np.arange(floor_ms(now), last + 1, 97_003, dtype=np.int64)
    shares = [*(step.share for step in job.power_steps or (PowerStep(0.0, 1.0),)), 1.0]
    borders = [starts + round(share * length_ms) for share in shares]
    legs = [curve.integral(since, until) for since, until in pairwise(borders)]
    ratios = [step.ratio for step in job.power_steps] or [1.0]
    swept = regions[0].pue * np.sum([ratio * leg for ratio, leg in zip(ratios, legs, strict=True)], axis=0)
    assert placed.expected_g <= float(swept.min()) * (1 + 1e-9) + 4 * curve.noise


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(grid_minutes, st.integers(1, 20), st.integers(1, 3), st.integers(1, 4)), max_size=6)
)
def test_free_windows_are_exactly_where_everything_fits(booked: list[tuple[int, int, int, int]]) -> None:
    region = Region("home", pools=(Pool("gpu", 3), Pool("other", 1)), cpus=8)
    made = [
        Booking("home", "gpu", Window(T0 + start * MINUTE, T0 + (start + 5 * length) * MINUTE), gpus, cpus)
        for start, length, gpus, cpus in booked
    ]
    end = T0 + HORIZON_MIN * MINUTE
    found = Timeline(region, made).free_windows(Need(gpus=1, cpus=4), "gpu", T0, end)
    for minute in range(0, HORIZON_MIN, GRID_MIN):
        at = T0 + minute * MINUTE
        using = [b for b in made if b.window.start <= at < b.window.end]
        fits = sum(b.gpus for b in using) <= 2 and sum(b.cpus for b in using) <= 4
        assert any(window.start <= at < window.end for window in found) is fits
    assert all(before.end < after.start for before, after in pairwise(found))
