"""Both signals, kinds of GPU, price and delay: equal to trying every start on a fine grid."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, GpuKind, Plan, Why
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.policy import Link, Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, tzinfo=UTC)
T0_MS = floor_ms(T0)
MINUTE, MINUTE_MS = timedelta(minutes=1), 60_000
HORIZON_MIN = 300
AVERAGE = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
MARGINAL = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.PRODUCTION)
EXACT = Policy(min_saving=0, min_wait=timedelta(0), margin=timedelta(0))
amounts = st.sampled_from((0.0, 35.0, 90.0, 250.0, 251.0, 470.0, 800.0))


def series(values: list[float], step_min: int, kind: Kind) -> Outlook:
    starts = T0_MS + step_min * MINUTE_MS * np.arange(len(values), dtype=np.int64)
    segment = Segment(T0, T0 + len(values) * step_min * MINUTE, Rung.LIVE, "drawn")
    steps = Steps(starts, starts + step_min * MINUTE_MS, np.array(values, float))
    return Outlook("DE", kind, steps, (segment,))


def outlooks(kind: Kind) -> st.SearchStrategy[Outlook]:
    def drawn(step_min: int) -> st.SearchStrategy[Outlook]:
        n = HORIZON_MIN // step_min
        return st.lists(amounts, min_size=n, max_size=n).map(lambda values: series(values, step_min, kind))

    return st.sampled_from((15, 30, 60)).flatmap(drawn)


def grams(outlook: Outlook, start_ms: int, end_ms: int) -> float:
    """Grams that 1 kW emits, step by step."""
    steps = outlook.steps
    overlaps = np.minimum(steps.end_ms, end_ms) - np.maximum(steps.start_ms, start_ms)
    return float(np.maximum(overlaps, 0) @ steps.gco2_per_kwh) / 3_600_000


@dataclass(frozen=True)
class Start:
    region: str
    pool: str
    start_ms: int
    end_ms: int
    first: float
    second: float


@dataclass(frozen=True)
class Case:
    """A 1 kW job, in regions with one pool each, from `now` on."""

    job: Ask
    regions: list[Region]
    average: dict[str, Outlook | None]
    marginal: dict[str, Outlook | None]
    now: datetime
    policy: Policy

    def plan(self) -> Plan:
        situation = Situation(self.regions, self.average, (), self.now, self.policy, beside=self.marginal)
        placed = Board(situation).place(self.job)
        assert isinstance(placed, Plan)
        return placed

    def lasts_ms(self, pool: Pool) -> int:
        kind = next((kind for kind in self.job.kinds if kind.kind == pool.name), None)
        speed = pool.speed if kind is None else kind.speed
        return ceil(self.job.duration / timedelta(milliseconds=1) / speed - 1e-6)

    def draws(self, pool: Pool) -> float:
        kind = next((kind for kind in self.job.kinds if kind.kind == pool.name), None)
        return pool.power if kind is None else kind.power

    def at(self, region: Region, start_ms: int, lasts_ms: int) -> Start:
        pool = region.pools[0]
        end_ms = start_ms + lasts_ms
        factor = region.pue * self.draws(pool)
        average, marginal = self.average[region.name], self.marginal.get(region.name)
        assert average is not None
        other = 0.0 if marginal is None else factor * grams(marginal, start_ms, end_ms)
        first = factor * grams(average, start_ms, end_ms)
        return Start(region.name, pool.name, start_ms, end_ms, first, other)

    def starts(self, every_ms: int) -> Iterator[Start]:
        """Every start that is in time, on a grid that begins now."""
        assert self.job.finish_by is not None
        for region in self.regions:
            lasts = self.lasts_ms(region.pools[0])
            last = floor_ms(self.job.finish_by) - lasts
            for start in range(floor_ms(self.now), last + 1, every_ms):
                yield self.at(region, start, lasts)

    def reference(self) -> Start:
        return self.at(self.regions[0], floor_ms(self.now), self.lasts_ms(self.regions[0].pools[0]))

    def planned(self, plan: Plan) -> Start:
        region = next(region for region in self.regions if region.name == plan.region)
        start, end = floor_ms(plan.window.start), floor_ms(plan.window.end)
        return self.at(region, start, end - start)


@st.composite
def cases(draw: st.DrawFn, *, marginal: bool, kinds: bool = False) -> Case:
    names = ["home", "north"][: draw(st.integers(1, 2))]
    ratios = st.sampled_from((0.5, 0.8, 1.0, 1.7, 3.0))
    pools = {
        name: Pool(name, 1, speed=draw(ratios), power=draw(ratios)) if kinds else Pool("gpu", 1)
        for name in names
    }
    regions = [
        Region(name, pools=(pools[name],), cpus=9, pue=draw(st.sampled_from((1.0, 1.4))), home=name == "home")
        for name in names
    ]
    own = [GpuKind(name, draw(ratios), 1.1) for name in names] if kinds and draw(st.booleans()) else []
    now = T0 + draw(st.integers(0, 40)) * timedelta(seconds=61)
    job = Ask(
        1,
        T0,
        Need(gpus=1),
        draw(st.integers(3, 40)) * timedelta(seconds=100),
        "yours",
        1000.0,
        "given",
        finish_by=T0 + draw(st.integers(180, HORIZON_MIN)) * MINUTE,
        home="home",
        kinds=tuple(own),
    )
    average: dict[str, Outlook | None] = {name: draw(outlooks(AVERAGE)) for name in names}
    other: dict[str, Outlook | None] = {}
    if marginal:
        other = {name: draw(outlooks(MARGINAL)) for name in names}
    return Case(job, regions, average, other, now, EXACT)


def relative(start: Start, reference: Start) -> float:
    parts = ((start.first, reference.first), (start.second, reference.second))
    return sum(grams / other for grams, other in parts if other > 0)


@settings(max_examples=50, deadline=None)
@given(cases(marginal=True))
def test_both_signals_are_never_worse_and_no_fine_start_is_better(case: Case) -> None:
    case = replace(case, policy=replace(EXACT, signal="both"))
    reference, plan = case.reference(), case.plan()
    chosen = case.planned(plan)
    assert chosen.first <= reference.first * (1 + 1e-6) + 1e-6
    assert chosen.second <= reference.second * (1 + 1e-6) + 1e-6
    swept = [
        relative(start, reference)
        for start in case.starts(20_000)
        if start.first <= reference.first and start.second <= reference.second
    ]
    assert relative(chosen, reference) <= min(swept) + 1e-6
    assert plan.beside is not None
    assert plan.beside.expected_g == pytest.approx(chosen.second, abs=1e-6)
    assert plan.beside.immediate_g == pytest.approx(reference.second, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(cases(marginal=False, kinds=True))
def test_kinds_of_gpu_equal_trying_every_start(case: Case) -> None:
    plan, reference = case.plan(), case.reference()
    chosen = case.planned(plan)
    region = next(region for region in case.regions if region.name == plan.region)
    assert chosen.end_ms - chosen.start_ms == case.lasts_ms(region.pools[0])
    assert case.job.finish_by is not None
    assert plan.window.end <= case.job.finish_by
    assert plan.expected_g == pytest.approx(chosen.first, abs=1e-6)
    assert plan.immediate_g == pytest.approx(reference.first, abs=1e-6)
    least = min(start.first for start in case.starts(20_000))
    assert chosen.first <= least + 1e-6
    if plan.why is Why.CLEANEST:
        assert chosen.first <= reference.first


@settings(max_examples=40, deadline=None)
@given(
    cases(marginal=False, kinds=True),
    st.sampled_from((0.0, 0.3, 2.0)),
    st.sampled_from((0.0, 40.0)),
    st.sampled_from((0.0, 100.0, 1000.0)),
    st.sampled_from((0.0, 30.0)),
)
def test_price_delay_and_data_equal_trying_every_start(
    case: Case, price: float, g_per_price: float, g_per_hour: float, data_gb: float
) -> None:
    """North pays for its electricity and for the data, which take half an hour to come."""
    link = Link(gbit_per_s=data_gb * 8 / 1800 or 1.0, kwh_per_gb=0.01, price_per_gb=0.02)
    policy = Policy(0, timedelta(0), timedelta(0), g_per_price=g_per_price, g_per_hour=g_per_hour, link=link)
    regions = [
        Region(
            each.name, pools=each.pools, cpus=9, pue=each.pue, price_per_kwh=price * (each.name == "north")
        )
        for each in case.regions
    ]
    job = Ask(
        1, T0, Need(gpus=1), case.job.duration, "yours", 1000.0, "given", case.job.finish_by, home="home",
        kinds=case.job.kinds, data_gb=data_gb,
    )  # fmt: skip
    case = Case(job, regions, case.average, {}, case.now, policy)
    now_ms = floor_ms(case.now)
    way_ms = 1_800_000 if data_gb else 0

    def moving(start: Start) -> float:
        if start.region == "home" or not data_gb:
            return 0.0
        ends = [outlook for outlook in case.average.values() if outlook is not None]
        mean = sum(grams(each, now_ms, now_ms + way_ms) for each in ends) / len(ends) / (way_ms / 3_600_000)
        return data_gb * 0.01 * mean

    def weight(start: Start) -> float:
        region = next(region for region in regions if region.name == start.region)
        hours = (start.end_ms - start.start_ms) / 3_600_000
        money = price * region.pue * case.draws(region.pools[0]) * hours + data_gb * 0.02
        money = money if start.region == "north" else 0.0
        return (
            start.first
            + moving(start)
            + money * g_per_price
            + g_per_hour * (start.end_ms - now_ms) / 3_600_000
        )

    plan = case.plan()
    chosen = case.planned(plan)
    if chosen.region == "north":
        assert chosen.start_ms >= now_ms + way_ms
    assert plan.expected_g == pytest.approx(chosen.first + moving(chosen), abs=1e-6)
    open_to_it = [s for s in case.starts(30_000) if s.region == "home" or s.start_ms >= now_ms + way_ms]
    assert weight(chosen) <= min(map(weight, open_to_it)) + 1e-5
