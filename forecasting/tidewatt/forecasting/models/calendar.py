"""Features of the calendar and of the sun: known for any hour ahead."""

from collections.abc import Iterator
from datetime import UTC, datetime
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
    place = ZoneInfo(timezone)
    hour, inverse = np.unique(time_ms // HOUR_MS, return_inverse=True)
    stamps = (datetime.fromtimestamp(each * 3600, UTC).astimezone(place) for each in hour.tolist())
    offset_s = np.array([moment.utcoffset().total_seconds() for moment in stamps], np.int64)  # type: ignore[union-attr]
    return np.asarray(time_ms + offset_s[inverse].reshape(time_ms.shape) * 1000, np.int64)


def sun(latitude: float, longitude: float, start_ms: Integers) -> NDArray[np.float64]:
    """Sine of the sun's elevation in the middle of each hour, 0 at night."""
    middle, inverse = np.unique(start_ms + HOUR_MS // 2, return_inverse=True)
    sine = np.sin(np.radians(elevation_deg(latitude, longitude, middle)))
    return np.asarray(np.maximum(sine, 0.0)[inverse].reshape(start_ms.shape), float)
