"""What must hold of every settlement, whatever was metered and observed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.columns import Spans
from tidewatt.backends.meters.reading import How, Span, Usage
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Series, Steps
from tidewatt.scheduler.accounting.phases import uninterrupted
from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.accounting.settlement import AttemptRun, Frozen, Observations, settle
from tidewatt.scheduler.jobs import SettlementState

START = datetime(2026, 3, 1, tzinfo=UTC)
START_MS = time_ms(START)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
LATER = START + timedelta(days=90)
GRID_S = 4000  # the observed grid reaches this far
Grid = list[tuple[int, int, float]]  # start s, end s, g/kWh


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Steps of mixed length without holes."""
    edges = [0]
    while edges[-1] < GRID_S:
        edges.append(edges[-1] + draw(st.sampled_from([7, 60, 300, 900])))
    values = draw(st.lists(st.integers(0, 900_000), min_size=len(edges), max_size=len(edges)))
    return [(a, b, mg / 1000) for a, b, mg in zip(edges, edges[1:], values, strict=False)]


@st.composite
def attempts(draw: st.DrawFn, most: int = 3) -> list[AttemptRun]:
    """Attempts with gaps between them; GPU and CPU spans on borders of their own."""
    runs, clock = [], draw(st.integers(500, 1000))
    for number in range(1, draw(st.integers(1, most)) + 1):
        length = draw(st.integers(10, 400))
        spans = [
            Span(START_MS + a * 1000, START_MS + b * 1000, component, How.MEASURED, active, idle)
            for component in ("cpu", "gpu")
            for a, b in _cut(draw, clock, clock + length)
            for active, idle in [
                (draw(st.integers(10**6, 10**10)), draw(st.integers(0, 10**10))),
            ]
        ]
        pue = draw(st.sampled_from([1.0, 1.12, 1.58]))
        productive = draw(st.booleans())
        runs.append(_run(number, spans, clock, clock + length, pue, productive))
        clock += length + draw(st.integers(0, 300))
    return runs


def _cut(draw: st.DrawFn, start: int, end: int) -> list[tuple[int, int]]:
    inner = draw(st.sets(st.integers(start + 1, end - 1), max_size=4))
    edges = [start, *sorted(inner), end]
    return list(pairwise(edges))


def _run(
    number: int, spans: Sequence[Span], start: int, end: int, pue: float = 1.0, productive: bool = True
) -> AttemptRun:
    usage = Usage(
        f"7.{number}",
        START_MS + start * 1000,
        START_MS + end * 1000,
        Spans.of(spans),
        {"cpu": 1.0, "gpu": 1.0},
        {"cpu": "RAPL", "gpu": "NVML"},
        "sha256:0",
    )
    progress = uninterrupted(usage.start_ms, usage.end_ms, kept=productive)
    return AttemptRun(usage.attempt_id, "annex", {"average": "DE"}, pue, "assumed", usage, progress)


def _observed(grid: Grid) -> Observations:
    steps = Steps(
        np.array([START_MS + a * 1000 for a, _, _ in grid], dtype=np.int64),
        np.array([START_MS + b * 1000 for _, b, _ in grid], dtype=np.int64),
        np.array([g for _, _, g in grid]),
    )
    return lambda zone, signal, start, end: Series(zone, KIND, "file grid.csv", steps)


def _settle(runs: Sequence[AttemptRun], grid: Grid, feasible_s: int = 0, pue: float = 1.2) -> Settlement:
    frozen = Frozen("local", {"average": "DE"}, pue, "site", START, "average")
    return settle(frozen, runs, START + timedelta(seconds=feasible_s), _observed(grid), LATER)


def _ledger(settlement: Settlement) -> Ledger:
    assert settlement.state is SettlementState.FINAL
    return settlement.ledgers[0]


def _naive_ug(runs: Sequence[AttemptRun], grid: Grid, begin_s: int | None, pue: float | None) -> float:
    """Energy times intensity second by second; from `begin_s` without gaps where given, else when it ran."""
    total = 0.0
    for run in runs:
        start_s = (run.usage.start_ms - START_MS) // 1000
        length_s = (run.usage.end_ms - run.usage.start_ms) // 1000
        if begin_s is not None and not run.productive():
            continue
        shift_s = 0 if begin_s is None else begin_s - start_s
        for span in run.usage.spans:
            a, b = (span.start_ms - START_MS) // 1000, (span.end_ms - START_MS) // 1000
            for second in range(a, b):
                g = next(g for s, e, g in grid if s <= second + shift_s < e)
                total += span.active_uj / (b - a) * g * (run.pue if pue is None else pue) / 3.6e12 * 1e6
        begin_s = begin_s if begin_s is None else begin_s + length_s
    return total


@given(attempts(), grids(), st.integers(0, 1500))
def test_settlement_equals_an_integration_second_by_second(
    runs: list[AttemptRun], grid: Grid, feasible_s: int
) -> None:
    ledger = _ledger(_settle(runs, grid, feasible_s))
    assert ledger.actual_ug == pytest.approx(_naive_ug(runs, grid, None, None), rel=1e-3, abs=2)
    assert ledger.hypothetical_ug == pytest.approx(_naive_ug(runs, grid, 0, 1.2), rel=1e-3, abs=2)
    assert ledger.feasible_ug == pytest.approx(_naive_ug(runs, grid, feasible_s, 1.2), rel=1e-3, abs=2)


