"""Moments as whole Unix milliseconds, rounded to the safe side."""

from datetime import UTC, datetime, timedelta

FAR_MS = 253_370_764_800_000  # the year 9999: later than any plan
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def floor_ms(moment: datetime) -> int:
    """The last whole millisecond at or before an aware moment: for deadlines and the starts of bookings."""
    return (moment - _EPOCH) // _MS


def ceil_ms(moment: datetime) -> int:
    """The first whole millisecond at or after an aware moment: for earliest starts and ends of bookings."""
    return -((_EPOCH - moment) // _MS)


def length_ms(length: timedelta) -> int:
    """Whole milliseconds that hold all of `length`."""
    return -(-length // _MS)


def moment(ms: int) -> datetime:
    """The aware UTC moment of Unix milliseconds, exactly."""
    return _EPOCH + timedelta(milliseconds=ms)


def utc(ms: int) -> str:
    """A moment in words: `2026-11-22 18:05 UTC`."""
    return f"{moment(ms):%Y-%m-%d %H:%M} UTC"
