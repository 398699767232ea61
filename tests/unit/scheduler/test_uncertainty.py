"""Intervals of savings: which errors are in them, and that errors in common do not average out."""

import hashlib
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.mix import method
from tidewatt.scheduler.accounting.levers import Exposure
from tidewatt.scheduler.accounting.published import GRIDS, METERS, PUES, published
from tidewatt.scheduler.accounting.uncertainty import DRAWS, IDLE, Interval, drawn, interval, summed

G = 1_000_000
GPU = "gpu measured: NVML energy counter"
CPU = "cpu modelled: utilisation x 120 W (assumed)"


def exposure(
    saved_g: float = 100.0, meter: str = GPU, pue: str = "local (assumed)", grid: str = "file grid.csv DE"
) -> Exposure:
    return Exposure(
        meter, pue, grid, 1000 * G, 1000 * G + round(saved_g * G), 1000 * G + round(2 * saved_g * G)
    )


def width(found: Interval) -> float:
    return (found.high_ug - found.low_ug) / G


def test_an_error_of_five_percent_gives_an_interval_of_nine_tenths_of_it() -> None:
    found = interval([exposure(100)], "feasible")
    assert found.draws == DRAWS >= 1000
    assert found.low_ug / G == pytest.approx(100 / 1.045, rel=0.003)
    assert found.high_ug / G == pytest.approx(100 / 0.955, rel=0.003)
    assert found.quantified == (
        "gpu measured: NVML energy counter: ±5 % "
        "(what is typical in arXiv:2312.02741, its table of cards beside an external meter)",
    )


def test_everybody_draws_the_same_digits() -> None:
    digest = hashlib.shake_256(f"tidewatt interval 1: {GPU}".encode()).digest(8 * DRAWS)
    numbers = [int.from_bytes(digest[8 * i : 8 * i + 8], "little") >> 11 for i in range(DRAWS)]
    saved = sorted(100 * G / (0.95 + number * 2**-53 * 0.1) for number in numbers)
    found = interval([exposure(100)], "feasible")
    assert abs(found.low_ug - saved[100]) <= 1
    assert abs(found.high_ug - saved[1899]) <= 1
    assert (found.low_ug, found.high_ug) == (95_767_548, 104_801_671)


@pytest.mark.parametrize(
    ("meter", "percent"),
    [
        ("gpu measured: NVML energy counter, NVIDIA GeForce RTX 2060 SUPER", 13),
        ("gpu measured: NVML energy counter, NVIDIA GeForce RTX 2080 Ti", 8),
        ("gpu measured: NVML energy counter, NVIDIA H100 80GB HBM3", 5),
        ("node measured: Redfish, ±2.5 %", 2.5),
    ],
)
def test_meters_are_off_as_published_or_as_their_operator_states(meter: str, percent: float) -> None:
    error = published(meter, METERS)
    assert error is not None
    assert (error.low_permille, error.high_permille) == (-10 * percent, 10 * percent)


@pytest.mark.parametrize(
    "meter", [CPU, "cpu measured: RAPL", "dram measured: RAPL", "gpu modelled: sampled power"]
)
def test_an_error_that_nobody_published_is_not_quantified(meter: str) -> None:
    found = interval([exposure(50, meter)], "feasible")
    assert not found.known
    assert found.low_ug == found.high_ug == 50 * G
    assert found.not_quantified == (meter, "PUE of local (assumed)", "grid data of file grid.csv DE", IDLE)


def test_pue_of_a_fleet_leans_upwards_and_an_assumed_one_says_nothing() -> None:
    found = interval([exposure(100, CPU, "eu (AWS fleet, 2023)")], "feasible")
    assert 90 < found.low_ug / G < 94
    assert 119 < found.high_ug / G < 124
    assert published("PUE of local (assumed)", PUES) is None
    assert published("grid data of Electricity Maps DE", GRIDS) is None


def test_a_mix_times_published_factors_is_as_far_off_as_these_are_and_the_same_everywhere_in_its_zone() -> (
    None
):
    source = f"ENTSO-E, {method(Basis.LIFECYCLE)} DE"
    found = interval([exposure(100, CPU, grid=source)], "feasible")
    assert 85 < found.low_ug / G < 88
    assert 128 < found.high_ug / G < 131
    assert "IPCC 2014, table A.III.2" in found.quantified[0]
    assert published(f"ENTSO-E, {method(Basis.DIRECT)} DE", GRIDS) is None
    both = [exposure(100, CPU, grid=source), exposure(-99, CPU, grid=source)]
    assert interval(both, "feasible").low_ug > 0


