"""The examples of docs/savings.md come out as they are written there."""

from datetime import timedelta
from pathlib import Path

from tests.unit.scheduler.test_settlement import (
    EXAMPLE,
    HOUR_UJ,
    MONTH_LATER,
    account,
    at,
    frozen,
    ms,
    observed,
    run,
    settled_example,
    span,
)
from tidewatt.scheduler.accounting.baseline import ReplayJob, first_feasible
from tidewatt.scheduler.accounting.report import ReportRow, report
from tidewatt.scheduler.accounting.settlement import settle
from tidewatt.scheduler.jobs import Need, SettlementState
from tidewatt.scheduler.region import Pool, Region

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "savings.md").read_text(encoding="utf-8")


def stands(micrograms: int | None, grams: float, line: str) -> None:
    """The number is that of the page, in a line that begins so."""
    assert micrograms == round(grams * 1e6), line
    assert any(each.startswith(line) and f"= {grams:g} g" in each for each in PAGE.splitlines()), line


def test_job_that_waited_by_two_signals_that_disagree() -> None:
    settlement = settled_example()
    average, marginal = account(settlement), account(settlement, "marginal")
    assert settlement.energy_uj == 480 * HOUR_UJ
    assert settlement.facility_uj == 576 * HOUR_UJ
    stands(average.emissions_ug, 75.6, "emissions ")
    stands(average.actual_ug, 57.6, "actual ")
    stands(average.feasible_ug, 190.08, "feasible baseline ")
    stands(average.hypothetical_ug, 180.0, "hypothetical baseline ")
    stands(average.saved_feasible_ug, 132.48, "saved ")
    stands(average.saved_hypothetical_ug, 122.4, "saved, hypothetical ")
    stands(marginal.actual_ug, 259.2, "actual ")
    stands(marginal.feasible_ug, 216.0, "feasible baseline ")
    stands(marginal.saved_feasible_ug, -43.2, "saved ")
    assert settlement.signals_disagree
    assert settlement.view().grade == "inconclusive"
    assert settlement.state is SettlementState.FINAL
    assert settlement.waited_ms == 4 * 3_600_000
    assert settlement.held_back_ms == settlement.idle_gpu_ms == 3 * 3_600_000


def test_short_cut_of_the_page_is_not_what_is_computed() -> None:
    hourly = EXAMPLE["DE", "average"][1]
    short_cut = (hourly[0] - hourly[4]) * 0.36 * 1.2
    assert f"`(400 - 150) x 0.36 x 1.2 = {short_cut:g} g` where 122.4 g is right" in PAGE
    assert account(settled_example()).saved_hypothetical_ug == 122_400_000


def test_ten_jobs_on_one_gpu() -> None:
    hourly = {("DE", "average"): (8, (500.0,) * 5 + (300.0,) * 5 + (100.0,) * 10)}
    need, hour = Need(gpus=1), timedelta(hours=1)
    queue = [ReplayJob(number, at(8), hour, need, ended=True) for number in range(10)]
    starts = first_feasible(queue, Region("local", pools=(Pool("a100", 1),), cpus=10))
    rows = []
    for number in range(10):
        first = 18 + number
        job = [run([span(first, first + 1, 200)], first, first + 1, average="DE")]
        receipt = settle(frozen(8, average="DE"), job, starts[number], observed(hourly), MONTH_LATER)
        rows.append(ReportRow(number, "ann", "", "local", at(first + 1), receipt))
    [total] = report(rows, None).total.signals
    for grams, name, line in (
        (total.actual_g, 200.0, "actual "),
        (total.hypothetical_g, 1000.0, "hypothetical baseline "),
        (total.feasible_g, 800.0, "feasible baseline "),
        (total.saved_feasible_g, 600.0, "saved "),
        (total.saved_hypothetical_g, 800.0, "saved, hypothetical "),
    ):
        assert grams is not None
        stands(round(grams * 1e6), name, line)


def test_pause_that_cost_more_than_it_saved() -> None:
    hourly = {("DE", "average"): (10, (400.0, 300.0, 300.0, 280.0))}
    spans = [span(10, 11, 250), span(11, 13, 40), span(13, 14, 250)]
    job = [run(spans, 10, 14, pauses=((ms(11), ms(13)),), average="DE")]
    ledger = account(settle(frozen(10, average="DE"), job, at(10), observed(hourly), MONTH_LATER))
    stands(ledger.feasible_ug, 175.0, "feasible baseline ")
    stands(ledger.actual_ug, 194.0, "actual ")
    stands(ledger.saved_feasible_ug, -19.0, "saved ")
    assert ledger.levers is not None
    stands(ledger.levers.time_feasible_ug, 5.0, "by waiting ")
    stands(ledger.levers.pauses_ug, -24.0, "by pauses ")
