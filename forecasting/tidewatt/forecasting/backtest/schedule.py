"""When a backtest issues its forecasts: which part of the past is learned from, and which is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.series import instant, milliseconds

DAY_H = 24
DAY_MS = DAY_H * HOUR_MS
LEARN_D = 7  # so many days must have passed before the first issue
JUDGE_D = 90  # so many days are judged unless told otherwise
LEARN_SHARE = 3  # and of a short past this part is left to learn from
ARRIVE_EVERY_H = 3


@dataclass(frozen=True, slots=True)
class Schedule:
    """Issues every `every_h` hours, each for `hours` ahead, in `[start_ms, end_ms)`."""

    start_ms: int
    end_ms: int
    every_h: int
    hours: int

    @property
    def moments_ms(self) -> NDArray[np.int64]:
        """The moments of issue, which are full multiples of `every_h` from midnight UTC on."""
        every_ms = self.every_h * HOUR_MS
        first_ms = self.start_ms + -(self.start_ms % DAY_MS) % every_ms
        return np.arange(first_ms, self.end_ms, every_ms, dtype=np.int64)

    @property
    def arrivals(self) -> tuple[int, ...]:
        """Hours after an issue at which jobs arrive: every third, until the next issue."""
        return tuple(range(0, self.every_h, ARRIVE_EVERY_H))


def schedule(
    history: History,
    start: datetime | None,
    end: datetime | None,
    *,
    every_h: int,
    hours: int,
    recorded: Sequence[datetime] = (),
) -> Schedule:
    """The schedule over `[start, end)`; by default the last 90 days, or the last two thirds of a short past.

    Where forecasts were `recorded` the default is the time from the first to the last of them. It always
    leaves room to see what came of the last forecast.

    Raises:
        ForecastError: there is too little past; the text says how many days are needed.
    """
    if every_h < 1 or DAY_H % every_h or not 1 <= hours <= 14 * DAY_H:
        raise ForecastError("forecasts are issued every 1, 2, 3, 4, 6, 8, 12 or 24 h, for up to 336 h ahead")
    first_ms, last_ms = _observed_ms(history)
    past_d, needed_d = (last_ms - first_ms) / DAY_MS, LEARN_D + 1 + -(-hours // DAY_H)
    if past_d < needed_d:
        raise ForecastError(
            f"{history.zone} has {past_d:.1f} days of observations, a backtest of {hours} h ahead needs"
            f" {needed_d}: {LEARN_D} to learn from and {needed_d - LEARN_D} to be judged by"
        )
    earliest_ms = first_ms + LEARN_D * DAY_MS
    end_ms = last_ms - hours * HOUR_MS + 1  # an issue at the very end is in
    if recorded:
        end_ms = min(end_ms, milliseconds(max(recorded)) + every_h * HOUR_MS)
    end_ms = end_ms if end is None else milliseconds(end)
    learned_ms = first_ms + (end_ms - first_ms) // LEARN_SHARE
    start_ms = milliseconds(min(recorded)) if recorded else max(learned_ms, end_ms - JUDGE_D * DAY_MS)
    start_ms = max(earliest_ms, start_ms) if start is None else milliseconds(start)
    made = Schedule(start_ms, end_ms, every_h, hours)
    if start_ms < earliest_ms or end_ms > last_ms or not len(made.moments_ms):
        raise ForecastError(
            f"{history.zone} cannot be judged from {_day(start_ms)} to {_day(end_ms)}: there are observations"
            f" from {_day(first_ms)} to {_day(last_ms)}, and {LEARN_D} days come before the first forecast"
        )
    return made


def _observed_ms(history: History) -> tuple[int, int]:
    """Start of the first and end of the last hour that has a value."""
    known = np.flatnonzero(~np.isnan(history.gco2_per_kwh))
    if not len(known):
        raise ForecastError(f"{history.zone} has no hour of which at least half was observed")
    return history.start_ms + HOUR_MS * int(known[0]), history.start_ms + HOUR_MS * int(known[-1] + 1)


def _day(time_ms: int) -> str:
    return f"{instant(time_ms):%Y-%m-%d %H:%MZ}"
