"""The daemon's gatherer: fetches what is due, lets old data go, trains, and stays out of the way."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import time_machine

from tests.unit.scheduler.test_store import job
from tidewatt.backends.clock import Clock
from tidewatt.backends.host import Host
from tidewatt.backends.local import LocalBackend
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.archived import Archived
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.feeds.fake import FakeFeed
from tidewatt.forecasting.feeds.feed import FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import Steps, milliseconds
from tidewatt.forecasting.zones import every
from tidewatt.scheduler.config import Grid
from tidewatt.scheduler.daemon.gathering import Gatherer
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.settings import Settings
from tidewatt.scheduler.store import Store

NOW = datetime(2026, 3, 10, 9, 40, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
KIND = Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
Q = intensity(KIND)
TRAINED_WITHIN_S = 120.0


def hours(start: datetime, count: int) -> Steps:
    start_ms = milliseconds(start.replace(minute=0)) + np.arange(count) * 3_600_000
    value = 300 + 60 * np.sin(start_ms / 3_600_000 * np.pi / 12) + start_ms / 3_600_000 % 5.0
    return Steps(start_ms, start_ms + 3_600_000, value)


def feed(*zones: str) -> FakeFeed:
    made = FakeFeed()
    for zone in zones:
        made.observed[zone] = [Observed(Q, hours(NOW - 20 * DAY, 24 * 21))]
        made.issued[zone] = [Issued(Q, NOW - 10 * MINUTE, hours(NOW, 48))]
    return made


class Place:
    """A gatherer with everything that it stands on, in one folder."""

    def __init__(self, folder: Path, source: FakeFeed, clock: Clock, **settings: object) -> None:
        self.paths = Paths(folder, folder)
        self.paths.make()
        self.archive = Archive(self.paths.archive)
        self.store = Store(self.paths.database)
        grid = Grid(Chain([Archived(source, self.archive)]), (source,), self.archive)
        region = Region("local", "local", {"average": "GB"}, (), 2, 1000, 1.0, "assumed", True)
        host = Host((), 2, 1000, "cpu", 10.0, "assumed", "")
        chain = PatientChain(grid.chain)
        tables = Settings.model_validate(settings)
        site = Site(self.paths, tables, clock, host, (region,), chain, LocalBackend())
        self.gatherer = Gatherer(site, grid, self.store)

    def close(self) -> None:
        self.gatherer.stop()
        self.store.close()
        self.archive.close()


@pytest.fixture
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as moment:
        yield moment


def test_what_is_due_is_fetched_once_and_a_zone_that_was_looked_at_is_followed(
    tmp_path: Path, now: time_machine.Traveller
) -> None:
    source = feed("GB", "DE")
    place = Place(tmp_path, source, Clock())
    place.gatherer.gather()
    place.gatherer.gather()
    assert [what for what, _, _, _ in source.asked].count("forecast") == 1
    assert {zone for _, zone, _, _ in source.asked} == {"GB"}
    place.gatherer.look_at("DE")
    assert place.archive.issue("fake feed", "DE", Q, NOW + MINUTE) is not None
    assert place.gatherer.zones() == ("GB", "DE")
    now.shift(2 * DAY)
    assert place.gatherer.zones() == ("GB",)
    assert place.gatherer.troubles() == []
    place.close()


def test_who_looks_at_many_zones_has_the_latest_few_followed(
    tmp_path: Path, now: time_machine.Traveller
) -> None:
    place = Place(tmp_path, feed("GB"), Clock())
    for zone in (each.key for each in every()[:40]):
        now.shift(MINUTE)
        place.gatherer.look_at(zone)
    assert place.gatherer.zones() == ("GB", *(each.key for each in every()[39:31:-1]))
    place.close()


def test_a_service_that_fails_is_told_and_nothing_is_raised(
    tmp_path: Path, now: time_machine.Traveller
) -> None:
    source = feed("GB")
    source.failure = FeedError("fake feed answered 503", transient=True)
    place = Place(tmp_path, source, Clock())
    place.gatherer.gather()
    assert any("answered 503" in trouble for trouble in place.gatherer.troubles())
    place.close()


def test_a_replay_asks_no_service_and_says_so(tmp_path: Path) -> None:
    source = feed("GB")
    place = Place(tmp_path, source, Clock(0, milliseconds(NOW), 60.0))
    place.gatherer.gather()
    place.gatherer.look_at("GB")
    place.gatherer.tend()
    assert source.asked == []
    assert "not asked in a replay" in place.gatherer.troubles()[0]
    place.close()


def test_old_data_goes_when_the_operator_says_so(tmp_path: Path, now: time_machine.Traveller) -> None:
    place = Place(tmp_path, feed("GB"), Clock(), grid_retention="5d", own_models=False)
    old = Fetched(observed=(Observed(Q, hours(NOW - 9 * DAY, 24)), Observed(Q, hours(NOW - DAY, 24))))
    place.archive.add("fake feed", "GB", old, NOW)
    place.gatherer.tend()
    left = place.archive.observations("fake feed", "GB", Q, NOW - 20 * DAY, NOW, NOW).start_ms
    assert len(left) == 24
    assert left[0] >= milliseconds(NOW - 2 * DAY)
    place.close()


def test_of_old_forecasts_all_are_kept_that_a_job_was_planned_on(
    tmp_path: Path, now: time_machine.Traveller
) -> None:
    place = Place(tmp_path, feed("GB"), Clock(), own_models=False)
    begun = NOW.replace(minute=0) - 20 * DAY
    for k in range(12):  # every ten minutes for two hours
        issued_at = begun + k * 10 * MINUTE
        told = Fetched(issued=(Issued(Q, issued_at, hours(issued_at, 24)),))
        place.archive.add("fake feed", "GB", told, issued_at)
    frozen = {"home": "local", "home_zones": {"average": "GB"}}
    ended_ms = milliseconds(begun + 65 * MINUTE)
    with place.store.transaction() as transaction:
        transaction.add_job(job(submitted_ms=milliseconds(begun), ended_ms=ended_ms, frozen=frozen))
    place.gatherer.tend()
    left = place.archive.issues("fake feed", "GB", Q, begun, NOW, NOW)
    assert [(each.issued_at - begun) / MINUTE for each in left] == [0, 10, 20, 30, 40, 50, 60]
    place.close()


def test_a_clock_that_was_set_back_does_not_stop_the_asking(
    tmp_path: Path, now: time_machine.Traveller
) -> None:
    source = feed("GB")
    place = Place(tmp_path, source, Clock(), own_models=False)
    now.move_to(NOW + 3 * DAY)
    place.gatherer.gather()
    now.move_to(NOW)
    asked = len(source.asked)
    place.gatherer.gather()
    assert len(source.asked) > asked
    place.close()


def test_a_model_is_trained_in_a_process_of_its_own_once_a_day(tmp_path: Path) -> None:
    started = datetime.now(UTC)
    place = Place(tmp_path, feed("GB"), Clock())
    past = Fetched(observed=(Observed(Q, hours(started - 20 * DAY, 24 * 20)),))
    place.archive.add("fake feed", "GB", past, started)
    place.gatherer.tend()
    assert list(place.paths.models.iterdir()) == []  # the first fill goes before
    with time_machine.travel(started + 6 * MINUTE):
        place.gatherer.tend()
    ends = time.monotonic() + TRAINED_WITHIN_S
    while not any(place.paths.models.glob("*.npz")) and time.monotonic() < ends:
        time.sleep(0.05)
    (model,) = place.paths.models.glob("*.npz")
    assert model.name.startswith("GB-average-direct")
    written = model.stat().st_mtime_ns
    with time_machine.travel(started + 12 * MINUTE):
        place.gatherer.tend()
    assert model.stat().st_mtime_ns == written
    place.close()
