"""A service as the chain sees it: from memory while nothing changed, and it says when it was not heard of."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.archived import Archived
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.feeds.fake import FakeFeed
from tidewatt.forecasting.feeds.feed import FeedError, Fetched, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.refresh import Refresher
from tidewatt.forecasting.series import Rung, Steps, milliseconds

T0 = datetime(2026, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
KIND = Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
Q = intensity(KIND)


def hours(start: datetime, count: int) -> Steps:
    hour = milliseconds(start) // 3_600_000 + np.arange(count)
    return Steps(hour * 3_600_000, (hour + 1) * 3_600_000, np.round(300 + 100 * np.sin(hour * np.pi / 12)))


@pytest.fixture
def feed() -> FakeFeed:
    made = FakeFeed()
    made.observed["DE"] = [Observed(Q, hours(T0 - 40 * DAY, 24 * 50)), Observed("mw gas", hours(T0, 9))]
    made.issued["DE"] = [Issued(Q, T0, hours(T0, 72))]
    return made


@pytest.fixture
def archive(tmp_path: Path, feed: FakeFeed) -> Iterator[Archive]:
    with Archive(tmp_path / "archive.db") as made:
        refresher(made, feed).turn(T0)
        yield made


def refresher(archive: Archive, feed: FakeFeed, zone: str = "DE") -> Refresher:
    return Refresher([feed], archive, lambda: [zone], seed="", clock=lambda: 0.0)


def test_kinds_are_those_the_service_may_have_and_the_archive_holds(archive: Archive, feed: FakeFeed) -> None:
    other = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
    archive.add(feed.name, "DE", Fetched((Observed(intensity(other), hours(T0 - DAY, 3)),)), T0)
    archive.add("another", "DE", Fetched((Observed(intensity(Kind(*other_kind())), hours(T0 - DAY, 3)),)), T0)
    assert Archived(feed, archive).kinds("DE") == (KIND, other)
    assert Archived(feed, archive).kinds("FR") == ()


def other_kind() -> tuple[Signal, Basis, Boundary]:
    return Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION


def test_the_chain_plans_on_what_was_archived(archive: Archive, feed: FakeFeed) -> None:
    outlook = Chain([Archived(feed, archive)]).outlook("DE", Signal.AVERAGE, T0 + HOUR, T0 + DAY)
    assert outlook is not None
    assert outlook.note == ""
    assert [(each.rung, each.source) for each in outlook.segments] == [(Rung.LIVE, "fake feed")]
    assert outlook.steps.gco2_per_kwh.tolist() == hours(T0 + HOUR, 23).gco2_per_kwh.tolist()


def test_answers_come_from_memory_until_something_changes(
    archive: Archive, feed: FakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Archived(feed, archive)
    reads: list[str] = []
    plain = Archive.observations

    def counted(self: Archive, source: str, *more: object) -> Steps:
        reads.append(source)
        return plain(self, source, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Archive, "observations", counted)
    for minute in range(50):
        now = T0 + minute * HOUR / 60
        assert len(provider.observations("DE", KIND, now - 7 * DAY, now, now).steps.start_ms) > 160
        assert provider.forecast("DE", KIND, now) is not None
    assert len(reads) == 1
    assert len(provider.observations("DE", KIND, T0 - 9 * DAY, T0, T0).steps.start_ms) == 9 * 24
    assert len(reads) == 2
    refresher(archive, feed).turn(T0 + 2 * HOUR)
    now = T0 + 2 * HOUR
    assert (
        provider.observations("DE", KIND, T0, now, now).steps.gco2_per_kwh.tolist()
        == hours(T0, 2).gco2_per_kwh.tolist()
    )


def test_a_later_fetch_does_not_change_what_was_known_before(archive: Archive, feed: FakeFeed) -> None:
    provider = Archived(feed, archive)
    feed.issued["DE"].append(Issued(Q, T0 + HOUR, hours(T0 + HOUR, 72)))
    refresher(archive, feed).turn(T0 + 2 * HOUR)
    for now, issued_at in ((T0 + 2 * HOUR, T0 + HOUR), (T0 + HOUR, T0), (T0 + 3 * HOUR, T0 + HOUR)):
        forecast = provider.forecast("DE", KIND, now)
        assert forecast is not None
        assert forecast.issued_at == issued_at


def test_a_planner_waits_less_than_a_millisecond(archive: Archive, feed: FakeFeed) -> None:
    provider = Archived(feed, archive)
    provider.version("DE", T0)
    spent_s = []
    for _ in range(200):
        began = perf_counter()
        provider.version("DE", T0 + HOUR)
        provider.forecast("DE", KIND, T0 + HOUR)
        spent_s.append(perf_counter() - began)
    assert sorted(spent_s)[100] < 0.001


def test_trouble_is_told_with_since_when_and_ends_with_it(archive: Archive, feed: FakeFeed) -> None:
    provider, followed = Archived(feed, archive), refresher(archive, feed)
    before = provider.version("DE", T0 + HOUR)
    assert provider.trouble_of("DE", T0 + HOUR) == ""
    feed.failure = FeedError("fake feed answered 503", transient=True)
    followed.turn(T0 + 2 * HOUR)
    told = provider.trouble_of("DE", T0 + 2 * HOUR)
    assert told == "fake feed answered 503 (fake feed's forecast: the last came at 2026-03-10 00:00 UTC)"
    assert provider.version("DE", T0 + 2 * HOUR) != before
    outlook = Chain([provider]).outlook("DE", Signal.AVERAGE, T0 + 2 * HOUR, T0 + DAY)
    assert outlook is not None
    assert (outlook.segments[0].rung, outlook.note) == (Rung.LIVE, told)  # it is still fresh
    feed.failure = None
    feed.issued["DE"].append(Issued(Q, T0 + 4 * HOUR, hours(T0 + 4 * HOUR, 72)))
    followed.turn(T0 + 4 * HOUR)
    assert provider.trouble_of("DE", T0 + 4 * HOUR) == ""


def test_a_service_that_answers_without_anything_new_is_trouble(archive: Archive, feed: FakeFeed) -> None:
    provider, followed = Archived(feed, archive), refresher(archive, feed)
    followed.turn(T0 + 4 * HOUR)
    told = provider.trouble_of("DE", T0 + 4 * HOUR)
    assert told == "fake feed has told no new forecast since 2026-03-10 00:00 UTC"
    feed.issued["DE"].clear()
    followed.turn(T0 + 6 * HOUR)
    told = provider.trouble_of("DE", T0 + 6 * HOUR)
    assert told.startswith("fake feed sent no forecast (fake feed's forecast: the last came at ")


def test_observations_count_where_no_forecast_of_the_intensity_ever_came(archive: Archive) -> None:
    feed = FakeFeed("mix")
    feed.issued["FR"] = [Issued("mw demand", T0 + i * HOUR, hours(T0 + i * HOUR, 72)) for i in range(99)]
    feed.observed["FR"] = [Observed(Q, hours(T0 - 2 * DAY, 48))]
    provider, followed = Archived(feed, archive), refresher(archive, feed, "FR")
    followed.turn(T0)
    assert provider.trouble_of("FR", T0) == ""
    followed.turn(T0 + 9 * HOUR)
    told = provider.trouble_of("FR", T0 + 9 * HOUR)
    assert told == "mix has told no carbon intensity since 2026-03-10 00:00 UTC"


def test_a_service_that_nobody_asks_any_more_is_trouble_too(archive: Archive, feed: FakeFeed) -> None:
    provider = Archived(feed, archive)
    assert provider.trouble_of("DE", T0 + 5 * HOUR) == ""
    assert provider.trouble_of("DE", T0 + 7 * HOUR) == "fake feed was not asked since 2026-03-10 00:00 UTC"
    assert provider.trouble_of("FR", T0) == ""


def test_past_issues_are_those_that_were_here_at_the_time(archive: Archive, feed: FakeFeed) -> None:
    for hour in range(1, 5):
        issued = Issued(Q, T0 + hour * HOUR, hours(T0 + hour * HOUR, 72))
        archive.add(feed.name, "DE", Fetched(issued=(issued,)), T0 + (hour + 1) * HOUR)
    found = Archived(feed, archive).issues("DE", KIND, T0, T0 + 3 * HOUR, HOUR)
    assert [each.issued_at for each in found] == [T0, T0 + HOUR, T0 + 2 * HOUR]
    assert {each.source for each in found} == {"fake feed"}
    rare = Archived(feed, archive).issues("DE", KIND, T0, T0 + 9 * HOUR, 3 * HOUR)
    assert [each.issued_at for each in rare] == [T0 + 2 * HOUR, T0 + 4 * HOUR]
