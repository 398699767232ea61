"""Other hardware than home's: what counts as measured, and what is only stated."""

from dataclasses import replace

import pytest

from tests.unit.scheduler.test_settlement import (
    EXAMPLE,
    MONTH_LATER,
    account,
    at,
    frozen,
    ms,
    observed,
    run,
    span,
)
from tidewatt.scheduler.accounting.metered import Move
from tidewatt.scheduler.accounting.pairs import EarlierRun, Efficiency, measured_pair, stated
from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.accounting.settlement import settle


def earlier(hardware: str, *active_uj: int, name: str = "train") -> list[EarlierRun]:
    return [EarlierRun(0, "ann", "bert", name, hardware, each) for each in active_uj]


def pair(*runs: list[EarlierRun], name: str = "train") -> Efficiency | None:
    return measured_pair([each for some in runs for each in some], "ann", "bert", name, "V100", "H100")


def test_pair_is_the_ratio_of_median_energies_of_three_runs_on_each_side() -> None:
    found = pair(earlier("V100", 900, 1000, 5000), earlier("H100", 400, 500, 600))
    assert found == Efficiency(2_000_000, True, "median energy per job: 3 on V100, 3 on H100")


@pytest.mark.parametrize(
    "runs",
    [
        [earlier("V100", 900, 1000), earlier("H100", 400, 500, 600)],
        [earlier("V100", 900, 1000, 1100), earlier("H100", 400, 500)],
        [earlier("V100", 900, 1000, 1100), earlier("H100", 400, 500, 600, name="other")],
        [earlier("V100", 900, 1000, 0), earlier("H100", 400, 500, 600)],
    ],
)
def test_too_few_runs_of_the_same_work_are_no_pair(runs: list[list[EarlierRun]]) -> None:
    assert pair(*runs) is None


def test_jobs_without_a_name_are_not_taken_for_the_same_work() -> None:
    unnamed = [replace(each, name="") for each in earlier("V100", 9, 9, 9) + earlier("H100", 4, 4, 4)]
    assert pair(unnamed, name="") is None


def test_stated_ratios_give_energy_by_power_over_speed() -> None:
    assert stated((1.0, 1.0), (2.0, 1.5), "told") == Efficiency(1_333_333, False, "told")
    assert stated((1.0, 1.0), (2.0, 2.0), "told") is None


def moved_in_time(efficiency: Efficiency | None, move: Move | None = None) -> Ledger:
    """A job of 100 W that waits from 10:00 (400 g) to 14:00 (150 g), an hour long."""
    return account(settlement_of(efficiency, move))


def settlement_of(efficiency: Efficiency | None, move: Move | None = None) -> Settlement:
    metered = run([span(14, 15, 100)], 14, 15, average="DE", efficiency=efficiency, move=move)
    return settle(frozen(10, average="DE"), [metered], at(10), observed(EXAMPLE), MONTH_LATER)


def test_measured_pair_scales_the_baseline_and_is_a_lever_of_its_own() -> None:
    ledger = moved_in_time(Efficiency(2_000_000, True, "pairs"))
    assert (ledger.actual_ug, ledger.feasible_ug) == (15_000_000, 80_000_000)
    assert ledger.levers is not None
    assert ledger.levers.time_feasible_ug == 2 * 25_000_000
    assert ledger.levers.efficiency_ug == 15_000_000
    assert ledger.levers.unverified_efficiency_ug is None


def test_stated_ratio_leaves_the_same_energy_on_both_sides_and_is_listed_apart() -> None:
    ledger, plain = moved_in_time(Efficiency(2_000_000, False, "told")), moved_in_time(None)
    assert (ledger.actual_ug, ledger.feasible_ug) == (plain.actual_ug, plain.feasible_ug)
    assert ledger.levers is not None
    assert ledger.levers.efficiency_ug == 0
    assert ledger.levers.unverified_efficiency_ug == 15_000_000
    assert "hardware: told" in settlement_of(Efficiency(2_000_000, False, "told")).notes


def test_data_moved_are_priced_by_the_mean_of_both_ends_and_carry_no_pue() -> None:
    kwh = 36 * 10**11
    move = Move(kwh, kwh // 2, 2 * kwh, "a link", "far", {"average": "DE"}, ms(14.5))
    ledger, plain = moved_in_time(None, move), moved_in_time(None)
    assert ledger.actual_ug - plain.actual_ug == 150_000_000, "1 kWh at 150 g"
    assert ledger.emissions_ug - plain.emissions_ug == 150_000_000
    assert ledger.levers is not None
    assert ledger.levers.transfer_ug == -150_000_000
    assert any("1 kWh (a link), in the" in note for note in settlement_of(None, move).notes)
    (transfer,) = [each for each in ledger.exposures if each.meter == "transfer modelled: a link"]
    assert (transfer.low_permille, transfer.high_permille) == (500, 2000)
