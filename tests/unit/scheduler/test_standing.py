"""Where a single job's saving stands: its interval, what that covers, and its grade."""

from dataclasses import replace

from tests.unit.scheduler.test_totals import CPU, GPU, G, ledger, receipt
from tidewatt.scheduler.accounting.levers import Exposure
from tidewatt.scheduler.accounting.receipt_view import settlement_view
from tidewatt.scheduler.accounting.standing import standings
from tidewatt.scheduler.accounting.uncertainty import IDLE

HERE = ("local (assumed)", "file grid.csv DE")


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
        "grid data of file grid.csv DE",
        IDLE,
    )


def test_a_small_saving_is_estimated_by_the_baseline_that_it_is_compared_with() -> None:
    job = receipt(ledger(2))  # of 102 g in its turn, 4 of 104 g since submission
    grades = [standings(job, kind)["average"].grade for kind in ("feasible", "hypothetical")]
    assert grades == ["estimated", "verified"]
    assert standings(receipt(replace(ledger(2), feasible_ug=None)))["average"].grade == ""
