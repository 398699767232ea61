"""Grades: what a saving needs to be called verified, and what takes the name from it."""

from dataclasses import dataclass

import pytest

from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.grade import LEAST_PPM, disagree, grade, metered_ppm, observed_ppm, of_all
from tidewatt.scheduler.accounting.uncertainty import Interval
from tidewatt.scheduler.planning.policy import Policy

FULL = 1_000_000


def between(low: int, high: int, covered_ppm: int = FULL, quantified: tuple[str, ...] = ("a",)) -> Interval:
    return Interval(low, high, 2000, quantified, ("idle draw",), covered_ppm)


GOOD = between(90, 110)


@dataclass(frozen=True)
class Part:
    energy_uj: int | None
    how: How = How.MEASURED
    coverage_ppm: int = FULL
    modelled_uj: int = 0
    component: str = "gpu"


def test_a_saving_is_verified_with_all_of_it_metered_observed_and_above_zero() -> None:
    assert grade(100, 5000, GOOD, FULL, FULL, agree=True) == "verified"


@pytest.mark.parametrize(
    ("saved", "found", "metered", "observed", "agree", "expected"),
    [
        (None, None, FULL, FULL, True, ""),
        (100, GOOD, 950_000, 950_000, True, "verified"),
        (100, GOOD, 949_999, FULL, True, "estimated"),
        (100, GOOD, FULL, 0, True, "estimated"),
        (100, GOOD, FULL, FULL, False, "inconclusive"),
        (100, between(-1, 110), FULL, FULL, True, "inconclusive"),
        (100, between(0, 110), FULL, FULL, True, "inconclusive"),
        (100, between(100, 100, quantified=()), FULL, FULL, True, "estimated"),
        (100, None, FULL, FULL, True, "estimated"),
        (-100, between(-110, -90), FULL, FULL, True, "estimated"),
        (0, between(0, 0, quantified=()), FULL, FULL, True, "inconclusive"),
    ],
)
def test_grades(
    saved: int | None, found: Interval | None, metered: int, observed: int, agree: bool, expected: str
) -> None:
    assert grade(saved, 1000, found, metered, observed, agree=agree) == expected


@pytest.mark.parametrize(
    ("covered_ppm", "expected"),
    [(950_000, "verified"), (949_999, "estimated"), (10, "estimated"), (0, "estimated")],
)
def test_a_meter_of_known_error_has_to_cover_95_percent_of_what_is_at_stake(
    covered_ppm: int, expected: str
) -> None:
    found = between(90, 110, covered_ppm)
    assert found.known == (expected == "verified")
    assert grade(100, 1000, found, FULL, FULL, agree=True) == expected


@pytest.mark.parametrize(
    ("saved", "expected"), [(20, "verified"), (19, "estimated"), (1, "estimated"), (-19, "estimated")]
)
def test_a_saving_below_2_percent_is_not_verified_whatever_its_interval_says(
    saved: int, expected: str
) -> None:
    assert grade(saved, 1000, between(saved, saved), FULL, FULL, agree=True) == expected


def test_a_saving_with_a_delay_that_nobody_planned_is_estimated_at_best() -> None:
    grades = [
        grade(saved, 1000, between(saved, saved), FULL, FULL, agree=True, planned=False)
        for saved in (100, -100)
    ]
    assert grades == ["estimated", "estimated"]
    assert grade(100, 1000, between(-1, 110), FULL, FULL, agree=True, planned=False) == "inconclusive"


def test_the_least_verified_saving_is_the_one_that_a_plan_waits_for() -> None:
    assert Policy().min_saving * 1_000_000 == LEAST_PPM


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([Part(100)], FULL),
        ([Part(95), Part(5, How.MODELLED, modelled_uj=5)], 950_000),
        ([Part(100, How.MODELLED, modelled_uj=4)], 960_000),
        ([Part(95, coverage_ppm=950_000)], 950_000),
        ([Part(100), Part(None, How.MISSING, 0)], 0),
        ([Part(100), Part(None, How.MISSING, 0, component="cpu")], 0),
        ([Part(100), Part(None, How.MISSING, 0, component="dram")], FULL),
        ([Part(100), Part(None, How.MISSING, 0, component="node overhead")], FULL),
        ([Part(95), Part(5, coverage_ppm=500_000, component="dram")], 952_380),
        ([Part(None, How.MISSING, 0, component="dram")], 0),
        ([Part(0)], 0),
        ([], 0),
    ],
)
def test_metered_is_what_devices_measured_of_the_energy_and_of_the_time(
    parts: list[Part], expected: int
) -> None:
    assert metered_ppm(parts) == expected


@pytest.mark.parametrize(
    ("signal", "source", "expected"),
    [
        ("average", "EIA", FULL),
        ("average", "file grid.csv", 0),
        ("average", "GB carbon intensity", FULL),
        ("average", "ENTSO-E, modelled", 0),
        ("average", "Electricity Maps", 0),
        ("average", "", 0),
        ("marginal", "WattTime", 0),
    ],
)
def test_observed_is_neither_modelled_nor_of_what_one_more_kwh_causes(
    signal: str, source: str, expected: int
) -> None:
    assert observed_ppm(signal, source) == expected


def test_signals_disagree_only_across_signals_and_never_about_nothing() -> None:
    assert disagree([("average", 5), ("marginal", -1)])
    assert not disagree([("average", 5), ("average", -1)])
    assert not disagree([("average", 5), ("marginal", 0), ("marginal", None)])


def test_the_grade_of_a_job_is_the_best_of_its_signals() -> None:
    assert of_all({"average": "verified", "marginal": "estimated"}) == "verified"
    assert of_all({"average": "", "marginal": "inconclusive"}) == "inconclusive"
    assert of_all({}) == ""
