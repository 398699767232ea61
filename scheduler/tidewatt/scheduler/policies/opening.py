"""When a region is open: recurring hours of the week in the time zone of the place."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tidewatt.scheduler.plan import Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
EXAMPLE = '"Mon-Fri 18:00-08:00"'
_HOURS = re.compile(r"(?:(?P<days>[A-Za-z,\- ]+?)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_EVERY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Hours:
    """Open on these days (0 is Monday) from a minute of the day on, for so many minutes."""

    days: frozenset[int]
    start: int
    length: int


def parse_hours(text: str) -> Hours:
    """The hours that `Mon-Fri 18:00-08:00`, `Sat,Sun 00:00-24:00` or `20:00-06:00` (every day) stand for.

    Those that end before they start end on the next day.

    Raises:
        ValueError: for anything else.
    """
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} are no opening hours: write for example {EXAMPLE}")
    days = found["days"]
    start, end = (_minute(found[at], found[at + 1], text) for at in (2, 4))
    if start == DAY_MINUTES:
        raise ValueError(f"{text!r} cannot start at 24:00: write 00:00 of the next day")
    length = end - start if end > start else end - start + DAY_MINUTES
    return Hours(_EVERY if days is None else _days(days, text), start, length)


def closed_windows(
    hours: Sequence[Hours], zone: ZoneInfo, start: datetime, end: datetime
) -> tuple[Window, ...]:
    """When it is closed within `[start, end)`, in order; never where no hours are given."""
    if not hours:
        return ()
    windows, at = [], start
    for opens, closes in sorted(_open(hours, zone, start, end)):
        if opens > at:
            windows.append(Window(at, min(opens, end)))
        at = max(at, closes)
        if at >= end:
            return tuple(windows)
    return (*windows, Window(at, end))


def open_windows(
    hours: Sequence[Hours], zone: ZoneInfo, start: datetime, end: datetime
) -> tuple[Window, ...]:
    """When it is open within `[start, end)`, in order and joined; never where no hours are given."""
    windows: list[Window] = []
    for opens, closes in sorted(_open(hours, zone, start, end)):
        opens, closes = max(opens, start), min(closes, end)
        if windows and opens <= windows[-1].end:
            windows[-1] = Window(windows[-1].start, max(windows[-1].end, closes))
        else:
            windows.append(Window(opens, closes))
    return tuple(windows)


def _open(
    hours: Sequence[Hours], zone: ZoneInfo, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """All stretches that touch `[start, end)`, in UTC, by the clock on the wall there."""
    day = start.astimezone(zone).date() - timedelta(days=2)
    while day <= end.astimezone(zone).date():
        for each in hours:
            if day.weekday() in each.days:
                opens = _wall(day, each.start, zone)
                closes = _wall(day, each.start + each.length, zone)
                if closes > max(opens, start) and opens < end:
                    yield opens, closes
        day += timedelta(days=1)


def _wall(day: date, minute: int, zone: ZoneInfo) -> datetime:
    later, minute = divmod(minute, DAY_MINUTES)
    moment = datetime.combine(day + timedelta(days=later), time(minute // 60, minute % 60), zone)
    return moment.astimezone(UTC)


def _minute(hour: str, minute: str, text: str) -> int:
    at = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or at > DAY_MINUTES:
        raise ValueError(f"{text!r} has a time that no day has: write 00:00 to 24:00")
    return at


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        a, b = _day(first, whole), _day(last or first, whole)
        found.update((a + offset) % 7 for offset in range((b - a) % 7 + 1))
    return frozenset(found)


def _day(text: str, whole: str) -> int:
    name = text.casefold()[:3]
    if name not in DAYS or len(text) < 3:
        raise ValueError(f"{whole!r} has a day {text!r} that no week has: write Mon to Sun")
    return DAYS.index(name)
