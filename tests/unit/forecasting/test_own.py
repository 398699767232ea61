"""Models trained here answer before plain means of our own, and never before a source's own forecast."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tidewatt.forecasting import mix
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.archived import Archived
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.feeds.fake import FakeFeed
from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.models.continuation_shelf import Continuations
from tidewatt.forecasting.models.retrain import reports
from tidewatt.forecasting.models.shelf import Shelf
from tidewatt.forecasting.own import Models
from tidewatt.forecasting.quantity import generation, intensity
from tidewatt.forecasting.series import Outlook, Rung, Steps, milliseconds

NOW = datetime(2026, 3, 10, 9, 40, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KIND = Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")


def waves(start: datetime, hours: int) -> Steps:
    """A day's wave below a slower one that the same hours of the last week do not show."""
    start_ms = milliseconds(start) + np.arange(hours) * 3_600_000
    hour = start_ms / 3_600_000
    value = 300 + 60 * np.sin(hour * np.pi / 12) + 120 * np.sin(hour * 2 * np.pi / 100)
    return Steps(start_ms, start_ms + 3_600_000, value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of eight weeks, and the model that was trained on it."""
    made = tmp_path_factory.mktemp("own")
    with Archive(made / "grid.db") as archive:
        past = waves(NOW.replace(minute=0) - 56 * DAY, 56 * 24)
        archive.add("fake feed", "DE", Fetched(observed=(Observed(intensity(KIND), past),)), NOW)
        told = list(reports(archive, made / "models", NOW, ["DE"]))
    assert "captured" in told[0]
    return made


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    with Archive(folder / "grid.db") as opened:
        yield opened


def models_of(folder: Path, archive: Archive) -> Models:
    return Models(Shelf(folder), Continuations(folder, archive), archive)


def ahead(archive: Archive, models: Path, hours: float) -> Outlook:
    chain = Chain([Archived(FakeFeed("fake feed"), archive)], models=models_of(models, archive))
    outlook = chain.outlook("DE", Signal.AVERAGE, NOW, NOW + hours * HOUR)
    assert outlook is not None
    return outlook


def test_a_trained_model_says_that_it_decides_and_why(archive: Archive, folder: Path) -> None:
    outlook = ahead(archive, folder / "models", 48)
    (segment,) = outlook.segments
    assert segment.rung is Rung.OWN
    assert segment.source.startswith("gradient boosting of 2026-03-10, ")
    assert re.search(r"of the possible saving in the last \d+ days against", segment.source)
    assert segment.source.endswith("(fake feed)")
    assert outlook.p10 is not None
    assert (outlook.p10 <= outlook.steps.gco2_per_kwh).all()


def test_beyond_a_week_the_same_hours_continue_the_model(archive: Archive, folder: Path) -> None:
    sources = [segment.source for segment in ahead(archive, folder / "models", 200).segments]
    assert sources[0].startswith("gradient boosting")
    assert sources[1].startswith("mean of the same hours")


def test_without_a_model_the_same_hours_answer(archive: Archive, tmp_path: Path) -> None:
    (segment,) = ahead(archive, tmp_path, 48).segments
    assert segment.source == "mean of the same hours, 7 days (fake feed)"


def test_a_model_that_others_could_have_written_is_not_used_and_that_is_said(
    archive: Archive, folder: Path, tmp_path: Path
) -> None:
    for file in (folder / "models").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name).chmod(0o666)
    (segment,) = ahead(archive, tmp_path, 48).segments
    assert segment.source.startswith("7-day same-hour mean; ")
    assert "can be written by others" in segment.source


def test_a_sources_own_forecast_comes_before_our_model(archive: Archive, folder: Path) -> None:
    issued = Issued(intensity(KIND), NOW - HOUR, waves(NOW.replace(minute=0) - HOUR, 25))
    archive.add("fake feed", "DE", Fetched(issued=(issued,)), NOW)
    segments = ahead(archive, folder / "models", 48).segments
    assert [segment.rung for segment in segments] == [Rung.LIVE, Rung.OWN]
    assert segments[1].source.startswith("gradient boosting")


def test_without_a_marginal_signal_it_is_modelled_from_the_mix_and_said_to_be(tmp_path: Path) -> None:
    start, count = NOW.replace(minute=0) - 40 * DAY, 40 * 24
    load = 2000 + 600 * np.sin(np.arange(count) * np.pi / 12) + 90 * np.sin(np.arange(count) * 1.7)
    power = {"coal": np.full(count, 900.0) + 0.2 * (load - 2000), "gas": 400.0 + 0.8 * (load - 2000)}
    power["wind"] = 700 + 300 * np.sin(np.arange(count) / 9)
    steps = waves(start, count)
    observed = [Observed(intensity(mix.kind(Basis.LIFECYCLE)), steps)]
    observed += [Observed(generation(fuel), replace(steps, gco2_per_kwh=mw)) for fuel, mw in power.items()]
    with Archive(tmp_path / "grid.db") as archive:
        archive.add("fake feed", "GR", Fetched(observed=tuple(observed)), NOW)
        chain = Chain([Archived(FakeFeed("fake feed"), archive)], models=models_of(tmp_path, archive))
        outlook = chain.outlook("GR", Signal.MARGINAL, NOW, NOW + 48 * HOUR)
        assert outlook is not None
        assert outlook.segments[0].source.startswith("modelled marginal from 40 days of generation by fuel")
        assert outlook.segments[0].rung is Rung.OWN
        assert outlook.note == "no source has a marginal signal of GR: modelled, not observed"
        assert 400 < outlook.steps.gco2_per_kwh.mean() < 700  # mostly gas follows, some coal
        assert chain.observations("GR", Signal.MARGINAL, NOW - DAY, NOW, NOW) is None  # it never settles
