"""Times and durations as people write them.

Durations carry their units (`3h`, `90m`, `1d12h`). A time limit also takes Slurm's forms (`2:30:00`, `1-12`),
in which a bare number means minutes. A moment is a time with a zone, a local time, or a duration from now.
Whatever could be read in two ways is refused, with both readings named.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from tidewatt.scheduler.errors import BadInput

DURATIONS = "for example 90m, 3h or 1d12h"
MOMENTS = 'for example 18h, 18:00, "tomorrow 06:00", "2027-03-01 08:00" or 2027-03-01T08:00+01:00'
LONGEST = timedelta(days=3660)

_UNITS = {
    "w": ("w", "week", "weeks"),
    "d": ("d", "day", "days"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "s": ("s", "sec", "secs", "second", "seconds"),
}
_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_UNIT = {alias: unit for unit, aliases in _UNITS.items() for alias in aliases}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_SLURM = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_duration(text: str, what: str = "the duration") -> timedelta:
    """How long `text` is, more than nothing; `what` names it in the error.

    Raises:
        BadInput: without a unit, with an unknown one, or not longer than nothing.
    """
    cleaned = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", cleaned):
        raise BadInput(f"{what} {text!r} has no unit: write {cleaned}m or {cleaned}h")
    if ":" in cleaned:
        raise BadInput(f"{what} {text!r} can be read in two ways: write it with units, {DURATIONS}")
    parts = _PART.findall(cleaned)
    if not parts or _PART.sub("", cleaned):
        raise BadInput(f"{what} {text!r} is not a duration: write {DURATIONS}")
    return _bounded(sum((_part(number, unit, text, what) for number, unit in parts), timedelta()), text, what)


def _part(number: str, unit: str, text: str, what: str) -> timedelta:
    if unit not in _UNIT:
        raise BadInput(f"{what} {text!r} has the unknown unit {unit!r}: use w, d, h, m or s, {DURATIONS}")
    try:
        return timedelta(seconds=float(number) * _SECONDS[_UNIT[unit]])
    except OverflowError:
        raise BadInput(f"{what} {text!r} is longer than {LONGEST.days} days") from None


def _bounded(duration: timedelta, text: str, what: str) -> timedelta:
    if duration <= timedelta():
        raise BadInput(f"{what} {text!r} must be longer than nothing, {DURATIONS}")
    if duration > LONGEST:
        raise BadInput(f"{what} {text!r} is longer than {LONGEST.days} days")
    return duration


def parse_time_limit(text: str) -> timedelta:
    """The limit of `-t/--time`: a duration, or Slurm's M, M:S, H:M:S, D-H, D-H:M, D-H:M:S (M are minutes).

    Raises:
        BadInput: if it is none of these, or not longer than nothing.
    """
    what = "the time limit"
    match = _SLURM.fullmatch(text.strip())
    if match is None:
        if ":" in text or "-" in text:
            raise BadInput(f"{what} {text!r} is not one: write 2h, 2:30:00 (H:M:S) or 1-12 (D-H)")
        return parse_duration(text, what)
    numbers = [int(number) for number in match["clock"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    try:
        limit = timedelta(days=int(match["days"] or 0), hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise BadInput(f"{what} {text!r} is longer than {LONGEST.days} days") from None
    return _bounded(limit, text, what)


def parse_moment(text: str, now: datetime, tz: tzinfo | None = None, what: str = "the time") -> datetime:
    """The moment that `text` names, aware, in UTC; it may lie in the past.

    A time of day alone is the next one at or after `now`. `tz` is the zone of local times, None for the
    system's.

    Raises:
        BadInput: if it cannot be read, does not exist in `tz` or happens there twice.
    """
    cleaned = " ".join(text.split())
    if cleaned.lower() == "now":
        return now.astimezone(UTC)
    if _PART.match(cleaned.lower().removeprefix("+").lstrip()):
        return now.astimezone(UTC) + parse_duration(cleaned.removeprefix("+"), what)
    return _of_day(cleaned, now, tz, what) or _of_date(cleaned, tz, what)


def _of_day(text: str, now: datetime, tz: tzinfo | None, what: str) -> datetime | None:
    """The moment of `18:00`, `today 18:00`, `tomorrow 06:00` or `friday 18:00`; None for other forms."""
    day, _, clock = text.lower().rpartition(" ")
    if not _CLOCK.fullmatch(clock):
        return None
    at = _clock(clock, text, what)
    today = now.astimezone(tz).date()
    if day == "":
        first = _resolved(datetime.combine(today, at), tz, what)
        return first if first >= now else _resolved(datetime.combine(_later(today, 1), at), tz, what)
    if day in ("today", "tomorrow"):
        return _resolved(datetime.combine(_later(today, int(day == "tomorrow")), at), tz, what)
    weekday = [i for i, name in enumerate(_WEEKDAYS) if len(day) >= 3 and name.startswith(day)]
    if not weekday:
        return None
    coming = _later(today, (weekday[0] - today.weekday()) % 7)
    found = _resolved(datetime.combine(coming, at), tz, what)
    return found if found >= now else _resolved(datetime.combine(_later(coming, 7), at), tz, what)


def _later(day: date, days: int) -> date:
    return day + timedelta(days=days)


def _clock(text: str, whole: str, what: str) -> time:
    match = _CLOCK.fullmatch(text)
    assert match is not None  # noqa: S101 - the caller has matched it
    try:
        return time(int(match[1]), int(match[2]), int(match[3] or 0))
    except ValueError:
        raise BadInput(
            f"{what} {whole!r} is no time of day: hours go to 23, minutes and seconds to 59"
        ) from None


def _of_date(text: str, tz: tzinfo | None, what: str) -> datetime:
    """The moment of an ISO date and time, with an offset, with a zone's name after it, or local."""
    body, _, last = text.rpartition(" ")
    if "/" in last or last.upper() == "UTC":
        return _of_date(body, _named(last, text, what), what)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise BadInput(f'{what} {text!r} has no time of day: write for example "{text} 08:00"')
    if re.search(r"[A-Za-z]{3,}$", text) and re.match(r"\d{4}-", text):
        raise BadInput(
            f"{what} {text!r} names its zone by letters that several zones share: write +01:00 or"
            f" Europe/Berlin"
        )
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{what} {text!r} cannot be read: write {MOMENTS}") from None
    try:
        return parsed.astimezone(UTC) if parsed.tzinfo else _resolved(parsed, tz, what)
    except OverflowError:
        raise BadInput(f"{what} {text!r} is outside the years that can be planned for") from None


