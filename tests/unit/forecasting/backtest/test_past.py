"""A zone's past lies on full hours, whatever the length of its provider's steps."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.unit.forecasting.backtest.sayings import KIND, T0_MS, quarters
from tidewatt.forecasting.backtest.past import UnobservedError, latest_past, past
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.kind import Basis, Signal
from tidewatt.forecasting.series import Series, empty

NOW = datetime(2026, 4, 1, tzinfo=UTC)


def test_the_past_of_a_provider_begins_with_its_first_hour() -> None:
    series = Series("DE", KIND, "grid", quarters([1.0, 3, 5, 5, 5, 5], first=2))
    found = past(FakeProvider(series=[series]), "DE", KIND, NOW)
    assert found.history.start_ms == T0_MS
    assert np.array_equal(found.history.gco2_per_kwh, [2, 5])
    assert (found.history.timezone, found.source) == ("Europe/Berlin", "grid")


def test_a_zone_without_observations_is_said_to_have_none() -> None:
    with pytest.raises(ForecastError, match="fake has no observations of DE"):
        past(FakeProvider(), "DE", KIND, NOW)


def test_of_several_kinds_the_one_that_was_observed_is_taken_lifecycle_first() -> None:
    direct = replace(KIND, basis=Basis.DIRECT)
    steps = quarters([1.0] * 8)
    silent = Series("DE", KIND, "grid", empty())
    only_direct = FakeProvider(series=[silent, Series("DE", direct, "grid", steps)])
    assert latest_past(only_direct, "DE", Signal.AVERAGE, NOW).kind == direct
    both = FakeProvider(series=[Series("DE", direct, "grid", steps), Series("DE", KIND, "grid", steps)])
    assert latest_past(both, "DE", Signal.AVERAGE, NOW).kind == KIND
    with pytest.raises(UnobservedError, match="no observations of DE, average lifecycle"):
        latest_past(FakeProvider(series=[silent]), "DE", Signal.AVERAGE, NOW)


def test_a_signal_that_is_not_there_is_said_with_those_that_are() -> None:
    provider = FakeProvider(series=[Series("DE", KIND, "grid", quarters([1.0] * 8))])
    with pytest.raises(UnobservedError, match="no marginal intensity of DE; it has average lifecycle"):
        latest_past(provider, "DE", Signal.MARGINAL, NOW)
