"""Opening hours: what is understood, and when it is closed by the clock on the wall."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tidewatt.scheduler.plan import Window
from tidewatt.scheduler.policies.opening import closed_windows, parse_hours

BERLIN = ZoneInfo("Europe/Berlin")


def utc(day: int, hour: int, minute: int = 0, month: int = 12) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def closed(*texts: str, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    hours = [parse_hours(text) for text in texts]
    return [(each.start, each.end) for each in closed_windows(hours, BERLIN, start, end)]


def test_nights_of_working_days_are_open_past_midnight() -> None:
    # Wednesday 2 December, 12:00 UTC to the next noon; Berlin is an hour ahead
    found = closed("Mon-Fri 18:00-08:00", start=utc(2, 12), end=utc(3, 12))
    assert found == [(utc(2, 12), utc(2, 17)), (utc(3, 7), utc(3, 12))]


def test_the_night_after_the_last_day_reaches_into_the_next_one() -> None:
    # Friday evening to Saturday morning is open, Saturday evening is not
    found = closed("Mon-Fri 18:00-08:00", start=utc(4, 18), end=utc(6, 12))
    assert found == [(utc(5, 7), utc(6, 12))]


def test_several_hours_are_joined_and_days_may_wrap_around_the_week() -> None:
    found = closed("Sat-Mon 00:00-24:00", "Tue 00:00-06:00", start=utc(5, 0), end=utc(9, 0))
    assert found == [(utc(8, 5), utc(9, 0))]


def test_hours_without_days_hold_every_day() -> None:
    assert closed("20:00-06:00", start=utc(2, 0), end=utc(3, 0)) == [(utc(2, 5), utc(2, 19))]


def test_summer_time_moves_the_hours_with_the_clock_on_the_wall() -> None:
    # on 29 March 2026 Berlin goes from UTC+1 to UTC+2
    found = closed("08:00-18:00", start=utc(28, 0, month=3), end=utc(30, 0, month=3))
    opens = [end for _, end in found[:2]]
    assert opens == [utc(28, 7, month=3), utc(29, 6, month=3)]


def test_without_hours_it_is_never_closed() -> None:
    assert closed_windows((), BERLIN, utc(1, 0), utc(2, 0)) == ()


def test_windows_lie_within_what_was_asked() -> None:
    start, end = utc(2, 0), utc(2, 0) + timedelta(days=35)
    windows = closed_windows([parse_hours("Mon-Fri 18:00-08:00")], BERLIN, start, end)
    assert windows[0].start >= start
    assert windows[-1].end <= end
    assert all(isinstance(each, Window) and each.start < each.end for each in windows)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("always", "are no opening hours: write for example"),
        ("Mon-Fri 18-08", "are no opening hours"),
        ("Mon-Fry 18:00-08:00", "has a day 'Fry' that no week has"),
        ("Mo 18:00-08:00", "has a day 'Mo'"),
        ("18:00-25:00", "a time that no day has"),
        ("18:60-20:00", "a time that no day has"),
        ("24:00-08:00", "cannot start at 24:00"),
    ],
)
def test_other_words_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_hours(text)
