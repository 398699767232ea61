"""The observed intensity that an account needs: of which zones, over which times, and where it is lacking."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tidewatt.backends.clock import moment, time_ms
from tidewatt.forecasting.series import Series
from tidewatt.scheduler.accounting.emission import Instants, Intensity
from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.metered import AttemptRun, productive_ms

Observations = Callable[[str, str, datetime, datetime], Series | None]
"""Observed steps of (zone, signal) that overlap [start, end), as known now; None where no source has any."""


@dataclass(frozen=True, slots=True)
class Needed:
    """A zone over `[start_ms, end_ms)`."""

    zone: str
    start_ms: int
    end_ms: int


class Observed:
    """Observed intensity by one signal of every zone that an account needs, where it needs it.

    `baselines` are the kinds of baseline with where they lie; none of them where the home zone is unknown.
    """

    def __init__(
        self,
        signal: str,
        frozen: Frozen,
        runs: Sequence[AttemptRun],
        feasible_start: datetime | None,
        observations: Observations,
    ) -> None:
        self.signal = signal
        self.home_zone = frozen.home_zones.get(signal, "")
        self.elsewhere = tuple(dict.fromkeys(run.region for run in runs if signal not in run.zones))
        self.ran = [
            Needed(run.zones[signal], run.usage.start_ms, run.usage.end_ms)
            for run in runs
            if signal in run.zones
        ]
        self.moved = [each for run in runs for each in _moved(run, signal)]
        self.baselines = _baselines(self.home_zone, frozen, productive_ms(runs), feasible_start)
        self.at_home = [Needed(self.home_zone, each.start_ms, each.end_ms) for each in self.ran]
        if not self.home_zone:
            self.at_home = []
        needed = [*self.ran, *self.moved, *self.baselines.values(), *self.at_home]
        found = [_fetched(signal, observations, each) for each in _hulls(needed)]
        self._series = {zone: each for zone, each in found if each is not None and each.steps.start_ms.size}
        self._intensity = {zone: Intensity(each) for zone, each in self._series.items()}

    @property
    def sources(self) -> list[str]:
        """Names of the sources used."""
        return list(dict.fromkeys(each.source for each in self._series.values()))

    @property
    def kinds(self) -> list[str]:
        """Kinds of the series used, in words."""
        return list(dict.fromkeys(str(each.kind) for each in self._series.values()))

    @property
    def conflict(self) -> str:
        """Why the series of the zones cannot stand in one account; empty where they can."""
        wrong = [zone for zone, each in self._series.items() if each.kind.signal != self.signal]
        if wrong:
            return f"{self.signal}: the source of {wrong[0]} answered with another signal"
        if len(self.kinds) > 1:
            return f"{self.signal}: the zones have series of different kinds ({'; '.join(self.kinds)})"
        if len(self.sources) > 1:
            return (
                f"{self.signal}: the zones have different sources ({'; '.join(self.sources)}); "
                "a saving needs one source for all of them"
            )
        return ""

    def gaps(self, needed: Iterable[Needed]) -> tuple[str, ...]:
        """In words, where observations are lacking."""
        lacking = [each for each in needed if each.end_ms > each.start_ms and not self._covers(each)]
        return tuple(dict.fromkeys(self._gap(each) for each in lacking))

    def mg_per_kwh(self, zone: str, at_ms: Iterable[int]) -> list[int]:
        """The zone's intensity at each instant, all of which must be covered."""
        instants = list(at_ms)
        return self._intensity[zone].mg_per_kwh(instants) if instants else []

    def borders_ms(self, zone: str) -> Instants:
        """Where the steps of a zone begin and end; none for one of which nothing is known."""
        known = self._intensity.get(zone)
        return np.empty(0, np.int64) if known is None else known.borders_ms

    def _covers(self, needed: Needed) -> bool:
        intensity = self._intensity.get(needed.zone)
        return intensity is not None and intensity.covers(needed.start_ms, needed.end_ms)

    def _gap(self, needed: Needed) -> str:
        start, end = (f"{moment(edge):%Y-%m-%d %H:%M}" for edge in (needed.start_ms, needed.end_ms))
        return f"{self.signal}: not all observations of {needed.zone} from {start} to {end} UTC are there"


def _moved(run: AttemptRun, signal: str) -> list[Needed]:
    """Both ends of the way of the data, at the instant that prices it; ends without a zone are left out."""
    if run.move is None:
        return []
    zones = [run.move.zones.get(signal), run.zones.get(signal)]
    return [Needed(zone, run.move.at_ms, run.move.at_ms + 1) for zone in zones if zone]


def _baselines(
    home_zone: str, frozen: Frozen, length_ms: int, feasible_start: datetime | None
) -> dict[str, Needed]:
    if not home_zone:
        return {}
    begins = {"hypothetical": frozen.submitted, "feasible": feasible_start}
    known = {name: time_ms(begin) for name, begin in begins.items() if begin is not None}
    return {name: Needed(home_zone, begin, begin + length_ms) for name, begin in known.items()}


def _hulls(needed: Iterable[Needed]) -> list[Needed]:
    """For each zone, the shortest stretch that holds all of its own."""
    real = [each for each in needed if each.end_ms > each.start_ms]
    zones = {zone: [each for each in real if each.zone == zone] for zone in {each.zone for each in real}}
    return [
        Needed(zone, min(each.start_ms for each in own), max(each.end_ms for each in own))
        for zone, own in sorted(zones.items())
    ]


def _fetched(signal: str, observations: Observations, needed: Needed) -> tuple[str, Series | None]:
    return needed.zone, observations(needed.zone, signal, moment(needed.start_ms), moment(needed.end_ms))
