"""Where the sun stands, against published positions and plain geometry."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tidewatt.forecasting.series import Milliseconds, milliseconds
from tidewatt.forecasting.sun import clear_sky_w_m2, elevation_deg


def elevation(latitude: float, longitude: float, *moment: int) -> float:
    return float(elevation_deg(latitude, longitude, at(*moment))[0])


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> Milliseconds:
    return np.array([milliseconds(datetime(year, month, day, hour, minute, second, tzinfo=UTC))])


def test_position_agrees_with_the_worked_example_of_nrels_algorithm() -> None:
    # Reda and Andreas, NREL/TP-560-34302, appendix A.5: zenith 50.11162 with refraction of 0.016 degrees.
    assert elevation(39.742476, -105.1786, 2003, 10, 17, 19, 30, 30) == pytest.approx(39.872, abs=0.015)


@pytest.mark.parametrize(
    ("moment", "declination"),
    [
        ((2023, 3, 20, 21, 24), 0.0),  # equinoxes and solstices as published by the US Naval Observatory
        ((2023, 6, 21, 14, 58), 23.436),
        ((2023, 9, 23, 6, 50), 0.0),
        ((2023, 12, 22, 3, 27), -23.436),
    ],
)
def test_at_the_north_pole_the_elevation_is_the_declination(
    moment: tuple[int, ...], declination: float
) -> None:
    assert elevation(90, 0, *moment) == pytest.approx(declination, abs=0.01)


def test_sun_is_highest_when_the_equation_of_time_says_so() -> None:
    minutes = at(2023, 11, 3)[0] + 60_000 * np.arange(1440)
    # Early in November the sun is 16.4 minutes fast: it culminates at 11:43:35 in Greenwich.
    noon = int(np.argmax(elevation_deg(51.48, 0, minutes)))
    assert noon in (11 * 60 + 43, 11 * 60 + 44)


def test_noon_moves_with_longitude_and_seasons_with_the_hemisphere() -> None:
    assert elevation(0, 90, 2023, 3, 20, 6) > 85
    assert elevation(0, -90, 2023, 3, 20, 18) > 85
    assert elevation(-35, 149, 2023, 12, 21, 2) > 70 > 40 > elevation(-35, 149, 2023, 6, 21, 2) > 25


def test_cloudless_sky_is_dark_at_night_and_about_a_kilowatt_under_a_high_sun() -> None:
    day = at(2023, 6, 21)[0] + 3_600_000 * np.arange(24)
    sky = clear_sky_w_m2(23.4, 0, day)
    assert ((sky > 0) == (elevation_deg(23.4, 0, day) > 0)).all()
    assert sky[0] == 0
    assert 1000 < sky.max() < 1050
