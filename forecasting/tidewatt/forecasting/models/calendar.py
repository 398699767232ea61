"""Features of the calendar and of the sun: known for any hour ahead."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.sun import elevation_deg

DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
YEAR_DAYS = 365.2425
Integers = NDArray[np.int64]


def columns(
    history: History, target_ms: Integers, hours: Integers
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """Local hour, weekday, season, sun of the hours that start at `target_ms` (issues, hours)."""
    local_ms = local(target_ms, history.timezone)
    yield "hours ahead", hours[None, :].astype(float)
    yield "local hour", local_ms % DAY_MS / HOUR_MS
    weekday = (local_ms // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    yield "weekday", weekday.astype(float)
    yield "weekend", (weekday >= 5).astype(float)
    angle = 2 * np.pi * (local_ms / DAY_MS) / YEAR_DAYS
    yield "season, cosine", np.cos(angle)
    yield "season, sine", np.sin(angle)
    high = sun(history.latitude, history.longitude, target_ms)
    yield "sun", high
    yield "sun, against a week before", high - sun(history.latitude, history.longitude, target_ms - WEEK_MS)


def local(time_ms: Integers, timezone: str) -> Integers:
    """Milliseconds of the local clock, as though it were UTC."""
    day, inverse = np.unique(time_ms // DAY_MS, return_inverse=True)
    begins, ends = (_offset_ms(each * DAY_MS, timezone) for each in (day, day + 1))
    steady = (begins == ends)[inverse].reshape(time_ms.shape)
    local_ms = time_ms + begins[inverse].reshape(time_ms.shape)
    if not steady.all():  # the clock changes within the day
        local_ms[~steady] = time_ms[~steady] + _offset_ms(time_ms[~steady], timezone)
    return np.asarray(local_ms, np.int64)


def _offset_ms(time_ms: Integers, timezone: str) -> Integers:
    """What the local clock is ahead of UTC at each moment."""
    place = ZoneInfo(timezone)
    offsets = (datetime.fromtimestamp(each / 1000, place).utcoffset() for each in time_ms.tolist())
    return np.array([0 if each is None else each.total_seconds() * 1000 for each in offsets], np.int64)


def sun(latitude: float, longitude: float, start_ms: Integers) -> NDArray[np.float64]:
    """Sine of the sun's elevation in the middle of each hour, 0 at night."""
    middle, inverse = np.unique(start_ms + HOUR_MS // 2, return_inverse=True)
    sine = np.sin(np.radians(elevation_deg(latitude, longitude, middle)))
    return np.asarray(np.maximum(sine, 0.0)[inverse].reshape(start_ms.shape), float)
