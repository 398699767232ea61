"""The shipped marginal profiles: where there are some, and what they call themselves."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.marginal_profile import marginal_profile
from tidewatt.forecasting.series import Rung

NOW = datetime(2026, 3, 29, 0, 20, tzinfo=UTC)


def test_a_profile_says_that_it_is_a_model_and_no_observation() -> None:
    profile = marginal_profile("DE")
    assert profile is not None
    assert profile.label == "modelled marginal profile of DE, 2019-2022, not an observation"
    outlook = profile.outlook(NOW, NOW + timedelta(hours=30))
    assert outlook.kind.signal is Signal.MARGINAL
    assert [segment.rung for segment in outlook.segments] == [Rung.PROFILE]
    assert outlook.p10 is None


def test_a_profile_fills_what_was_asked_for_without_holes_across_a_clock_change() -> None:
    profile = marginal_profile("DE")
    assert profile is not None
    steps = profile.outlook(NOW, NOW + timedelta(hours=30)).steps
    assert steps.start_ms[0] == int(NOW.timestamp() * 1000)
    assert (steps.start_ms[1:] == steps.end_ms[:-1]).all()
    assert np.isfinite(steps.gco2_per_kwh).all()


@pytest.mark.parametrize("zone", ["CH", "FR", "US-NW-BPAT"])
def test_zones_where_mostly_water_or_nuclear_power_follows_have_none(zone: str) -> None:
    assert marginal_profile(zone) is None


def test_zones_of_which_no_mix_is_known_have_none() -> None:
    assert marginal_profile("BR-S") is None


def test_every_value_is_that_of_plants_that_burn_something() -> None:
    for zone in ("DE", "PL", "NL", "IE", "US-CAL-CISO", "US-TEX-ERCO", "US-MIDA-PJM"):
        profile = marginal_profile(zone)
        assert profile is not None
        assert profile.usual.shape == (4, 24)
        assert profile.usual.min() > 150
        assert profile.usual.max() < 910


def test_nothing_asked_for_is_refused() -> None:
    profile = marginal_profile("DE")
    assert profile is not None
    with pytest.raises(ForecastError, match="asked for nothing"):
        profile.outlook(NOW, NOW)