def test_data_that_moved_has_the_range_that_its_figure_declares() -> None:
    moved = Exposure("transfer modelled: Aslan et al. 2018", "none", "b", 10 * G, 0, 0, 17, 1000)
    found = interval([moved], "feasible")
    assert found.low_ug == -10 * G  # the central figure is the upper end, and stays within
    assert -1.1 * G < found.high_ug < -0.2 * G
    assert "98.3 to +0 %" in found.quantified[0]
    assert found.not_quantified == ("grid data of b",)


def test_the_baseline_decides_which_saving_the_interval_is_of() -> None:
    feasible, hypothetical = (interval([exposure(100)], kind) for kind in ("feasible", "hypothetical"))
    assert hypothetical.low_ug == pytest.approx(2 * feasible.low_ug, abs=1)


def test_what_is_nowhere_at_stake_is_not_listed() -> None:
    assert interval([exposure(), Exposure("dram missing", "x", "y", 0, 0, 0)], "feasible").not_quantified == (
        "PUE of local (assumed)",
        "grid data of file grid.csv DE",
        IDLE,
    )


def test_a_sliver_of_known_error_leaves_the_interval_unknown() -> None:
    """100 g by a meter of which nothing is published; a thousandth of a gram by one of ±5 %."""
    alone = interval([exposure(100, "cpu measured: RAPL")], "feasible")
    sliver = Exposure(GPU, "local (assumed)", "file grid.csv DE", 2000, 3000, 3000)
    both = interval([exposure(100, "cpu measured: RAPL"), sliver], "feasible")
    assert not alone.known
    assert not both.known
    assert both.covered_ppm <= 10
    assert both.quantified


@pytest.mark.parametrize(("saved_g", "known"), [(94, False), (95, True)])
def test_an_interval_is_known_where_95_percent_has_a_meter_of_known_error(saved_g: int, known: bool) -> None:
    parts = [
        Exposure(meter, "p", "g", 10 * share * G, 11 * share * G, 11 * share * G)
        for meter, share in ((GPU, saved_g), (CPU, 100 - saved_g))
    ]
    found = interval(parts, "feasible")
    assert (found.covered_ppm, found.known) == (saved_g * 10_000, known)


def test_much_energy_that_saved_nothing_does_not_speak_for_the_little_that_did() -> None:
    idle = Exposure(GPU, "p", "g", 10**6 * G, 10**6 * G, 10**6 * G)
    found = interval([idle, exposure(100, CPU)], "feasible")
    assert (found.covered_ppm, found.known) == (0, False)


def test_a_large_saving_of_little_energy_does_not_speak_for_the_rest() -> None:
    found = interval([exposure(1000), Exposure(CPU, "p", "g", 9000 * G, 9000 * G, 9000 * G)], "feasible")
    assert found.covered_ppm == 3000 * 1_000_000 // 21_000
    assert not found.known


def test_a_known_error_of_pue_or_grid_covers_no_meter() -> None:
    found = interval([exposure(100, CPU, "eu (own meter, ±2 %)")], "feasible")
    assert len(found.quantified) == 1
    assert (found.covered_ppm, found.known) == (0, False)


@pytest.mark.parametrize("source", ["site meter, ±0 %", "site meter, ±0.0%", "site meter, +/-0 %"])
def test_nobody_is_exact_a_stated_error_of_nothing_is_not_quantified(source: str) -> None:
    found = interval([exposure(100, f"node measured: {source}", source)], "feasible")
    assert not found.quantified
    assert found.not_quantified[:2] == (f"node measured: {source}", f"PUE of {source}")
    assert published(f"gpu measured: NVML, {source}", METERS) is None


def test_a_declared_range_without_width_declares_none() -> None:
    moved = Exposure("transfer modelled: a figure", "none", "b", 10 * G, 0, 0, 999, 999)
    found = interval([moved], "feasible")
    assert (found.quantified, found.low_ug, found.high_ug) == ((), -10 * G, -10 * G)


def test_idle_draw_is_told_wherever_it_divides_a_draw_and_of_moved_data_it_is_not() -> None:
    moved = Exposure("transfer modelled: Aslan et al. 2018", "none", "b", 10 * G, 0, 0, 500, 1500)
    assert IDLE not in interval([moved], "feasible").not_quantified
    for meter in (GPU, CPU, "dram measured: RAPL", "node overhead measured: Redfish, ±2 %"):
        assert interval([moved, exposure(1, meter)], "feasible").not_quantified.count(IDLE) == 1


