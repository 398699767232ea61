"""The intensity of many cells at once: of the one step that each of them lies in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.series import Series

Place = tuple[str, str]  # zone, signal
Instants = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Steps:
    start_ms: Instants
    end_ms: Instants
    mg_per_kwh: Instants


@dataclass(slots=True)
class _Asked:
    """Stretches that were asked of one series, and what they cost; -1 where no one step holds a stretch."""

    steps: _Steps | None
    start_ms: list[int] = field(default_factory=list)
    end_ms: list[int] = field(default_factory=list)
    mg_per_kwh: list[int] = field(default_factory=list)
    held: Instants | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A question: the stretches from `first` to `last` of those asked of a series."""

    asked: _Asked
    first: int
    last: int

    def answer(self) -> list[int] | None:
        """Milligrams per kWh of each stretch; None where one of them is not within one observed step."""
        held = self.asked.held
        if held is None or not held[self.first : self.last].all():
            return None
        return self.asked.mg_per_kwh[self.first : self.last]


class Prices:
    """Takes in questions first, and answers them all at once: looking up one by one would take a minute.

    `special` are series of one job only, by its number: as it knew them.
    """

    def __init__(self, general: Mapping[Place, Series], special: Mapping[tuple[int, Place], Series]) -> None:
        self._general = {place: _steps(series) for place, series in general.items()}
        self._special = {key: _steps(series) for key, series in special.items()}
        self._asked: dict[tuple[int, Place], _Asked] = {}

    def ask(self, job_id: int, place: Place, start_ms: list[int], end_ms: list[int]) -> Ticket:
        """Asks for the intensity of stretches."""
        special = self._special.get((job_id, place))
        key = (job_id if special else 0, place)
        if key not in self._asked:
            self._asked[key] = _Asked(special or self._general.get(place))
        asked = self._asked[key]
        first = len(asked.start_ms)
        asked.start_ms += start_ms
        asked.end_ms += end_ms
        return Ticket(asked, first, len(asked.start_ms))

    def resolve(self) -> None:
        """Answers all that was asked, and forgets it: new questions are new tickets."""
        for asked in self._asked.values():
            _resolve(asked)
        self._asked = {}


def _steps(series: Series) -> _Steps:
    known = np.isfinite(series.steps.gco2_per_kwh)
    mg = np.rint(series.steps.gco2_per_kwh[known] * 1000).astype(np.int64)
    return _Steps(series.steps.start_ms[known], series.steps.end_ms[known], mg)


def _resolve(asked: _Asked) -> None:
    start_ms, end_ms = np.array(asked.start_ms, np.int64), np.array(asked.end_ms, np.int64)
    if asked.steps is None or not asked.steps.start_ms.size:
        asked.held = np.zeros(start_ms.size, np.int64)
        return
    steps = asked.steps
    place = np.clip(np.searchsorted(steps.start_ms, start_ms, side="right") - 1, 0, None)
    asked.held = ((steps.start_ms[place] <= start_ms) & (end_ms <= steps.end_ms[place])).astype(np.int64)
    asked.mg_per_kwh = steps.mg_per_kwh[place].tolist()
