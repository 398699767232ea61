"""Reports of any jobs: groups add up to the total, and errors in common stay in common."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.test_totals import ledger, row
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.report import ReportRow, report
from tidewatt.scheduler.accounting.report_schema import ReportGroup, SignalTotal

STATES = ("provisional", "final", "unverified", "none")


@st.composite
def jobs(draw: st.DrawFn) -> list[ReportRow]:
    found = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        ledgers = [ledger(draw(st.integers(-90, 90)))]
        if draw(st.booleans()):
            ledgers.append(ledger(draw(st.integers(-90, 90)), "marginal"))
        if draw(st.booleans()):
            ledgers = [replace(each, forecast_saved_ug=None) for each in ledgers]
        how = draw(st.sampled_from([How.MEASURED, How.MODELLED]))
        state = draw(st.sampled_from(STATES))
        made = row(number, *ledgers, how=how, state=state, kwh=float(draw(st.integers(1, 9))))
        found.append(replace(made, project=draw(st.sampled_from(["", "nlp", "vision"]))))
    return found


def signals(rows: list[ReportRow]) -> set[str]:
    return {each.signal for row in rows if row.settlement is not None for each in row.settlement.ledgers}


def by_signal(group: ReportGroup) -> dict[str, SignalTotal]:
    return {each.signal: each for each in group.signals}


@settings(max_examples=60)
@given(jobs(), st.sampled_from(["feasible", "hypothetical"]), st.sampled_from(["project", "job", "day"]))
def test_groups_add_up_to_the_total(rows: list[ReportRow], baseline: str, by: str) -> None:
    made = report(rows, None, by, baseline=baseline)
    assert by_signal(made.total).keys() == signals(rows)
    for signal, total in by_signal(made.total).items():
        parts = [found for group in made.groups if (found := by_signal(group).get(signal))]
        for name in ("jobs", "settled", "emissions_g", "actual_g", f"saved_{baseline}_g", "forecast_jobs"):
            summed = sum(getattr(part, name) or 0 for part in parts)
            assert summed == pytest.approx(getattr(total, name) or 0, abs=1e-9), name
        assert total.settled == sum(
            row.settlement is not None and row.settlement.state in ("provisional", "final")
            and any(each.signal == signal for each in row.settlement.ledgers)
            for row in rows
        )  # fmt: skip


@settings(max_examples=60)
@given(jobs(), st.integers(0, 99))
def test_the_order_in_which_jobs_come_changes_no_digit(rows: list[ReportRow], seed: int) -> None:
    shuffled = list(rows)
    random.Random(seed).shuffle(shuffled)
    assert report(shuffled, None, "project") == report(rows, None, "project")


@settings(max_examples=60)
@given(jobs())
def test_the_interval_of_a_total_of_gains_is_as_wide_as_those_of_its_parts_together(
    rows: list[ReportRow],
) -> None:
    """All jobs here have the same meter: their errors are one error, and nothing averages out."""
    made = report(rows, None, "job")
    assert by_signal(made.total).keys() == signals(rows)
    for signal, total in by_signal(made.total).items():
        parts = [found for group in made.groups if (found := by_signal(group).get(signal))]
        bands = [part.interval for part in parts if part.interval is not None]
        if total.interval is None or not bands:
            continue
        net = sum(part.saved_feasible_g or 0 for part in parts)
        gross = sum(abs(part.saved_feasible_g or 0) for part in parts)
        width = total.interval.high_g - total.interval.low_g
        together = sum(band.high_g - band.low_g for band in bands)
        assert width == pytest.approx(together * abs(net) / gross if gross else 0, abs=1e-4)
        assert width <= together + 1e-4