def test_what_stands_aside_is_in_the_saving_and_covered_by_nothing() -> None:
    sums = summed([exposure(100)], "feasible")
    alone, beside = drawn(sums), drawn(sums, aside=[(50 * G, 1050 * G)])
    assert (beside.low_ug - alone.low_ug, beside.high_ug - alone.high_ug) == (50 * G, 50 * G)
    assert (alone.covered_ppm, beside.covered_ppm) == (1_000_000, 2100 * 1_000_000 // 3150)


def test_errors_of_several_kinds_stand_apart_and_widen_each_other() -> None:
    alone = interval([exposure(100)], "feasible")
    both = interval([exposure(100, pue="eu (own meter, ±5 %)")], "feasible")
    assert width(alone) * 1.2 < width(both) < width(alone) * 1.8


@given(st.integers(1, 200), st.integers(1, 10**9))
def test_the_interval_of_a_sum_is_no_narrower_for_having_many_jobs(jobs: int, saved_ug: int) -> None:
    one = Exposure(GPU, "local", "grid", 0, saved_ug, saved_ug)
    alone, together = interval([one], "feasible"), interval([one] * jobs, "feasible")
    assert together.low_ug == pytest.approx(jobs * alone.low_ug, abs=jobs)
    assert together.high_ug == pytest.approx(jobs * alone.high_ug, abs=jobs)


@given(st.lists(st.tuples(st.sampled_from([GPU, CPU, "x ±9 %"]), st.integers(-(10**9), 10**9)), max_size=8))
def test_the_saving_lies_within_and_the_order_of_jobs_changes_nothing(parts: list[tuple[str, int]]) -> None:
    exposures = [Exposure(meter, "p", "g", 0, saved, saved) for meter, saved in parts]
    found = interval(exposures, "feasible")
    assert found.low_ug <= sum(saved for _, saved in parts) <= found.high_ug
    assert interval(exposures[::-1], "feasible") == found


AMOUNTS = st.integers(0, 10**9)


@given(st.lists(st.tuples(st.sampled_from([GPU, CPU, "x ±9 %"]), AMOUNTS, AMOUNTS), min_size=1, max_size=6))
def test_how_a_saving_is_cut_into_parts_changes_nothing(parts: list[tuple[str, int, int]]) -> None:
    whole = [Exposure(meter, "p", "g", actual, feasible, 0) for meter, actual, feasible in parts]
    halves = [
        Exposure(each.meter, "p", "g", actual, feasible, 0)
        for each in whole
        for actual, feasible in (
            (each.actual_ug // 3, each.feasible_ug),
            (each.actual_ug - each.actual_ug // 3, 0),
        )
    ]
    assert interval(halves, "feasible") == interval(whole, "feasible")


@given(AMOUNTS, AMOUNTS, st.integers(0, 10**6))
def test_a_known_sliver_covers_no_more_than_itself(actual_ug: int, feasible_ug: int, sliver_ug: int) -> None:
    parts = [
        Exposure(CPU, "p", "g", actual_ug, feasible_ug, 0),
        Exposure(GPU, "p", "g", sliver_ug, 2 * sliver_ug, 0),
    ]
    whole_ug = actual_ug + feasible_ug + 3 * sliver_ug
    assert interval(parts, "feasible").covered_ppm * whole_ug <= 3 * sliver_ug * 1_000_000


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_a_gain_in_common_never_turns_the_sign_of_a_saving(saved_ug: int, actual_ug: int) -> None:
    one = Exposure(GPU, "p", "g", actual_ug, actual_ug + saved_ug, actual_ug)
    found = interval([one], "feasible")
    assert (found.low_ug > 0, found.high_ug < 0) == (saved_ug > 0, saved_ug < 0) or abs(saved_ug) < 2


def test_ten_thousand_jobs_take_under_half_a_second_and_one_under_a_millisecond() -> None:
    jobs = [[replace(exposure(i % 90), grid=f"grid zone {i % 7}"), exposure(5, CPU)] for i in range(10_000)]
    interval(jobs[0], "feasible")  # the draws are made once
    begin = time.process_time()
    interval((each for job in jobs for each in job), "feasible")
    assert time.process_time() - begin < 0.5
    begin = time.process_time()
    for job in jobs[:100]:
        interval(job, "feasible")
    assert (time.process_time() - begin) / 100 < 0.001
