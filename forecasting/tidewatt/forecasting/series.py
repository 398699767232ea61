"""Carbon intensity over time: what was observed, what a source predicted, what a plan is made on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.kind import Kind

Milliseconds = NDArray[np.int64]
Intensities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Steps:
    """Piecewise-constant carbon intensity on disjoint half-open steps in ascending order; gaps are holes.

    `start_ms`, `end_ms`: (n,) int64, Unix milliseconds. `gco2_per_kwh`: (n,) float64. Steps may differ in length.
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
    OWN = "own"  # same-hour mean of the last days' observations, later own models
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

    `note` says what the reader must know ("average only: no marginal signal for DE"), else it is empty.
    """

    zone: str
    kind: Kind
    steps: Steps
    segments: tuple[Segment, ...]
    p10: Intensities | None = None
    p90: Intensities | None = None
    note: str = ""
