"""Intensity ahead from forecasts of wind, solar and demand: the rest comes from what can be dispatched.

Of the last 28 days, power and emissions of the dispatchable plants are told apart from wind and solar, and
each is taken as a rising function of the residual load (demand less wind less solar): medians of equally
filled bins, made monotone by pooling adjacent violators (Barlow et al. 1972, Statistical Inference under
Order Restrictions), straight lines between them. Medians keep single wrong hours out, rising curves keep the
merit order. The intensity follows from forecast wind, solar and demand; the last day's ratio of what was
observed to what the curves say is carried on, fading over two days. Imports are not modelled: they sit in the
scatter of the curves.

Each fit is checked: curves of the older three weeks must tell the newest week clearly better than the mean of
the same hours of the week before each day does, or there is no forecast.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.feeds.generation import aligned, held
from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.mix import GCO2_PER_KWH, MINOR, WEATHER_DRIVEN, generation_mw, intensity
from tidewatt.forecasting.series import Steps, empty, milliseconds, stepped

Values = NDArray[np.float64]

PAST: Final = timedelta(days=28)
METHOD: Final = f"from forecast wind, solar and load, by the residual load of the last {PAST.days} days"
DAY_MS = 86_400_000
CHECKED_DAYS = 7
LEAST_DAYS = 14
BINS = 16
END_BINS = 4  # the slope beyond the ends is that of the outermost bins
FADING_MS = 2 * DAY_MS
MARGIN = 0.8  # forecasts of wind and sun err, which the check cannot see: the fit must be better by a fifth


@dataclass(frozen=True, slots=True)
class Curve:
    """A rising function through the points `(x, y)`, straight between them and beyond, never below zero."""

    x: Values
    y: Values

    def at(self, x: Values) -> Values:
        """The function at `x`."""
        inner = np.interp(x, self.x, self.y)
        below = np.minimum(x - self.x[0], 0.0) * self._slope(0, END_BINS - 1)
        above = np.maximum(x - self.x[-1], 0.0) * self._slope(-END_BINS, -1)
        return np.asarray(np.maximum(inner + below + above, 0.0), float)

    def _slope(self, first: int, last: int) -> float:
        run = float(self.x[last] - self.x[first])
        return float(self.y[last] - self.y[first]) / run if run > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Fit:
    """What a zone's last weeks say of its dispatchable plants, and how well it told the newest of them.

    Errors are mean absolute errors over the checked week with the wind, sun and demand that really came,
    gCO2/kWh, of this fit and of the mean of the same hours.
    """

    basis: Basis
    dispatched_mw: Curve
    dispatched_kg_per_h: Curve
    log_ratio: float  # observed to computed, of the day before `until_ms`
    until_ms: int
    needs: tuple[str, ...]  # which forecasts it takes: demand, and of wind and solar what has weight
    error_g: float = float("nan")
    same_hours_error_g: float = float("nan")

    @property
    def holds(self) -> bool:
        """Whether it told the newest week clearly better than the mean of the same hours."""
        return self.error_g < MARGIN * self.same_hours_error_g

    @property
    def label(self) -> str:
        """How well it does, for people."""
        return (
            f"error {self.error_g:.3g} g last week with the wind, sun and load that came, "
            f"of the mean of the same hours {self.same_hours_error_g:.3g} g"
        )

    def predicted(self, ahead: Mapping[str, Steps]) -> Steps:
        """The intensity wherever all that it needs is known, on the grid of the shortest step."""
        if any(name not in ahead for name in self.needs):
            return empty()
        grid = aligned({name: ahead[name] for name in self.needs})
        if not len(grid.start_ms):
            return empty()
        none = np.zeros(len(grid.start_ms))
        wind, solar = (grid.mw.get(name, none) for name in WEATHER_DRIVEN)
        told = self._computed(wind, solar, grid.mw["demand"])
        lead_ms = np.maximum(grid.start_ms - self.until_ms, 0)
        told = told * np.exp(self.log_ratio * np.exp(-lead_ms / FADING_MS))
        known = np.isfinite(told)
        start_ms = grid.start_ms[known]
        return stepped(start_ms, start_ms + grid.step_ms, told[known])

    def _computed(self, wind: Values, solar: Values, demand: Values) -> Values:
        """What the curves say, gCO2/kWh; NaN where nothing would be generated."""
        wind, solar = np.maximum(wind, 0.0), np.maximum(solar, 0.0)
        residual = demand - wind - solar
        factors = GCO2_PER_KWH[self.basis]
        kg_per_h = self.dispatched_kg_per_h.at(residual) + factors["wind"] * wind + factors["solar"] * solar
        mw = self.dispatched_mw.at(residual) + wind + solar
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(mw > 0, kg_per_h / mw, np.nan), float)


@dataclass(frozen=True, slots=True)
class _Past:
    """Steps of the past at which everything was known, (n,) each."""

    start_ms: NDArray[np.int64]
    end_ms: int
    wind: Values
    solar: Values
    demand: Values
    mw: Values
    gco2_per_kwh: Values

    def part(self, chosen: NDArray[np.bool_], end_ms: int) -> "_Past":
        columns = (self.wind, self.solar, self.demand, self.mw, self.gco2_per_kwh)
        return _Past(self.start_ms[chosen], end_ms, *(column[chosen] for column in columns))


def fitted(observed: Mapping[str, Steps], basis: Basis, until: datetime) -> Fit | None:
    """The fit to what was observed by `until`; None where less than two weeks are known.

    `observed`: MW of each fuel and of `demand`. What ended after `until` is not looked at.
    """
    past = _past(observed, basis, until)
    if past is None or len(past.start_ms) < BINS * END_BINS:
        return None
    days = np.unique(past.start_ms // DAY_MS)
    if len(days) < LEAST_DAYS:
        return None
    border_ms = past.end_ms - CHECKED_DAYS * DAY_MS
    older, newest = past.start_ms < border_ms, past.start_ms >= border_ms
    if older.sum() < BINS * END_BINS or not newest.any():
        return None
    trial, week = _fit(past.part(older, border_ms), basis), past.part(newest, past.end_ms)
    error = np.abs(trial._computed(week.wind, week.solar, week.demand) - week.gco2_per_kwh)
    usual = np.abs(_same_hours(past, week.start_ms) - week.gco2_per_kwh)
    return replace(_fit(past, basis), error_g=_mean(error), same_hours_error_g=_mean(usual))


def _past(observed: Mapping[str, Steps], basis: Basis, until: datetime) -> _Past | None:
    """The known steps of the last four weeks."""
    first_ms, until_ms = milliseconds(until - PAST), milliseconds(until)
    recent = {name: _within(steps, first_ms, until_ms) for name, steps in observed.items()}
    demand = recent.pop("demand", empty())
    grid = aligned(recent)
    if not len(grid.start_ms) or not len(demand.start_ms):
        return None
    none = np.zeros(len(grid.start_ms))
    wind, solar = (np.nan_to_num(np.maximum(grid.mw.get(name, none), 0.0)) for name in WEATHER_DRIVEN)
    needed = held(demand, grid.start_ms)
    mw, gco2_per_kwh = generation_mw(grid.mw), intensity(grid.mw, basis)
    known = np.isfinite(needed) & np.isfinite(gco2_per_kwh)
    if not known.any():
        return None
    whole = _Past(grid.start_ms, 0, wind, solar, needed, mw, gco2_per_kwh)
    return whole.part(known, int(grid.start_ms[known][-1]) + grid.step_ms)


def _fit(past: _Past, basis: Basis) -> Fit:
    """The curves through a past, and the newest day's ratio to them."""
    factors = GCO2_PER_KWH[basis]
    driven = past.wind + past.solar
    residual = past.demand - driven
    kg_per_h = past.gco2_per_kwh * past.mw - factors["wind"] * past.wind - factors["solar"] * past.solar
    power = _rising(residual, past.mw - driven)
    emissions = _rising(residual, kg_per_h)
    all_of_it = float(past.mw.sum())
    weighty = [name for name in WEATHER_DRIVEN if float(getattr(past, name).sum()) >= MINOR * all_of_it]
    plain = Fit(basis, power, emissions, 0.0, past.end_ms, ("demand", *weighty))
    day = past.part(past.start_ms >= past.end_ms - DAY_MS, past.end_ms)
    told = plain._computed(day.wind, day.solar, day.demand)
    sound = (told > 0) & (day.gco2_per_kwh > 0)
    ratio = float(np.median(np.log(day.gco2_per_kwh[sound] / told[sound]))) if sound.any() else 0.0
    return replace(plain, log_ratio=ratio)


def _rising(x: Values, y: Values) -> Curve:
    """The rising curve through the medians of equally filled bins."""
    bins = np.array_split(np.argsort(x, kind="stable"), BINS)
    middle = np.array([np.median(x[each]) for each in bins])
    return Curve(middle, _pooled([float(np.median(y[each])) for each in bins]))


def _pooled(values: list[float]) -> Values:
    """The nearest rising sequence, by pooling adjacent violators."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    return np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])


def _same_hours(past: _Past, at_ms: NDArray[np.int64]) -> Values:
    """The mean of the same time of day over the week before the day of each moment."""
    found = dict(zip(past.start_ms.tolist(), past.gco2_per_kwh.tolist(), strict=True))
    means = []
    for moment in at_ms.tolist():
        known = [found[t] for day in range(1, 8) if (t := moment - day * DAY_MS) in found]
        means.append(sum(known) / len(known) if known else float("nan"))
    return np.array(means)


def _within(steps: Steps, first_ms: int, until_ms: int) -> Steps:
    """The whole steps between two moments."""
    known = (steps.start_ms >= first_ms) & (steps.end_ms <= until_ms)
    return Steps(steps.start_ms[known], steps.end_ms[known], steps.gco2_per_kwh[known])


def _mean(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
