"""Where a saving stands, of a job and of a total: its interval, what that covers, and its grade."""

from dataclasses import replace

import pytest

from tests.unit.scheduler.test_totals import CPU, GPU, G, average, by_meter, ledger, own, receipt, row
from tidewatt.scheduler.accounting.levers import Exposure
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.receipt_view import settlement_view
from tidewatt.scheduler.accounting.report import report
from tidewatt.scheduler.accounting.standing import standings
from tidewatt.scheduler.accounting.uncertainty import IDLE

HERE = ("local (assumed)", "GB Carbon Intensity DE")


def part(meter: str, saved_g: float, actual_g: float) -> Exposure:
    actual, saved = round(actual_g * G), round(saved_g * G)
    return Exposure(meter, *HERE, actual, actual + saved, actual + 2 * saved)


def test_a_sliver_by_a_known_meter_lifts_no_job() -> None:
    """Of 50 g saved a hundred-thousandth is a GPU's, the rest a CPU's of which nobody knows the error."""
    parts = part(CPU, 49.9995, 99.999), part(GPU, 0.0005, 0.001)
    job = receipt(ledger(50, exposures=parts))
    assert sum(each.feasible_ug - each.actual_ug for each in parts) == 50 * G
    standing = standings(job)["average"]
    assert standing.interval is not None
    assert standing.interval.quantified
    assert (standing.interval.known, standing.grade) == (False, "estimated")
    view = settlement_view(job)
    assert view.ledgers[0].interval is not None
    assert (view.grade, view.ledgers[0].interval.covered) == ("estimated", 0.00001)


def test_a_job_whose_gpu_is_nearly_all_of_it_is_verified_with_its_list_of_what_is_not_known() -> None:
    job = receipt(ledger(50, exposures=(part(CPU, 2, 4), part(GPU, 48, 96))))
    standing = standings(job)["average"]
    assert standing.interval is not None
    assert (standing.interval.covered_ppm, standing.grade) == (960_000, "verified")
    assert standing.interval.not_quantified == (
        CPU,
        "PUE of local (assumed)",
        "grid data of GB Carbon Intensity DE",
        IDLE,
    )


def test_a_small_saving_is_estimated_by_the_baseline_that_it_is_compared_with() -> None:
    far = ledger(0, feasible_ug=200 * G, hypothetical_ug=103 * G)  # 3 g of 103 g since submission
    far = replace(far, exposures=(Exposure(GPU, *HERE, 100 * G, 200 * G, 103 * G),))
    assert standings(receipt(far), "hypothetical")["average"].grade == "verified"
    assert average(report([row(1, far)], None, baseline="hypothetical")).grade == "verified"
    near = ledger(2)  # of 102 g in its turn, 4 g of 104 g since submission
    grades = [standings(receipt(near), kind)["average"].grade for kind in ("feasible", "hypothetical")]
    assert grades == ["estimated", "verified"]


def test_a_job_that_started_later_than_planned_is_estimated_whatever_was_metered() -> None:
    job = receipt(ledger(50))
    late = replace(job, overdue_ms=300_000)
    assert [standings(each)["average"].grade for each in (job, late)] == ["verified", "estimated"]
    assert Settlement.restored(late.record()) == late
    assert "overdue_ms" not in job.record()
    assert Settlement.restored(job.record()).overdue_ms == 0


def test_a_saving_without_a_baseline_has_no_grade() -> None:
    assert standings(receipt(replace(ledger(2), feasible_ug=None)))["average"].grade == ""


def test_what_tidewatt_used_itself_is_at_stake_and_covered_by_nothing() -> None:
    band = average(report([row(1, ledger(50))], None, own=[own(1, 10)])).interval
    assert band is not None
    assert band.covered == 0.833333  # of 50 g saved and 10 g lost; of 250 g and 10 g at stake it is more
    assert band.low_g == pytest.approx(50 / 1.045 - 10, rel=0.003)


def test_jobs_of_an_earlier_method_are_at_stake_and_covered_by_nothing() -> None:
    old = ledger(50, levers=None, exposures=())
    band = average(report([row(1, ledger(50)), row(2, old)], None)).interval
    assert band is not None
    assert band.covered == 0.5
    none = average(report([row(1, ledger(50)), row(2, ledger(0, levers=None, exposures=()))], None)).interval
    assert none is not None
    assert none.covered == pytest.approx(250 / 450, abs=1e-6)  # it saved nothing, of 200 g


def test_a_total_of_groups_covers_what_its_groups_cover_together() -> None:
    rows = [row(1, ledger(50), project="a"), row(2, by_meter(CPU), project="b"), row(3, ledger(50))]
    by_project, whole = report(rows, None, "project"), report(rows, None)
    assert average(by_project).interval == average(whole).interval
    band = average(by_project).interval
    assert band is not None
    assert band.covered == 0.666666
