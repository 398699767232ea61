"""Carbon intensity over time: what was observed, what a source predicted, what a plan is made on."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind

Milliseconds = NDArray[np.int64]
Intensities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Steps:
    """Piecewise-constant carbon intensity on disjoint half-open steps in ascending order; gaps are holes.

    `start_ms`, `end_ms`: (n,) int64, Unix milliseconds. `gco2_per_kwh`: (n,) float64. Steps may differ in
    length.
    """

    start_ms: Milliseconds
    end_ms: Milliseconds
    gco2_per_kwh: Intensities


@dataclass(frozen=True, slots=True)
class Series:
    """Observations of one zone and kind. For a marginal signal: the provider's ex-post estimate."""

    zone: str
    kind: Kind
    source: str
    steps: Steps


@dataclass(frozen=True, slots=True)
class Forecast:
    """A source's prediction as it was issued; `p10` and `p90` are (n,) where the source has them."""

    zone: str
    kind: Kind
    source: str
    issued_at: datetime
    steps: Steps
    p10: Intensities | None = None
    p90: Intensities | None = None


class Rung(StrEnum):
    """Which step of the chain a part of an outlook comes from."""

    LIVE = "live"  # the provider's newest forecast
    LAST_GOOD = "last good"  # an older forecast, still fresh enough
    OWN = "own"  # a model trained here, or the same-hour mean of the last days' observations
    PROFILE = "profile"  # the built-in table
    HINDSIGHT = "hindsight"  # later observations: only where asked for


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch `[start, end)` of an outlook that came from one source; borders are the seams."""

    start: datetime
    end: datetime
    rung: Rung
    source: str  # for people: "file de.csv", "mean of the same hours, 7 days", "profile DE"
    issued_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The intensity ahead that a plan is made on: no holes from `segments[0].start` to `segments[-1].end`.

    `note` says what the reader must know ("average only: no marginal signal for DE"), else it is empty. Where
    only some segments have quantiles, `p10` and `p90` are NaN elsewhere.
    """

    zone: str
    kind: Kind
    steps: Steps
    segments: tuple[Segment, ...]
    p10: Intensities | None = None
    p90: Intensities | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Integral:
    """Intensity summed over time: grams per kWh times milliseconds, and the milliseconds that had a value."""

    gms_per_kwh: float
    covered_ms: int

    @property
    def mean(self) -> float | None:
        """Mean gCO2/kWh over what was covered; None where nothing was."""
        return self.gms_per_kwh / self.covered_ms if self.covered_ms else None


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds of an aware moment; a naive one raises ForecastError."""
    if moment.tzinfo is None:
        raise ForecastError(f"the time {moment} has no time zone: add one, for example +00:00")
    return round(moment.timestamp() * 1000)


def instant(time_ms: int) -> datetime:
    """The aware UTC moment of Unix milliseconds."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def stepped(start_ms: Milliseconds, end_ms: Milliseconds, gco2_per_kwh: Intensities) -> Steps:
    """Steps of these arrays, checked: equal lengths, each step longer than nothing, ascending, disjoint."""
    if not len(start_ms) == len(end_ms) == len(gco2_per_kwh):
        raise ForecastError("steps need as many starts as ends and values")
    if (end_ms <= start_ms).any():
        raise ForecastError("a step must end after it starts")
    if (start_ms[1:] < end_ms[:-1]).any():
        at = int(np.flatnonzero(start_ms[1:] < end_ms[:-1])[0]) + 1
        raise ForecastError(f"the step at {instant(int(start_ms[at]))} overlaps the one before it")
    return Steps(start_ms, end_ms, gco2_per_kwh)


def empty() -> Steps:
    """No steps."""
    return Steps(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def touching(steps: Steps, start_ms: int, end_ms: int) -> slice:
    """The steps that overlap `[start_ms, end_ms)`."""
    first = int(np.searchsorted(steps.end_ms, start_ms, side="right"))
    last = int(np.searchsorted(steps.start_ms, end_ms, side="left"))
    return slice(first, max(first, last))


def clip(steps: Steps, start: datetime, end: datetime) -> Steps:
    """The part of the steps inside `[start, end)`; steps on its edges are shortened."""
    start_ms, end_ms = milliseconds(start), milliseconds(end)
    part = touching(steps, start_ms, end_ms)
    return Steps(
        np.maximum(steps.start_ms[part], start_ms),
        np.minimum(steps.end_ms[part], end_ms),
        steps.gco2_per_kwh[part],
    )


def integrate(steps: Steps, start: datetime, end: datetime) -> Integral:
    """The integral of the intensity over `[start, end)`; holes count neither as grams nor as covered."""
    part = clip(steps, start, end)
    width_ms = part.end_ms - part.start_ms
    return Integral(float(width_ms @ part.gco2_per_kwh), int(width_ms.sum()))


def mean(steps: Steps, start: datetime, end: datetime) -> float | None:
    """Mean gCO2/kWh over what `[start, end)` covers, by time; None where it covers nothing."""
    return integrate(steps, start, end).mean


def holes(steps: Steps, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The stretches of `[start, end)` that no step covers."""
    part = clip(steps, start, end)
    opens = np.append(milliseconds(start), part.end_ms)
    closes = np.append(part.start_ms, milliseconds(end))
    return [(instant(a), instant(b)) for a, b in zip(opens.tolist(), closes.tolist(), strict=True) if a < b]
