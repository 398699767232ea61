"""Keeping the archive up to date: once for each issue, patiently, and each service by itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.forecasting import turns
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.fake import HOURLY, FakeFeed
from tidewatt.forecasting.feeds.feed import FeedError, Issued, Observed
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.refresh import Health, Refresher
from tidewatt.forecasting.series import Steps, instant, milliseconds

T0 = datetime(2026, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
Q = intensity(Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.CONSUMPTION, "CO2"))
PASSING = FeedError("fake feed (host) answered 503", transient=True)


def hours(start: datetime, count: int) -> Steps:
    """Hourly values that go round with the day, 200 to 400 g."""
    first = milliseconds(start) // 3_600_000
    hour = first + np.arange(count)
    values = np.round(300 + 100 * np.sin(hour * np.pi / 12) + hour % 7)
    return Steps(hour * 3_600_000, (hour + 1) * 3_600_000, values.astype(float))


def filled(name: str = "fake feed", *zones: str) -> FakeFeed:
    """A feed with 40 days of past and an issue every hour, for ten days around T0."""
    feed = FakeFeed(name)
    for zone in zones or ("DE",):
        feed.observed[zone] = [Observed(Q, hours(T0 - 40 * DAY, 24 * 50))]
        feed.issued[zone] = [Issued(Q, T0 + h * HOUR, hours(T0 + h * HOUR, 72)) for h in range(-24, 24 * 9)]
    return feed


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "archive.db") as made:
        yield made


def refresher(archive: Archive, *feeds: FakeFeed, zones: Callable[[], list[str]] | None = None) -> Refresher:
    return Refresher(
        feeds, archive, zones or (lambda: ["DE"]), seed="a host", patience_s=5.0, clock=lambda: 0.0
    )


def run(refresher: Refresher, now: datetime, until: datetime) -> datetime:
    """Takes every turn that is due until then; returns when the next one is."""
    turns_taken = 0
    while now < until:
        due = refresher.turn(now)
        assert due > now
        now, turns_taken = due, turns_taken + 1
        assert turns_taken < 2000
    return now


def asked(feed: FakeFeed, what: str) -> list[tuple[datetime, datetime]]:
    return [(start, end) for verb, _, start, end in feed.asked if verb == what]


def oldest(archive: Archive, now: datetime, zone: str = "DE") -> datetime:
    found = archive.observations("fake feed", zone, Q, T0 - 99 * DAY, now, now)
    return instant(int(found.start_ms[0]))


def test_the_newest_comes_first_and_the_past_after_it(archive: Archive) -> None:
    feed = filled()
    followed = refresher(archive, feed)
    assert followed.turn(T0 + 5 * MINUTE) <= T0 + 6 * MINUTE
    assert feed.asked[0][0] == "forecast"
    assert archive.issue("fake feed", "DE", Q, T0 + 5 * MINUTE) is not None
    assert oldest(archive, T0 + 5 * MINUTE) >= T0 - 20 * DAY
    run(followed, T0 + 6 * MINUTE, T0 + 10 * MINUTE)
    assert oldest(archive, T0 + HOUR) <= T0 - 30 * DAY + HOUR
    spans = asked(feed, "observations")
    assert all(end - start <= HOURLY.span for start, end in spans)
    assert [start for start, _ in spans] == sorted([start for start, _ in spans], reverse=True)
    before = len(feed.asked)
    run(followed, T0 + 10 * MINUTE, T0 + 50 * MINUTE)
    assert len(feed.asked) == before


def test_each_issue_is_fetched_once_however_many_zones_and_turns(archive: Archive) -> None:
    feed = filled("fake feed", "DE", "FR")
    followed = refresher(archive, feed, zones=lambda: ["DE", "FR", "DE"])
    run(followed, T0, T0 + DAY)
    for zone in ("DE", "FR"):
        fetched = [start for what, of, start, _ in feed.asked if (what, of) == ("forecast", zone)]
        assert len(fetched) <= 26
        issues = archive.issues("fake feed", zone, Q, T0, T0 + DAY, T0 + DAY)
        assert [each.issued_at for each in issues] == [T0 + h * HOUR for h in range(24)]


def test_what_may_still_be_restated_is_asked_for_again(archive: Archive) -> None:
    feed = filled()
    followed = refresher(archive, feed)
    run(followed, T0, T0 + 3 * HOUR)
    was = feed.observed["DE"][0].steps
    feed.observed["DE"] = [Observed(Q, replace(was, gco2_per_kwh=was.gco2_per_kwh + 1))]
    run(followed, T0 + 3 * HOUR, T0 + 5 * HOUR)
    recent = archive.observations("fake feed", "DE", Q, T0 - 20 * HOUR, T0 + 4 * HOUR, T0 + 5 * HOUR)
    assert set(
        (recent.gco2_per_kwh - hours(T0 - 20 * HOUR, 30).gco2_per_kwh[: len(recent.start_ms)]).tolist()
    ) == {1}


def test_no_step_is_missed_where_nothing_is_ever_restated(archive: Archive) -> None:
    feed = filled()
    feed.cadence = replace(HOURLY, revised_for=timedelta())
    run(refresher(archive, feed), T0 + 7 * MINUTE, T0 + DAY)
    found = archive.observations("fake feed", "DE", Q, T0 - DAY, T0 + DAY, T0 + DAY)
    assert len(found.start_ms) >= 47
    assert (found.start_ms[1:] == found.end_ms[:-1]).all()


def test_a_gap_while_nobody_asked_is_filled(archive: Archive) -> None:
    feed = filled()
    feed.cadence = replace(HOURLY, span=2 * DAY)
    run(refresher(archive, feed), T0 - 9 * DAY, T0 - 9 * DAY + 10 * MINUTE)
    run(refresher(archive, feed), T0, T0 + 10 * MINUTE)
    found = archive.observations("fake feed", "DE", Q, T0 - 20 * DAY, T0, T0 + HOUR)
    assert len(found.start_ms) == 20 * 24


def test_after_failures_it_waits_longer_and_longer_and_then_goes_on(archive: Archive) -> None:
    feed = filled()
    followed = refresher(archive, feed)
    now = run(followed, T0, T0 + 30 * MINUTE)
    feed.failure, before = PASSING, len(feed.asked)
    run(followed, now, now + DAY)
    failed = [start for what, _, start, _ in feed.asked[before:] if what == "forecast"]
    gaps = [later - earlier for earlier, later in pairwise(failed)]
    assert gaps[0] >= MINUTE
    assert gaps[2] >= 4 * MINUTE
    assert HOUR <= max(gaps) <= 1.2 * HOUR
    assert len(failed) < 40
    feed.failure = None
    run(followed, now + DAY, now + DAY + 2 * HOUR)
    newest = archive.issue("fake feed", "DE", Q, now + DAY + 2 * HOUR)
    assert newest is not None
    assert newest.issued_at >= now + DAY - HOUR


@pytest.mark.parametrize(
    ("failure", "least", "most"),
    [
        (PASSING, MINUTE, 1.2 * MINUTE),
        (
            FeedError("429", transient=True, retry_after_s=1234),
            timedelta(seconds=1234),
            timedelta(seconds=1234),
        ),
        (FeedError("no forecasts on this plan", denied=True), DAY, 1.2 * DAY),
        (FeedError("the service's format has changed"), 15 * MINUTE, 18 * MINUTE),
        (ForecastError("the disk is full", transient=True), MINUTE, 1.2 * MINUTE),
        (KeyError("s3cret"), MINUTE, 1.2 * MINUTE),
    ],
    ids=["503", "429", "denied", "final", "archive", "bug"],
)
def test_the_pause_fits_the_failure(
    archive: Archive, failure: Exception, least: timedelta, most: timedelta
) -> None:
    feed = filled()
    feed.failure = failure
    due = refresher(archive, feed).turn(T0)
    assert least <= due - T0 <= most
    [forecast, observations] = archive.attempts("fake feed")
    assert (forecast.what, observations.what) == ("forecast", "observations")
    assert forecast.text
    archive.close()
    assert not any(b"s3cret" in file.read_bytes() for file in archive.path.parent.iterdir())


def test_a_restart_keeps_pauses_but_asks_again_where_a_key_was_refused(archive: Archive) -> None:
    feed = filled()
    feed.failure = FeedError("429", transient=True, retry_after_s=3600)
    refresher(archive, feed).turn(T0)
    again = refresher(archive, feed)
    assert again.turn(T0 + MINUTE) == T0 + HOUR
    assert len(feed.asked) == 2
    feed.failure = FeedError("the key may not", denied=True)
    again.turn(T0 + HOUR)
    assert len(feed.asked) == 4
    assert again.turn(T0 + 2 * HOUR) >= T0 + DAY
    refresher(archive, feed).turn(T0 + 2 * HOUR)
    assert len(feed.asked) == 6


def test_a_clock_that_was_ahead_stops_nothing_once_it_is_right(archive: Archive) -> None:
    feed = filled()
    refresher(archive, feed).turn(T0 + 4 * DAY)
    feed.asked.clear()
    followed = refresher(archive, feed)
    assert followed.turn(T0) <= T0 + HOUR
    assert asked(feed, "forecast") == [(T0, T0)]
    assert len(archive.issues("fake feed", "DE", Q, T0, T0 + HOUR, T0)) == 1
    assert len(archive.observations("fake feed", "DE", Q, T0 - DAY, T0, T0).start_ms) == 24
    assert all(start < end <= T0 for start, end in asked(feed, "observations"))


def test_a_service_that_hangs_holds_up_no_other(archive: Archive) -> None:
    slow, quick = filled("slow"), filled("fake feed")
    slow.hold = Event()
    followed = Refresher([slow, quick], archive, lambda: ["DE"], seed="", patience_s=0.05, clock=lambda: 0.0)
    for now in (T0, T0 + 2 * HOUR):
        for _ in range(2000):
            assert followed.turn(now) <= now + HOUR
            newest = archive.issue("fake feed", "DE", Q, now)
            if newest is not None and newest.issued_at == now:
                break
        else:
            pytest.fail("the other service was not asked")
    assert len(slow.asked) == 1
    slow.hold.set()


@pytest.mark.parametrize("failure", [None, PASSING])
def test_a_command_without_a_daemon_asks_what_is_due_and_no_more(
    archive: Archive, failure: Exception | None
) -> None:
    feed = filled()
    feed.failure = failure
    for minute in range(5):
        health = refresher(archive, feed).refresh_once(T0 + minute * MINUTE / 10, "DE", 5.0)
        assert [(each.what, each.ok) for each in health] == [
            ("forecast", failure is None),
            ("observations", failure is None),
        ]
    assert [what for what, *_ in feed.asked] == ["forecast", "observations"]


def test_a_command_waits_no_longer_than_it_may(archive: Archive) -> None:
    feed = filled()
    feed.hold = Event()
    assert refresher(archive, feed).refresh_once(T0, "DE", 0.1) == ()
    feed.hold.set()


def test_health_tells_what_works_and_what_does_not(archive: Archive) -> None:
    feed = filled()
    followed = refresher(archive, feed)
    followed.turn(T0)
    assert set(followed.health()) == {
        Health("fake feed", "DE", what, True, T0) for what in ("forecast", "observations", "history")
    }
    feed.failure = PASSING
    followed.turn(T0 + 2 * HOUR)
    assert Health("fake feed", "DE", "forecast", False, T0, str(PASSING)) in followed.health()
    assert refresher(archive, feed).health() == followed.health()


def test_what_was_refused_is_written_down_and_counts_as_failed(archive: Archive) -> None:
    feed = filled()
    followed = refresher(archive, feed)
    run(followed, T0, T0 + 30 * MINUTE)
    hour = hours(T0 + HOUR, 48)
    feed.issued["DE"].append(Issued(Q, T0 + 1.4 * HOUR, replace(hour, gco2_per_kwh=hour.gco2_per_kwh * 0)))
    followed.turn(T0 + 1.5 * HOUR)
    told = {health.what: health for health in followed.health()}
    assert not told["forecast"].ok
    assert "zeros" in told["forecast"].text
    assert any("zeros" in remark.text for remark in archive.remarks(T0))
    newest = archive.issue("fake feed", "DE", Q, T0 + 2 * HOUR)
    assert newest is not None
    assert newest.issued_at == T0


def test_nothing_ever_raises(archive: Archive, tmp_path: Path) -> None:
    class Broken(FakeFeed):
        def quantities(self, zone: str) -> tuple[str, ...]:
            raise RuntimeError("s3cret")

    def zones() -> list[str]:
        raise OSError("no zones")

    (tmp_path / "folder").mkdir()
    with Archive(tmp_path / "folder") as useless:
        for feeds, kept, of in (([Broken()], archive, lambda: ["DE"]), ([filled()], archive, zones)):
            assert Refresher(feeds, kept, of, seed="").turn(T0) > T0
        followed = Refresher([filled()], useless, lambda: ["DE"], seed="")
        assert followed.turn(T0) > T0
        assert not followed.refresh_once(T0, "DE", 1.0)[0].ok
    assert Refresher([], archive, lambda: [], seed="").turn(T0) > T0


def test_zones_that_are_no_longer_followed_are_not_asked_for(archive: Archive) -> None:
    feed, zones = filled("fake feed", "DE", "FR"), ["DE", "FR"]
    followed = refresher(archive, feed, zones=lambda: zones)
    run(followed, T0, T0 + 10 * MINUTE)
    zones.remove("FR")
    before = len(feed.asked)
    run(followed, T0 + 10 * MINUTE, T0 + 5 * HOUR)
    assert {zone for _, zone, *_ in feed.asked[before:]} == {"DE"}


@given(st.text(max_size=20), st.text(max_size=5))
def test_installations_are_spread_over_time(seed: str, zone: str) -> None:
    phase = turns.phase(seed, "WattTime", zone)
    assert 0 <= phase < 1
    assert phase == turns.phase(seed, "WattTime", zone)


def test_a_hundred_hosts_do_not_ask_in_the_same_second() -> None:
    at = [turns.phase(f"host {number}", "WattTime", "DE") * 120 for number in range(100)]
    assert len({round(second) for second in at}) > 50
