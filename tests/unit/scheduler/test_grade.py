"""Grades: what a saving needs to be called verified, and what takes the name from it."""

from dataclasses import dataclass

import pytest

from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.grade import disagree, grade, metered_ppm, observed_ppm, of_all
from tidewatt.scheduler.accounting.uncertainty import Interval

FULL = 1_000_000
GOOD = Interval(90, 110, 2000, ("a meter: ±5 %",), ())


@dataclass(frozen=True)
class Part:
    energy_uj: int | None
    how: How = How.MEASURED
    coverage_ppm: int = FULL
    modelled_uj: int = 0
    component: str = "gpu"


def test_a_saving_is_verified_with_all_of_it_metered_observed_and_above_zero() -> None:
    assert grade(100, GOOD, FULL, FULL, agree=True) == "verified"


@pytest.mark.parametrize(
    ("saved", "found", "metered", "observed", "agree", "expected"),
    [
        (None, None, FULL, FULL, True, ""),
        (100, GOOD, 950_000, 950_000, True, "verified"),
        (100, GOOD, 949_999, FULL, True, "estimated"),
        (100, GOOD, FULL, 0, True, "estimated"),
        (100, GOOD, FULL, FULL, False, "inconclusive"),
        (100, Interval(-1, 110, 2000, ("a",), ()), FULL, FULL, True, "inconclusive"),
        (100, Interval(0, 110, 2000, ("a",), ()), FULL, FULL, True, "inconclusive"),
        (100, Interval(100, 100, 2000, (), ("a",)), FULL, FULL, True, "estimated"),
        (100, None, FULL, FULL, True, "estimated"),
        (-100, Interval(-110, -90, 2000, ("a",), ()), FULL, FULL, True, "estimated"),
        (0, Interval(0, 0, 2000, (), ()), FULL, FULL, True, "inconclusive"),
    ],
)
def test_grades(
    saved: int | None, found: Interval | None, metered: int, observed: int, agree: bool, expected: str
) -> None:
    assert grade(saved, found, metered, observed, agree=agree) == expected


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
        ("average", "file grid.csv", FULL),
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