@given(attempts())
def test_energy_of_spans_and_of_components_is_the_same(runs: list[AttemptRun]) -> None:
    settlement = _settle(runs, [(0, GRID_S, 100.0)])
    spans = [span for run in runs for span in run.usage.spans]
    assert settlement.energy_uj == sum(span.active_uj + span.idle_uj for span in spans)
    parts = settlement.components
    assert sum(part.energy_uj or 0 for part in parts) == settlement.energy_uj
    assert sum(part.active_uj or 0 for part in parts) == sum(span.active_uj for span in spans)


@given(attempts(most=1), grids())
def test_shift_by_nothing_saves_exactly_nothing(runs: list[AttemptRun], grid: Grid) -> None:
    run = _run(1, runs[0].usage.spans, *_seconds(runs[0]), pue=1.2)
    ledger = _ledger(_settle([run], grid, _seconds(run)[0]))
    assert ledger.saved_feasible_ug == 0


@given(attempts(), st.integers(1, 900_000), st.integers(0, 1500))
def test_constant_grid_saves_only_what_lost_work_and_pue_cost(
    runs: list[AttemptRun], mg: int, feasible_s: int
) -> None:
    kept = [_run(n, run.usage.spans, *_seconds(run), pue=1.2) for n, run in enumerate(runs)]
    ledger = _ledger(_settle(kept, [(0, GRID_S, mg / 1000)], feasible_s))
    assert ledger.saved_feasible_ug == pytest.approx(0, abs=1 + 1e-9 * ledger.actual_ug)


@given(attempts(), grids(), st.integers(2, 9))
def test_numbers_scale_with_energy(runs: list[AttemptRun], grid: Grid, times: int) -> None:
    more = [
        _run(
            number,
            [
                Span(s.start_ms, s.end_ms, s.component, s.how, times * s.active_uj, times * s.idle_uj)
                for s in run.usage.spans
            ],
            *_seconds(run),
            run.pue,
            bool(run.productive()),
        )
        for number, run in enumerate(runs)
    ]
    once, scaled = _ledger(_settle(runs, grid)), _ledger(_settle(more, grid))
    for name in ("emissions_ug", "actual_ug", "feasible_ug", "hypothetical_ug"):
        assert getattr(scaled, name) == pytest.approx(times * getattr(once, name), abs=times)


@given(attempts(most=1), grids(), st.data())
def test_splitting_spans_and_steps_changes_nothing(
    runs: list[AttemptRun], grid: Grid, data: st.DataObject
) -> None:
    halves = [half for span in runs[0].usage.spans for half in _halves(span)]
    split = _run(1, halves, *_seconds(runs[0]), runs[0].pue, bool(runs[0].productive()))
    cut = data.draw(st.integers(1, GRID_S - 1))
    finer = [
        part for a, b, g in grid for part in ([(a, cut, g), (cut, b, g)] if a < cut < b else [(a, b, g)])
    ]
    whole, parts = _ledger(_settle(runs, grid, 77)), _ledger(_settle([split], finer, 77))
    assert parts.actual_ug == pytest.approx(whole.actual_ug, abs=1, rel=1e-9)
    assert parts.feasible_ug == pytest.approx(whole.feasible_ug, abs=1, rel=1e-9)


@given(attempts(), grids(), st.integers(0, GRID_S))
def test_account_is_never_settled_over_a_hole(runs: list[AttemptRun], grid: Grid, at_s: int) -> None:
    holed = [step for step in grid if not step[0] <= at_s < step[1]]
    gone = [step for step in grid if step[0] <= at_s < step[1]]
    settlement = _settle(runs, holed)
    needed = [_seconds(run) for run in runs]
    productive = sum(end - start for run in runs if run.productive() for start, end in [_seconds(run)])
    needed += [(0, productive)]
    touched = any(a < e and s < b for a, b, _ in gone for s, e in needed if e > s)
    assert (settlement.state is SettlementState.UNVERIFIED) == touched


@given(attempts(), grids())
def test_record_restores_every_settlement(runs: list[AttemptRun], grid: Grid) -> None:
    settlement = _settle(runs, grid)
    assert Settlement.restored(settlement.record()) == settlement


def _seconds(run: AttemptRun) -> tuple[int, int]:
    return (run.usage.start_ms - START_MS) // 1000, (run.usage.end_ms - START_MS) // 1000


def _halves(span: Span) -> list[Span]:
    """Two spans of the same power, as far as whole microjoules allow."""
    middle = (span.start_ms + span.end_ms) // 2
    share = (middle - span.start_ms) / (span.end_ms - span.start_ms)
    active, idle = round(span.active_uj * share), round(span.idle_uj * share)
    first = Span(span.start_ms, middle, span.component, span.how, active, idle)
    second = Span(middle, span.end_ms, span.component, span.how, span.active_uj - active, span.idle_uj - idle)
    return [first, second]
