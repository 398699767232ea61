"""The hourly past of a zone as the archive knows it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.models.forecaster import HOUR_MS
from tidewatt.forecasting.models.history import archived, of_steps, until
from tidewatt.forecasting.quantity import generation, intensity, weather
from tidewatt.forecasting.series import Steps, empty, milliseconds

KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=2, minutes=20)
MINUTE_MS = 60_000


def steps(count: int, every_min: int, values: float | None = None, start: datetime = START) -> Steps:
    begins = milliseconds(start) + every_min * MINUTE_MS * np.arange(count)
    value = np.arange(count, dtype=float) if values is None else np.full(count, values)
    return Steps(begins, begins + every_min * MINUTE_MS, value)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "grid.db")
    observed = (
        Observed(intensity(KIND), steps(48 * 12, 5)),
        Observed(generation("wind"), steps(48, 60, 7.0)),
    )
    issued = tuple(
        Issued(
            weather(name),
            START + timedelta(hours=hour),
            steps(24, 60, value + hour, START + timedelta(hours=hour)),
        )
        for name, value in (("wind_m_s", 5.0), ("temperature_k", 280.0))
        for hour in (0, 1, 12)
    )
    archive.add("one", "DE", Fetched(observed, issued), START + timedelta(days=2))
    return archive


def test_five_minutes_become_hours_and_the_mix_and_the_weather_come_along(archive: Archive) -> None:
    history = archived(archive, "DE", KIND, NOW)
    assert history is not None
    assert history.start_ms == milliseconds(START)
    assert history.gco2_per_kwh.tolist() == [12 * hour + 5.5 for hour in range(48)]
    assert history.mw["wind"].tolist() == [7.0] * 48
    assert history.timezone == "Europe/Berlin"
    assert until(history) == START + timedelta(days=2)
    issues = history.weather
    assert issues is not None
    assert ((issues.available_ms - history.start_ms) // HOUR_MS).tolist() == [1, 12]  # one in six hours
    assert issues.values["wind_m_s"][:, 0].tolist() == [6.0, 17.0]
    assert np.isnan(issues.values["wind_m_s"][:, 24:]).all()


def test_weather_on_other_steps_becomes_hours_too(archive: Archive) -> None:
    name, at = weather("short_wave_w_m2"), START + timedelta(hours=12)
    archive.add("one", "DE", Fetched(issued=(Issued(name, at, steps(48, 30, None, at)),)), NOW)
    history = archived(archive, "DE", KIND, NOW)
    assert history is not None
    assert history.weather is not None
    assert history.weather.values["short_wave_w_m2"][1, :24].tolist() == [
        2 * hour + 0.5 for hour in range(24)
    ]


def test_generation_and_weather_are_read_once_for_the_kinds_of_a_moment(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.PRODUCTION)
    archive.add("one", "DE", Fetched((Observed(intensity(direct), steps(48, 60)),)), NOW)
    first = archived(archive, "DE", KIND, NOW)
    monkeypatch.setattr(archive, "issues", None)  # whoever asked again would fail
    second = archived(archive, "DE", direct, NOW)
    assert first is not None
    assert second is not None
    assert second.weather is first.weather
    monkeypatch.undo()
    archive.add("one", "DE", Fetched((Observed(generation("wind"), steps(48, 60, 9.0)),)), NOW)
    third = archived(archive, "DE", direct, NOW)
    assert third is not None
    assert third.mw["wind"].tolist() == [9.0] * 48


def test_what_came_later_is_known_only_where_that_is_asked_for(archive: Archive) -> None:
    before = START + timedelta(days=1)
    assert archived(archive, "DE", KIND, before) is None
    history = archived(archive, "DE", KIND, before, as_received=False)
    assert history is not None
    assert len(history.gco2_per_kwh) == 24


def test_the_source_that_covers_most_is_taken_unless_one_is_named(archive: Archive) -> None:
    archive.add("two", "DE", Fetched((Observed(intensity(KIND), steps(5, 60, 1.0)),)), START)
    for source, first in ((None, 5.5), ("two", 1.0)):
        history = archived(archive, "DE", KIND, NOW, source=source)
        assert history is not None
        assert history.gco2_per_kwh[0] == first


def test_fuels_of_a_mix_come_from_the_one_source_that_covers_most_of_them(archive: Archive) -> None:
    other = (
        Observed(generation("wind"), steps(30, 60, 1.0)),  # less of wind than the first source has
        Observed(generation("coal"), steps(30, 60, 2.0)),
    )
    archive.add("two", "DE", Fetched(other), START + timedelta(days=2))
    history = archived(archive, "DE", KIND, NOW)
    assert history is not None
    assert {fuel: np.nanmean(power) for fuel, power in history.mw.items()} == {"wind": 1.0, "coal": 2.0}
    archive.add("one", "DE", Fetched((Observed(generation("gas"), steps(48, 60, 3.0)),)), NOW)
    history = archived(archive, "DE", KIND, NOW)
    assert history is not None
    assert {fuel: np.nanmean(power) for fuel, power in history.mw.items()} == {"wind": 7.0, "gas": 3.0}


def test_where_nothing_was_observed_there_is_no_past(archive: Archive) -> None:
    assert archived(archive, "FR", KIND, NOW) is None
    assert archived(archive, "DE", KIND, NOW, source="three") is None
    with pytest.raises(ForecastError, match="nothing was observed of DE"):
        of_steps("DE", empty(), NOW)


def test_an_hour_that_has_not_ended_or_is_mostly_a_hole_has_no_value() -> None:
    history = of_steps("DE", steps(10, 30), START + timedelta(hours=4, minutes=59))
    assert len(history.gco2_per_kwh) == 4
    sparse = Steps(*(each[[0, 5]] for each in _columns(steps(6, 20))))
    assert np.isnan(of_steps("DE", sparse, START + timedelta(hours=2)).gco2_per_kwh).tolist() == [True, True]


def _columns(of: Steps) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return of.start_ms, of.end_ms, of.gco2_per_kwh
