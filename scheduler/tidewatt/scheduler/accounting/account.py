"""One signal's account of a job: what it emitted, and what immediate execution would have emitted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidewatt.backends.clock import moment, time_ms
from tidewatt.forecasting.series import Series
from tidewatt.scheduler.accounting.emission import Draw, Emissions, Intensity, emissions
from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.metered import AttemptRun, productive_ms
from tidewatt.scheduler.accounting.receipt import Ledger

Observations = Callable[[str, str, datetime, datetime], Series | None]
"""Observed steps of (zone, signal) that overlap [start, end), as known now; None where no source has any."""


@dataclass(frozen=True, slots=True)
class Account:
    """A ledger as far as it can be written, and in words what it lacks.

    `hopeless` is True where time will not bring what is lacking.
    """

    signal: str
    ledger: Ledger | None
    lacks: tuple[str, ...] = ()
    hopeless: bool = False

    @property
    def complete(self) -> bool:
        """True where the ledger has both savings."""
        return self.ledger is not None and self.ledger.complete


def account(
    signal: str,
    frozen: Frozen,
    runs: Sequence[AttemptRun],
    feasible_start: datetime | None,
    observations: Observations,
) -> Account:
    """The account of all attempts by one signal, both sides by one kind of series from one source."""
    elsewhere = [run.region for run in runs if signal not in run.zones]
    if elsewhere:
        return Account(signal, None, (f"{signal}: no zone is configured for region {elsewhere[0]}",), True)
    length_ms = productive_ms(runs)
    baselines = {
        name: _Stretch(frozen.home_zones[signal], begin_ms, begin_ms + length_ms)
        for name, begin_ms in _begins_ms(signal, frozen, feasible_start).items()
    }
    ran = [_Stretch(run.zones[signal], run.usage.start_ms, run.usage.end_ms) for run in runs]
    observed = _Observed(signal, observations, [*ran, *baselines.values()])
    if observed.conflict:  # the source that covers most answers for each zone: more may yet come from another
        return Account(signal, None, (observed.conflict,))
    if lacks := observed.gaps(ran):
        return Account(signal, None, lacks)
    never = _never(signal, frozen, feasible_start)
    ledger = _ledger(observed, runs, frozen, baselines)
    return Account(signal, ledger, (*never, *observed.gaps(baselines.values())), bool(never))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A zone over `[start_ms, end_ms)`."""

    zone: str
    start_ms: int
    end_ms: int


class _Observed:
    """Observed intensity of every zone that is needed, where it is needed."""

    def __init__(self, signal: str, observations: Observations, needed: Iterable[_Stretch]) -> None:
        self.signal = signal
        series = [_fetch(signal, observations, stretch) for stretch in _hulls(needed)]
        self._series = {zone: each for zone, each in series if each is not None and each.steps.start_ms.size}
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

    def gaps(self, stretches: Iterable[_Stretch]) -> tuple[str, ...]:
        """In words, where observations are lacking."""
        lacking = [each for each in stretches if each.end_ms > each.start_ms and not self._covers(each)]
        return tuple(dict.fromkeys(self._gap(each) for each in lacking))

    def emissions(self, zone: str, draw: Draw) -> Emissions:
        """Energy times observed intensity, PUE not applied; the draw must lie where there are no gaps."""
        return emissions(draw, self._intensity[zone]) if draw.start_ms.size else Emissions(0.0, 0.0)

    def _covers(self, stretch: _Stretch) -> bool:
        intensity = self._intensity.get(stretch.zone)
        return intensity is not None and intensity.covers(stretch.start_ms, stretch.end_ms)

    def _gap(self, stretch: _Stretch) -> str:
        start, end = (f"{moment(edge):%Y-%m-%d %H:%M}" for edge in (stretch.start_ms, stretch.end_ms))
        return f"{self.signal}: not all observations of {stretch.zone} from {start} to {end} UTC are there"


def _hulls(stretches: Iterable[_Stretch]) -> list[_Stretch]:
    """For each zone, the shortest stretch that holds all of its own."""
    needed = [each for each in stretches if each.end_ms > each.start_ms]
    zones = {zone: [each for each in needed if each.zone == zone] for zone in {each.zone for each in needed}}
    return [
        _Stretch(zone, min(each.start_ms for each in own), max(each.end_ms for each in own))
        for zone, own in sorted(zones.items())
    ]


def _fetch(signal: str, observations: Observations, stretch: _Stretch) -> tuple[str, Series | None]:
    return stretch.zone, observations(stretch.zone, signal, moment(stretch.start_ms), moment(stretch.end_ms))


def _begins_ms(signal: str, frozen: Frozen, feasible_start: datetime | None) -> dict[str, int]:
    """Where each kind of baseline begins; none where the home zone is unknown."""
    if signal not in frozen.home_zones:
        return {}
    begins = {"hypothetical": frozen.submitted, "feasible": feasible_start}
    return {name: time_ms(begin) for name, begin in begins.items() if begin is not None}


def _never(signal: str, frozen: Frozen, feasible_start: datetime | None) -> list[str]:
    """Why a baseline will stay unknown."""
    lacks = []
    if signal not in frozen.home_zones:
        lacks.append(f"{signal}: no zone is configured for the home region {frozen.home}")
    if feasible_start is None:
        lacks.append(f"the home region {frozen.home} is gone or could never hold this job")
    return lacks


def _ledger(
    observed: _Observed, runs: Sequence[AttemptRun], frozen: Frozen, baselines: dict[str, _Stretch]
) -> Ledger:
    signal = observed.signal
    actual = [(run.pue, observed.emissions(run.zones[signal], Draw.of(run.usage.spans))) for run in runs]
    immediate = {
        name: round(
            sum(
                frozen.home_pue * observed.emissions(stretch.zone, draw).active_ug
                for draw in _moved(runs, stretch.start_ms)
            )
        )
        for name, stretch in baselines.items()
        if not observed.gaps([stretch])
    }
    return Ledger(
        signal=signal,
        source=", ".join(observed.sources),
        kind=", ".join(observed.kinds),
        emissions_ug=round(sum(pue * each.total_ug for pue, each in actual)),
        actual_ug=round(sum(pue * each.active_ug for pue, each in actual)),
        feasible_ug=immediate.get("feasible"),
        hypothetical_ug=immediate.get("hypothetical"),
    )


def _moved(runs: Iterable[AttemptRun], begin_ms: int) -> Iterable[Draw]:
    """The metered draw of all productive stretches, put end to end from `begin_ms`."""
    for run in runs:
        draw = Draw.of(run.usage.spans)
        for start_ms, end_ms in run.stretches():
            yield draw.moved(start_ms, end_ms, begin_ms)
            begin_ms += end_ms - start_ms
