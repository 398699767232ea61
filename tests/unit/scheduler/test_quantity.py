"""Quantities in units that people read."""

import pytest

from tidewatt.scheduler.accounting.quantity import counted, energy, hours, kwh, least, mass


@pytest.mark.parametrize(
    ("grams", "text"),
    [
        (None, "not measured"),
        (0.0, "0 g"),
        (0.0071, "7.10 mg"),
        (0.0000004, "0.40 µg"),
        (12.34, "12.3 g"),
        (999.9, "1,000 g"),
        (-1234.0, "-1.23 kg"),
        (2.5e9, "2,500 t"),
    ],
)
def test_mass_takes_the_unit_that_fits(grams: float | None, text: str) -> None:
    assert mass(grams) == text


def test_saving_shows_its_sign() -> None:
    assert mass(5.0, sign=True) == "+5.00 g"
    assert mass(-5.0, sign=True) == "-5.00 g"
    assert mass(0.0, sign=True) == "0 g"


@pytest.mark.parametrize(
    ("joules", "text"),
    [
        (None, "not measured"),
        (50.0, "50.0 J"),
        (1_728_000.0, "480 Wh"),
        (3.6e6, "1.00 kWh"),
        (0.25, "0.25 J"),
    ],
)
def test_energy_takes_the_unit_that_fits(joules: float | None, text: str) -> None:
    assert energy(joules) == text


@pytest.mark.parametrize(
    ("value", "text"), [(26.04, "26.0 h"), (0.2, "12 min"), (0.0, "0.0 h"), (-0.5, "-30 min")]
)
def test_hours_below_one_are_minutes(value: float, text: str) -> None:
    assert hours(value) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 jobs"), (1, "1 job"), (1200, "1,200 jobs")])
def test_one_thing_is_not_several(number: int, text: str) -> None:
    assert counted(number, "job") == text


@pytest.mark.parametrize(("value", "text"), [(None, "not measured"), (0.001, "1.00 Wh"), (2.5, "2.50 kWh")])
def test_kilowatt_hours_read_like_energy(value: float | None, text: str) -> None:
    assert kwh(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.00001, "<1 %"),
        (0.57, "57 %"),
        (0.9499, "94 %"),
        (0.95, "95 %"),
        (0.9999, "99 %"),
        (1.0, "100 %"),
    ],
)
def test_a_share_that_has_to_be_large_is_rounded_down(share: float, text: str) -> None:
    assert least(share) == text
