"""Totals of reports: one baseline for all, levers that add up, intervals and grades of sums, own use."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.levers import Exposure, Levers
from tidewatt.scheduler.accounting.receipt import Component, Ledger, Settlement
from tidewatt.scheduler.accounting.report import ReportRow, report
from tidewatt.scheduler.accounting.report_schema import Report, SignalTotal
from tidewatt.scheduler.accounting.report_text import csv_text, lines, tables
from tidewatt.scheduler.cli.text import folded, table
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import SettlementState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KWH = 3_600_000_000_000
G = 1_000_000
GPU = "gpu measured: NVML energy counter"


def ledger(saved_g: int, signal: str = "average", **changes: Any) -> Ledger:
    """A job that emitted 100 g above idle; in its turn it saved `saved_g`, since submission twice that."""
    feasible, hypothetical = (100 + saved_g) * G, (100 + 2 * saved_g) * G
    levers = Levers(saved_g * G + 3 * G, 2 * saved_g * G + 3 * G, -G, 0, -2 * G, 0, 0)
    made = Ledger(
        signal=signal,
        source="GB Carbon Intensity",
        kind=f"{signal} lifecycle CO2eq, production",
        emissions_ug=120 * G,
        actual_ug=100 * G,
        feasible_ug=feasible,
        hypothetical_ug=hypothetical,
        levers=levers,
        exposures=(
            Exposure(GPU, "local (assumed)", "GB Carbon Intensity DE", 100 * G, feasible, hypothetical),
        ),
        forecast_saved_ug=40 * G,
    )
    return replace(made, **changes)


def receipt(*ledgers: Ledger, how: How = How.MEASURED, kwh: float = 1.0, state: str = "final") -> Settlement:
    energy = round(kwh * KWH)
    part = Component("gpu", how, "x", energy, energy // 2, 1_000_000)
    if how is How.MODELLED:
        part = replace(part, modelled_uj=energy)
    return Settlement(
        SettlementState(state), NOON, "2", energy, energy, 1_000_000, "assumed", (part,), ledgers,
        3_600_000, 0, 0, NOON, (("1.1", "sha256:0"),), (),
    )  # fmt: skip


def row(job_id: int, *ledgers: Ledger, **changes: Any) -> ReportRow:
    known = {name: changes.pop(name) for name in ("how", "kwh", "state") if name in changes}
    made = ReportRow(
        job_id, "ada", "nlp", "local", NOON + timedelta(hours=job_id), receipt(*ledgers, **known)
    )
    return replace(made, **changes)


def average(made: Report) -> SignalTotal:
    return next(each for each in made.total.signals if each.signal == "average")


def test_a_total_is_verified_where_its_energy_is_metered_and_its_interval_above_zero() -> None:
    total = average(report([row(i, ledger(50)) for i in range(20)], None))
    assert total.interval is not None
    assert (total.grade, total.saved_feasible_g) == ("verified", 1000.0)
    assert 950 < total.interval.low_g < 962 < 1040 < total.interval.high_g < 1055


CPU = "cpu measured: RAPL"  # nobody published an error of it


def by_meter(meter: str, saved_g: int = 50) -> Ledger:
    made = ledger(saved_g)
    return replace(made, exposures=tuple(replace(each, meter=meter) for each in made.exposures))


def test_one_job_with_a_known_error_does_not_lift_ninety_nine_without() -> None:
    rows = [row(i, by_meter(CPU) if i else ledger(50)) for i in range(100)]
    made = report(rows, None)
    total = average(made)
    assert total.interval is not None
    assert (total.grade, total.interval.covered) == ("estimated", 0.01)
    assert f"{CPU}" in total.interval.not_quantified
    text = "\n".join(lines(made))
    assert "by known errors alone (covers 1 % of what is at stake)" in text
    assert "How far the rest may be off is not known." in text
    assert tables(made)[1].rows[-1][-2:] == ("1 %", "estimated")


@pytest.mark.parametrize(("without", "grade"), [(5, "verified"), (6, "estimated")])
def test_a_total_is_verified_while_95_percent_of_it_has_a_known_error(without: int, grade: str) -> None:
    rows = [row(i, by_meter(CPU) if i < without else ledger(50)) for i in range(100)]
    assert average(report(rows, None)).grade == grade


def test_a_total_of_less_than_2_percent_is_not_verified() -> None:
    grades = [average(report([row(1, ledger(saved)), row(2, ledger(1))], None)).grade for saved in (3, 4)]
    assert grades == ["estimated", "verified"]  # of 204 g and 205 g


@pytest.mark.parametrize(("modelled", "grade"), [(1, "verified"), (2, "estimated")])
def test_a_total_stays_verified_while_95_percent_of_its_energy_is_metered(modelled: int, grade: str) -> None:
    rows = [row(i, ledger(50), how=How.MODELLED if i < modelled else How.MEASURED) for i in range(20)]
    assert average(report(rows, None)).grade == grade


@pytest.mark.parametrize(("late", "grade"), [(5, "verified"), (6, "estimated")])
def test_a_total_is_verified_while_95_percent_of_its_saving_was_planned(late: int, grade: str) -> None:
    rows = [row(i, ledger(50)) for i in range(100)]
    rows[:late] = [
        replace(each, settlement=replace(receipt(ledger(50)), overdue_ms=300_000)) for each in rows[:late]
    ]
    assert average(report(rows, None)).grade == grade


def test_a_loss_by_a_delay_does_not_hide_a_gain_by_another() -> None:
    late = [replace(receipt(ledger(saved)), overdue_ms=300_000) for saved in (40, -40)]
    rows = [replace(row(i), settlement=each) for i, each in enumerate(late)]
    assert average(report([*rows, row(2, ledger(50))], None)).grade == "estimated"


def test_every_settled_job_is_in_the_total_whatever_its_grade() -> None:
    rows = [row(1, ledger(50)), row(2, ledger(-20)), row(3, ledger(5), how=How.MODELLED, state="provisional")]
    rows.append(row(4, ledger(500), state="unverified"))
    made = report(rows, None, "job")
    grades = [group.signals[0].grade for group in made.groups]
    assert grades == ["verified", "estimated", "estimated", ""]
    assert (average(made).saved_feasible_g, average(made).settled, made.total.unverified) == (35.0, 3, 1)


def test_a_total_loss_stays_negative_and_is_no_verified_saving() -> None:
    total = average(report([row(1, ledger(-30)), row(2, ledger(10))], None))
    assert total.interval is not None
    assert (total.saved_feasible_g, total.grade) == (-20.0, "estimated")
    assert total.interval.high_g < 0


def test_the_baseline_is_one_for_the_whole_report() -> None:
    rows = [row(1, ledger(50), ledger(20, "marginal")), row(2, ledger(30))]
    feasible, hypothetical = (
        report(rows, None, "job", baseline=kind) for kind in ("feasible", "hypothetical")
    )
    assert (feasible.baseline, hypothetical.baseline) == ("feasible", "hypothetical")
    assert [average(each).saved_hypothetical_g for each in (feasible, hypothetical)] == [160.0, 160.0]
    band = average(hypothetical).interval
    assert band is not None
    assert band.low_g < 160 < band.high_g
    assert "against starting at submission" in tables(hypothetical)[1].title
    assert tables(hypothetical)[1].rows[-1][2] == "+160 g"
    text = "\n".join(lines(hypothetical))
    assert "instead of 360 g by starting at submission: location-based footprint 160 g less (44.4 %" in text
    assert "against starting in turn: 80.0 g less" in text
    with pytest.raises(BadInput, match="choose feasible or hypothetical"):
        report(rows, None, baseline="best")


def test_signals_that_disagree_by_the_reports_baseline_leave_no_headline() -> None:
    marginal = ledger(10, "marginal", hypothetical_ug=90 * G)  # saved in its turn, lost since submission
    rows = [row(1, ledger(50), marginal)]
    assert not report(rows, None).total.signals_disagree
    made = report(rows, None, baseline="hypothetical")
    assert made.total.signals_disagree
    assert {each.grade for each in made.total.signals} == {"inconclusive"}
    assert any("no saving is claimed" in line for line in lines(made))


def test_levers_of_all_jobs_sum_to_their_saving() -> None:
    total = average(report([row(1, ledger(50)), row(2, ledger(-20))], None))
    assert total.levers is not None
    parts = total.levers.model_dump(exclude={"time_hypothetical_g", "unverified_efficiency_g"})
    assert sum(parts.values()) == total.saved_feasible_g == 30.0
    assert "of it by time 36.0 g less, region 2.00 g more, pauses 4.00 g more." in "\n".join(
        lines(report([row(1, ledger(50)), row(2, ledger(-20))], None))
    )


def test_one_job_without_levers_leaves_none_for_the_total_and_no_number_for_its_errors() -> None:
    old = ledger(50, levers=None, exposures=(), forecast_saved_ug=None)
    made = report([row(1, ledger(50)), row(2, old)], None)
    total = average(made)
    assert total.levers is None
    assert total.interval is not None
    assert "1 job settled by an earlier method" in total.interval.not_quantified
    assert 97 < total.interval.low_g < 98  # 50 g of it are off by nothing that is known
    assert (total.grade, total.forecast_jobs) == ("estimated", 1)
    assert any(
        "the plans of 1 job promised 40.0 g less than starting at once" in line for line in lines(made)
    )


def test_a_job_that_drew_nothing_has_no_errors_to_be_told() -> None:
    nothing = ledger(0, actual_ug=0, feasible_ug=0, hypothetical_ug=0, exposures=())
    total = average(report([row(1, ledger(50)), row(2, nothing, kwh=0.0)], None))
    assert total.interval is not None
    assert not any("earlier method" in each for each in total.interval.not_quantified)
    assert (total.settled, total.grade) == (2, "verified")


def own(hour: int, average_g: int, **changes: Any) -> Mapping[str, Any]:
    made = {
        "hour_ms": hour * 3_600_000,
        "energy_uj": {"cpu": KWH // 100},
        "emissions_ug": {"average": 2 * average_g * G},
        "actual_ug": {"average": average_g * G},
        "how": "modelled",
    }
    return {**made, **changes}


def test_own_use_is_on_the_actual_side_of_the_total_and_in_no_group() -> None:
    made = report([row(1, ledger(50))], None, "project", own=[own(1, 3), own(2, 1), own(2, 2)])
    assert made.own is not None
    assert made.own.model_dump() == {"energy_kwh": 0.02, "emissions_g": {"average": 10.0}, "how": "modelled"}
    assert (average(made).actual_g, average(made).saved_feasible_g) == (105.0, 45.0)
    assert made.groups[0].signals[0].saved_feasible_g == 50.0
    band = average(made).interval
    assert band is not None
    assert "what Tidewatt itself used" in band.not_quantified
    assert any("Tidewatt itself used 20.0 Wh (modelled), 10.0 g (average)" in line for line in lines(made))


def test_own_use_can_turn_a_saving_into_a_loss() -> None:
    made = report([row(1, ledger(5))], None, own=[own(1, 6, actual_ug={})])
    assert average(made).saved_feasible_g == -7.0
    assert average(made).grade == "estimated"


def test_nobody_knows_what_tidewatt_used_where_nothing_says_so() -> None:
    assert report([row(1, ledger(5))], None).own is None
    unknown = report([row(1, ledger(5))], None, own=[{"hour_ms": 0, "how": "missing"}]).own
    assert unknown is not None
    assert unknown.energy_kwh is None


def test_experiments_are_labels_or_arrays() -> None:
    rows = [
        row(1, ledger(5), labels={"experiment": "lr sweep"}),
        row(2, ledger(5), labels={"experiment": "lr sweep"}, array=2),
        row(3, ledger(5), array=3),
        row(4, ledger(5)),
    ]
    made = report(rows, None, "experiment")
    assert [(group.key, group.jobs) for group in made.groups] == [
        ("(none)", 1),
        ("array 3", 1),
        ("lr sweep", 2),
    ]


def test_the_hold_out_counts_each_job_by_its_lot() -> None:
    rows = []
    for i in range(40):
        arm = "held_out" if i % 2 else "shifted"
        actual = (130 if i % 2 else 100) * G + i
        each = row(i + 1, ledger(50, actual_ug=actual), arm=arm, stratum="12 UTC, nlp", signal="average")
        rows.append(each)
    rows.append(row(99, arm="shifted", stratum="12 UTC, nlp", signal="average"))  # has no account
    made = report(rows, None, hold_out_share_ppm=500_000)
    found = made.hold_out
    assert found is not None
    assert (found.held_out, found.shifted, found.share, found.signal) == (20, 20, 0.5, "average")
    assert found.mean_held_out == pytest.approx(260, abs=0.1)  # 130 g for half a kWh above idle
    assert found.effect == pytest.approx(-60, abs=0.1)
    assert "1 more without an account" in found.note
    assert any(line.startswith("Hold-out (0.5 of flexible jobs by lot") for line in lines(made))


def test_the_hold_out_is_compared_by_a_signal_that_the_jobs_have() -> None:
    rows = [
        row(i, ledger(50, "marginal"), arm=("held_out", "shifted")[i % 2], stratum="s", signal="average")
        for i in range(1, 7)
    ]
    found = report(rows, None).hold_out
    assert found is not None
    assert (found.signal, found.held_out, found.shifted) == ("marginal", 3, 3)
    both = [replace(each, settlement=receipt(ledger(1), ledger(1, "marginal"))) for each in rows[:1]]
    decided = report([*both, *rows[1:]], None).hold_out
    assert decided is not None
    assert (decided.signal, decided.held_out + decided.shifted) == ("average", 1)


def test_reports_read_at_80_columns() -> None:
    long = "a-project-with-a-rather-long-name-indeed"
    big = [
        row(1, ledger(-123_456), ledger(-98_765, "marginal"), project=long),
        row(2, ledger(150), ledger(90, "marginal"), project="vision"),
    ]
    made = report(big, None, "project", own=[own(1, 1)])
    printed = [line for each in tables(made) for line in [each.title, *table(each.titles, each.rows)]]
    printed += folded(lines(made), "  ")
    assert max(map(len, printed)) <= 80
    assert "a-project-w…" in "\n".join(printed)


def test_csv_holds_interval_grade_and_levers() -> None:
    text = csv_text(report([row(1, ledger(50))], None, "project")).splitlines()
    cells = dict(zip(text[0].split(","), text[1].split(","), strict=True))
    assert cells["average_grade"] == "verified"
    assert cells["average_time_feasible_g"] == "53"
    assert float(cells["average_low_g"]) < 50 < float(cells["average_high_g"])
    assert cells["average_forecast_saved_g"] == "40"