def _named(name: str, text: str, what: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise BadInput(
            f"{what} {text!r} names the unknown time zone {name!r}: write for example Europe/Berlin"
        ) from None


def _resolved(local: datetime, tz: tzinfo | None, what: str) -> datetime:
    """The UTC moment of a naive local time that exists exactly once."""
    first, second = (_at(local, tz, fold) for fold in (0, 1))
    name = f"{local:%Y-%m-%d %H:%M}"
    if first.astimezone(tz).replace(tzinfo=None, fold=0) != local:
        raise BadInput(
            f"{what} {name} does not exist here: the clocks are put forward then, choose an hour later"
        )
    if first != second:
        choices = " or ".join(
            f"{moment.astimezone(tz).isoformat(timespec='minutes')}" for moment in (first, second)
        )
        raise BadInput(f"{what} {name} happens twice here, as the clocks are put back then: write {choices}")
    return first


def _at(local: datetime, tz: tzinfo | None, fold: int) -> datetime:
    try:
        return local.replace(tzinfo=tz, fold=fold).astimezone(UTC)
    except OverflowError:
        raise BadInput(f"{local} is outside the years that can be planned for") from None


def short(duration: timedelta) -> str:
    """The duration as `parse_duration` reads it, to the second: `1d12h`, `5m`, `0s`."""
    left = round(duration.total_seconds())
    sign, left = ("-" if left < 0 else ""), abs(left)
    parts = []
    for unit in "dhms":
        count, left = divmod(left, _SECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return sign + ("".join(parts) or "0s")
