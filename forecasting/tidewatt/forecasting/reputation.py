"""What a source's series has been worth so far, and what that makes of its numbers ahead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.asking import Asked
from tidewatt.forecasting.hours import HOUR_MS
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.series import Intensities, instant, milliseconds
from tidewatt.forecasting.skill import FARTHEST_G, LEAST_DAYS, PRIOR, Skill, learn
from tidewatt.forecasting.witnesses import (
    DAY_H,
    HOURS,
    OLDEST_H,
    Past,
    Told,
    hours_of,
    past_of,
    told_by,
    witnesses,
)

Floats = NDArray[np.float64]

LOOKED_BACK_H = 28 * DAY_H
USUAL_H = 8 * DAY_H  # before the first trial: what was usual then
EVERY_H = 3  # between two trials
LEARNT_EVERY_H = 6
LATE = timedelta(hours=6)  # so late an issue may be received
OWN_NEEDS_DAYS = 7.0  # of trials, before the mean of the same hours is moved
HORIZON_H: Floats = np.arange(HOURS, dtype=np.float64) + 0.5
NOTHING = (0.0,) * len(PRIOR)


@dataclass(frozen=True, slots=True, eq=False)
class Advice:
    """What becomes of a source's numbers from the hour `start_h` (since 1970) on; (HOURS,) each.

    The mean is `usual + share * (forecast - usual) + rest`, and the band reaches from `low`, not above 0, to
    `high` around it, gCO2/kWh. `usual` is (24,), hour after hour.
    """

    start_h: int
    usual: Floats
    share: Floats
    rest: Floats
    low: Floats
    high: Floats
    note: str = ""


def scaled(advice: Advice, factor: float) -> Advice:
    """The same for a source whose numbers were multiplied with a factor."""
    if factor == 1.0:
        return advice
    columns = {name: getattr(advice, name) * factor for name in ("usual", "rest", "low", "high")}
    return replace(advice, **columns)


class Reputation:
    """A provider's series of one kind in a zone, judged by its own observations, else by those of others.

    Everything is as known at the `now` that is passed in; what was learnt is kept until six hours have
    passed.
    """

    def __init__(self, source: Asked, others: Sequence[Asked], zone: str, kind: Kind) -> None:
        self._source, self._others, self._zone, self._kind = source, others, zone, kind
        self._issues: dict[int, Intensities] = {}  # on hours, by the hour of the issue
        self._heard_to: datetime | None = None
        self._past: Past | None = None
        self._past_h = -1
        self._learnt: dict[bool, tuple[int, Skill | None, int]] = {}

    def of_forecast(self, now: datetime) -> Advice | None:
        """What becomes of its newest forecast; None where not a day of forecasts has been observed."""
        hour = milliseconds(now) // HOUR_MS
        skill, longest_h = self._skill(now, own=False)
        past = self._past_at(hour)
        if skill is None or past is None or skill.known_days < LEAST_DAYS:
            return None
        told = self._told(now)
        if not len(told.issued_h):
            return None
        said = [_known(each[0]) for each in witnesses(past, told, np.array([hour]))]
        late_h = max(0, hour - int(told.issued_h[-1]) - longest_h)
        weight, offset, low, high = skill.at(HORIZON_H + late_h)
        rest = offset + sum(weight[:, i] * said[i] for i in range(1, len(said)))
        usual = past.usual_at(np.array([hour]), DAY_H)[0]
        kept = weight[:, :-1].sum(axis=1)
        note = (
            f"shrunk towards the mean of the same hours: of what {self._source.provider.name} told besides, "
            f"{kept[0]:.0%} came true 1 h ahead, {kept[23]:.0%} 24 h ahead ({skill.known_days:.0f} days)"
        )
        return Advice(hour, usual, weight[:, 0], rest, low, high, note)

    def of_same_hours(self, now: datetime) -> Advice | None:
        """What becomes of the mean of the same hours; None where there was too little to learn from."""
        hour = milliseconds(now) // HOUR_MS
        skill, _ = self._skill(now, own=True)
        past = self._past_at(hour)
        if skill is None or past is None or skill.known_days < OWN_NEEDS_DAYS:
            return None
        seen = witnesses(past, None, np.array([hour]))[0][0]
        weight, offset, low, high = skill.at(HORIZON_H)
        usual = past.usual_at(np.array([hour]), DAY_H)[0]
        note = f"the mean of the same hours takes up {weight[0, 0]:.0%} of what the last hours were off"
        return Advice(hour, usual, np.ones(HOURS), offset + weight[:, 0] * seen, low, high, note)

    def _skill(self, now: datetime, *, own: bool) -> tuple[Skill | None, int]:
        """What was learnt as of the last sixth hour, and how old, in hours, the forecasts judged got."""
        as_of_h = milliseconds(now) // HOUR_MS // LEARNT_EVERY_H * LEARNT_EVERY_H
        kept = self._learnt.get(own)
        if kept is None or kept[0] != as_of_h:
            kept = self._learnt[own] = (as_of_h, *self._learn(as_of_h, own=own))
        return kept[1:]

    def _learn(self, as_of_h: int, *, own: bool) -> tuple[Skill | None, int]:
        past = self._observed(as_of_h)
        if past is None:
            return None, 0
        moments = np.arange(-(-(as_of_h - LOOKED_BACK_H) // EVERY_H) * EVERY_H, as_of_h, EVERY_H)
        told = None if own else self._told(instant(as_of_h * HOUR_MS))
        if told is not None and not len(told.issued_h):
            return None, 0
        said = witnesses(past, told, moments)
        observed = past.came(moments) - past.usual_at(moments)
        prior = [np.array(NOTHING)] if own else [np.array(PRIOR), *[np.array(NOTHING)] * 3]
        ages = np.zeros(1, np.int64) if told is None else told.ages(moments)
        return learn(observed, said, prior, DAY_H / EVERY_H), int(ages.max(initial=0))

    def _told(self, now: datetime) -> Told:
        """Its forecasts as issued by `now`, as far back as trials look."""
        if self._heard_to is not None and now < self._heard_to:  # the clock went back: nothing later counts
            self._issues, self._heard_to = {}, None
        since = now - timedelta(hours=LOOKED_BACK_H + OLDEST_H)
        start = since if self._heard_to is None else max(since, self._heard_to - LATE)
        for each in self._source.issues(self._zone, self._kind, start, now):
            self._issues[milliseconds(each.issued_at) // HOUR_MS] = hours_of(each)
        self._heard_to = now
        first_h = milliseconds(since) // HOUR_MS
        for hour in [hour for hour in self._issues if hour < first_h]:
            del self._issues[hour]
        return told_by(self._issues)

    def _past_at(self, hour: int) -> Past | None:
        if hour != self._past_h:
            self._past, self._past_h = self._observed(hour), hour
        return self._past

    def _observed(self, now_h: int) -> Past | None:
        """What was observed by that hour, by the source itself, else by the first other of this kind."""
        now, since_h = instant(now_h * HOUR_MS), now_h - LOOKED_BACK_H - USUAL_H
        for asked in (self._source, *self._others):
            if self._kind in asked.kinds(self._zone):
                start = instant(since_h * HOUR_MS)
                series = asked.observations(self._zone, self._kind, start, now, now)
                past = None if series is None else past_of(series.steps, since_h, now_h)
                if past is not None:
                    return past
        return None


def _known(deviations: Floats) -> Floats:
    """The deviations as far as any may be believed, none where nothing was said."""
    return np.where(np.isfinite(deviations), np.clip(deviations, -FARTHEST_G, FARTHEST_G), 0.0)
