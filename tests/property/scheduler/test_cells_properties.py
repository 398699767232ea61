"""What must hold of cells, levers and exposures, whatever was metered, observed, kept or moved."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.columns import Spans
from tidewatt.backends.meters.reading import How, Span, Usage
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Series, Steps
from tidewatt.scheduler.accounting.metered import AttemptRun, Move, productive_ms
from tidewatt.scheduler.accounting.pairs import Efficiency
from tidewatt.scheduler.accounting.phases import Phase, Progress, Stretch
from tidewatt.scheduler.accounting.profile import Cell
from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.accounting.settlement import Frozen, Observations, settle

START = datetime(2026, 3, 1, 0, 13, 7, tzinfo=UTC)
START_MS = time_ms(START)
LATER = START + timedelta(days=90)
LAST_S = 40_000  # the observed grids reach this far
ZONES = ("DE", "FR")
Grid = Mapping[tuple[str, str], Series]


@st.composite
def grids(draw: st.DrawFn) -> dict[tuple[str, str], Series]:
    """Both signals of both zones, in steps of mixed length that begin at any time."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))  # drawn one by one, steps would take too long
    lengths_ms = draw(st.sampled_from([(300_000,), (3_600_000,), (300_000, 1_800_000, 12_345_678)]))
    found = {}
    for zone in ZONES:
        for signal in Signal:
            lengths = chance.choice(lengths_ms, 3 + LAST_S * 1000 // min(lengths_ms))
            ends = START_MS - int(chance.integers(1, 300_000)) + np.cumsum(lengths)
            steps = Steps(ends[:-1], ends[1:], chance.integers(0, 900_000, ends.size - 1) / 1000)
            steps = replace(steps, start_ms=steps.start_ms - lengths[0], end_ms=steps.end_ms - lengths[0])
            kind = Kind(signal, Basis.LIFECYCLE, Boundary.PRODUCTION)
            found[zone, str(signal)] = Series(zone, kind, "file grid.csv", steps)
    return found


@st.composite
def runs(draw: st.DrawFn) -> list[AttemptRun]:
    """Up to three attempts in two regions, with phases, work that was lost, other hardware and moved data."""
    found, clock_ms = [], START_MS + draw(st.integers(0, 2_000_000))
    for number in range(1, draw(st.integers(1, 3)) + 1):
        length_ms = draw(st.integers(1, 6_000_000))
        found.append(_run(draw, number, clock_ms, clock_ms + length_ms))
        clock_ms += length_ms + draw(st.integers(0, 1_000_000))
    return found


def _run(draw: st.DrawFn, number: int, start_ms: int, end_ms: int) -> AttemptRun:
    zone = draw(st.sampled_from(ZONES))
    spans = [
        Span(first, last, component, how, draw(st.integers(0, 10**10)), draw(st.integers(0, 10**9)))
        for component in ("cpu", "gpu")
        for first, last in _cut(draw, start_ms, end_ms)
        for how in draw(st.sampled_from([(How.MEASURED,), (How.MODELLED,), (How.MEASURED, How.MISSING), ()]))
    ]
    usage = Usage(
        f"7.{number}", start_ms, end_ms, Spans.of(spans), {"cpu": 1.0, "gpu": 1.0}, {"cpu": "RAPL"}, "d"
    )
    stretches = [
        Stretch(phase, first, last)
        for first, last in _cut(draw, start_ms, end_ms)
        for phase in [draw(st.sampled_from([Phase.RUNNING, Phase.RUNNING, Phase.PAUSING, Phase.SUSPENDED]))]
    ]
    kept_ms = draw(st.integers(start_ms, end_ms))
    ratio_ppm = draw(st.sampled_from([None, 500_000, 1_300_001]))
    pair = None if ratio_ppm is None else Efficiency(ratio_ppm, draw(st.booleans()), "pairs")
    move = Move(10**11 + number, 10**10, 10**12, "a link", "other", {"average": "FR"}, start_ms)
    return AttemptRun(
        usage.attempt_id,
        zone.lower(),
        {str(signal): zone for signal in Signal},
        draw(st.sampled_from([1.0, 1.12, 1.583])),
        "site",
        usage,
        Progress(tuple(stretches), kept_ms, {}),
        pair,
        draw(st.sampled_from([None, move])),
    )


def _cut(draw: st.DrawFn, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    inner = draw(st.sets(st.integers(start_ms, end_ms), max_size=3)) - {start_ms, end_ms}
    return list(pairwise([start_ms, *sorted(inner), end_ms]))


FROZEN = Frozen("home", {"average": "DE", "marginal": "DE"}, 1.2, "site", START, "average")


def settled(attempts: Sequence[AttemptRun], grid: Grid, feasible_s: int) -> Settlement:
    feasible = START + timedelta(seconds=feasible_s)
    return settle(FROZEN, attempts, feasible, observed(grid), LATER)


def ledgers(settlement: Settlement, attempts: Sequence[AttemptRun]) -> tuple[Ledger, ...]:
    """One for each signal, where any energy was metered."""
    metered = any(span.how is not How.MISSING for run in attempts for span in run.usage.spans)
    assert len(settlement.ledgers) == (len(Signal) if metered else 0)
    return settlement.ledgers


def observed(grid: Grid) -> Observations:
    return lambda zone, signal, start, end: grid[zone, signal]


@settings(max_examples=60)
@given(runs(), grids(), st.integers(0, 3000))
def test_cells_hold_all_energy_once_and_lie_within_one_step_of_everything(
    attempts: list[AttemptRun], grid: Grid, feasible_s: int
) -> None:
    settlement = settled(attempts, grid, feasible_s)
    by_attempt = {run.attempt_id: run for run in attempts}
    for run in attempts:
        own = [cell for cell in settlement.profile if cell.attempt_id == run.attempt_id]
        for name in ("active_uj", "idle_uj"):
            known = (getattr(span, name) for span in run.usage.spans if span.how is not How.MISSING)
            assert sum(getattr(cell, name) for cell in own) == sum(known)
    begins_ms = [START_MS, START_MS + feasible_s * 1000]
    for cell in settlement.profile:
        assert min(cell.active_uj, cell.idle_uj) >= 0
        assert cell.start_ms // 3_600_000 == (cell.end_ms - 1) // 3_600_000
        zone = by_attempt[cell.attempt_id].zones["average"]
        for signal in Signal:
            assert _within(grid[zone, str(signal)], cell.start_ms, cell)
            if cell.productive:
                home = grid["DE", str(signal)]
                for place_ms in (cell.start_ms, *(begin_ms + cell.at_ms for begin_ms in begins_ms)):
                    assert _within(home, place_ms, cell)


def _within(series: Series, place_ms: int, cell: Cell) -> bool:
    """True where the cell, put at that place, lies within one step."""
    last_ms = place_ms + cell.end_ms - cell.start_ms
    steps = series.steps
    return bool(((steps.start_ms <= place_ms) & (last_ms <= steps.end_ms)).any())


@settings(max_examples=60)
@given(runs(), grids(), st.integers(0, 3000))
def test_levers_add_up_to_the_saving_to_the_microgram(
    attempts: list[AttemptRun], grid: Grid, feasible_s: int
) -> None:
    for ledger in ledgers(settled(attempts, grid, feasible_s), attempts):
        levers = ledger.levers
        assert levers is not None
        assert levers.time_feasible_ug is not None
        assert levers.time_hypothetical_ug is not None
        assert levers.time_feasible_ug + levers.beyond_time_ug == ledger.saved_feasible_ug
        assert levers.time_hypothetical_ug + levers.beyond_time_ug == ledger.saved_hypothetical_ug
        assert max(levers.pauses_ug, levers.lost_work_ug, levers.transfer_ug) <= 0
        if not any(run.efficiency and run.efficiency.measured for run in attempts):
            assert levers.efficiency_ug == 0
        if all(run.zones["average"] == "DE" and run.pue == FROZEN.home_pue for run in attempts):
            assert levers.region_ug == 0


@settings(max_examples=60)
@given(runs(), grids(), st.integers(0, 3000))
def test_exposures_add_up_to_the_account(attempts: list[AttemptRun], grid: Grid, feasible_s: int) -> None:
    for ledger in ledgers(settled(attempts, grid, feasible_s), attempts):
        for name in ("actual_ug", "feasible_ug", "hypothetical_ug"):
            assert sum(getattr(each, name) for each in ledger.exposures) == getattr(ledger, name)


@settings(max_examples=30)
@given(runs(), grids(), st.integers(0, 3000))
def test_an_account_can_be_computed_again_from_its_cells_alone(
    attempts: list[AttemptRun], grid: Grid, feasible_s: int
) -> None:
    written = Settlement.restored(settled(attempts, grid, feasible_s).record())
    factors = {run.attempt_id: run for run in attempts}
    for ledger in ledgers(written, attempts):
        assert by_hand(written.profile, factors, grid, ledger, feasible_s) == (
            ledger.emissions_ug,
            ledger.actual_ug,
            ledger.feasible_ug,
            ledger.hypothetical_ug,
        )


def by_hand(
    cells: Sequence[Cell], runs: Mapping[str, AttemptRun], grid: Grid, ledger: Ledger, feasible_s: int
) -> tuple[int, ...]:
    """The four sums, cell by cell, in one unit and rounded once: microjoules x mg/kWh x 10^-6 x 10^-6."""
    whole = actual = feasible = hypothetical = 0
    for cell in cells:
        run = runs[cell.attempt_id]
        pair = run.efficiency
        ratio = pair.ratio_ppm if pair is not None and pair.measured else 10**6
        there = mg(grid, run.zones[ledger.signal], ledger, cell.start_ms) * round(run.pue * 10**6) * 10**6
        whole += (cell.active_uj + cell.idle_uj) * there
        actual += cell.active_uj * there
        if cell.productive:
            home = round(FROZEN.home_pue * 10**6) * ratio * cell.active_uj
            feasible += home * mg(grid, "DE", ledger, START_MS + feasible_s * 1000 + cell.at_ms)
            hypothetical += home * mg(grid, "DE", ledger, START_MS + cell.at_ms)
    for run in runs.values():
        if run.move is not None:
            ends = [run.move.zones.get(ledger.signal), run.zones[ledger.signal]]
            known = [mg(grid, zone, ledger, run.move.at_ms) for zone in ends if zone]
            moved = run.move.energy_uj * sum(known) * 10**12 // len(known)
            whole, actual = whole + moved, actual + moved
    unit = 3_600_000_000 * 10**12
    return tuple((2 * each + unit) // (2 * unit) for each in (whole, actual, feasible, hypothetical))


def mg(grid: Grid, zone: str, ledger: Ledger, at_ms: int) -> int:
    steps = grid[zone, ledger.signal].steps
    place = int(np.flatnonzero((steps.start_ms <= at_ms) & (at_ms < steps.end_ms))[0])
    return round(float(steps.gco2_per_kwh[place]) * 1000)


@settings(max_examples=30)
@given(runs(), grids())
def test_phases_hold_all_time_and_all_energy(attempts: list[AttemptRun], grid: Grid) -> None:
    settlement = settled(attempts, grid, 0)
    ends_ms = [START_MS, *(run.usage.end_ms for run in attempts)]
    assert sum(use.ms for use in settlement.phases) == max(ends_ms) - START_MS
    energy_uj = sum(use.energy_uj or 0 for use in settlement.phases)
    assert energy_uj == (settlement.energy_uj or 0)
    running = [use.ms for use in settlement.phases if use.phase is Phase.RUNNING and not use.lost]
    assert sum(running) == productive_ms(attempts)


@settings(max_examples=30)
@given(runs(), grids())
def test_without_any_wait_or_move_nothing_is_saved(attempts: list[AttemptRun], grid: Grid) -> None:
    first = attempts[0]
    whole = Progress(
        (Stretch(Phase.RUNNING, first.usage.start_ms, first.usage.end_ms),), first.usage.end_ms, {}
    )
    stayed = replace(
        first,
        region="home",
        zones=FROZEN.home_zones,
        pue=FROZEN.home_pue,
        progress=whole,
        efficiency=None,
        move=None,
    )
    feasible_s = first.usage.start_ms / 1000 - START_MS / 1000
    start = START + timedelta(seconds=feasible_s)
    for ledger in ledgers(settle(FROZEN, [stayed], start, observed(grid), LATER), [stayed]):
        assert ledger.saved_feasible_ug == 0
        assert ledger.levers is not None
        assert ledger.levers.time_feasible_ug == ledger.levers.beyond_time_ug == 0
