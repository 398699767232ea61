"""The intensity of many cells at once: of the one step that each of them lies in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.series import Series

Place = tuple[str, str]  # zone, signal
Label = tuple[str, str]  # source, kind
Instants = NDArray[np.int64]
SMALL_MG = 1 << 23  # 8 kg a kWh
NONE = np.iinfo(np.int64).min  # where no one step holds a stretch


@dataclass(frozen=True, slots=True)
class _Steps:
    start_ms: Instants
    end_ms: Instants
    mg_per_kwh: Instants
    small: bool


@dataclass(slots=True)
class _Asked:
    """Stretches that were asked of one series, and what they cost, `NONE` where no one step holds it."""

    steps: _Steps | None
    start_ms: list[Instants] = field(default_factory=list)
    end_ms: list[Instants] = field(default_factory=list)
    count: int = 0
    mg_per_kwh: Instants | None = None
    holes: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """Milligrams per kWh of each stretch; `small`: all of them below `SMALL_MG`."""

    mg_per_kwh: Instants
    small: bool


@dataclass(frozen=True, slots=True)
class Ticket:
    """A question: the stretches from `first` to `last` of those asked of a series."""

    asked: _Asked
    first: int
    last: int

    def answer(self) -> Price | None:
        """What the stretches cost; None where one of them is not within one observed step."""
        asked = self.asked
        if asked.mg_per_kwh is None or asked.steps is None:
            return None
        found = asked.mg_per_kwh[self.first : self.last]
        return None if asked.holes and (found == NONE).any() else Price(found, asked.steps.small)


class Prices:
    """Takes in questions first, and answers them all at once: looking up one by one would take a minute.

    `special` are series of one job only, by its number: as it knew them.
    """

    def __init__(
        self,
        general: Mapping[Place, Series],
        special: Mapping[tuple[int, Place], Series],
        told: Mapping[Place, Label] | None = None,
    ) -> None:
        """`told` are source and kind of places whose numbers are not there."""
        self._labels = {(0, place): each for place, each in (told or {}).items()}
        self._labels |= {(0, place): (each.source, str(each.kind)) for place, each in general.items()}
        self._labels |= {key: (each.source, str(each.kind)) for key, each in special.items()}
        self._general = {place: _steps(series) for place, series in general.items()}
        self._special = {key: _steps(series) for key, series in special.items()}
        self._asked: dict[tuple[int, Place], _Asked] = {}

    def label(self, job_id: int, place: Place) -> Label | None:
        """Source and kind of the series that a job's question is answered from; None where there is none."""
        return self._labels.get((job_id, place)) or self._labels.get((0, place))

    def ask(self, job_id: int, place: Place, start_ms: Instants, end_ms: Instants) -> Ticket:
        """Asks for the intensity of stretches."""
        special = self._special.get((job_id, place))
        key = (job_id if special else 0, place)
        if key not in self._asked:
            self._asked[key] = _Asked(special or self._general.get(place))
        asked = self._asked[key]
        first = asked.count
        asked.start_ms.append(start_ms)
        asked.end_ms.append(end_ms)
        asked.count += len(start_ms)
        return Ticket(asked, first, asked.count)

    def resolve(self) -> None:
        """Answers all that was asked, and forgets it: new questions are new tickets."""
        for asked in self._asked.values():
            _resolve(asked)
        self._asked = {}


def _steps(series: Series) -> _Steps:
    known = np.isfinite(series.steps.gco2_per_kwh)
    mg = np.rint(series.steps.gco2_per_kwh[known] * 1000).astype(np.int64)
    small = not mg.size or bool(abs(mg).max() < SMALL_MG)
    return _Steps(series.steps.start_ms[known], series.steps.end_ms[known], mg, small)


def _resolve(asked: _Asked) -> None:
    if asked.steps is None or not asked.steps.start_ms.size:
        return
    steps, start_ms, end_ms = asked.steps, np.concatenate(asked.start_ms), np.concatenate(asked.end_ms)
    place = np.clip(np.searchsorted(steps.start_ms, start_ms, side="right") - 1, 0, None)
    held = (steps.start_ms[place] <= start_ms) & (end_ms <= steps.end_ms[place])
    asked.holes = not held.all()
    asked.mg_per_kwh = np.where(held, steps.mg_per_kwh[place], NONE)
