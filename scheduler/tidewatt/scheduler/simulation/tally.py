"""What came of a simulated run: energy, emissions, deadlines, waits, use of the GPUs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

import numpy as np

from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.simulation.grid import Truth
from tidewatt.scheduler.simulation.world import Standing

HOUR_MS = 3_600_000
IN_TIME_MS = 1000  # so late an end still counts as in time: plans are made of whole milliseconds


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over all jobs of one contender.

    `grams` by signal, by what was really observed, PUE included, of the draw that jobs add. `missed` jobs
    ended after their deadline; `avoidable` are those of them that immediate execution would have ended in
    time. Waits are from the submission to the first start. `use` is the mean share of all GPUs that was busy
    from the first submission to the last one, or from the first start to the last end where all come at once,
    `unobserved` the share of GPU time after the last observation,
    `planning_s` processor time of the planner.
    """

    name: str
    jobs: int
    energy_kwh: float
    grams: Mapping[Signal, float]
    missed: int
    avoidable: int
    mean_wait_h: float
    median_wait_h: float
    mean_late_h: float
    moved: int
    pauses: int
    use: float
    unobserved: float = 0.0
    rounds: int = 0
    planning_s: float = 0.0

    def saving(self, other: "Tally", signal: Signal) -> float:
        """The share that was saved against another one."""
        before = other.grams[signal]
        return 1 - self.grams[signal] / before if before else 0.0


def missed(standing: Standing) -> bool:
    """True where the job ended after its deadline."""
    due, ended = standing.job.due_ms, standing.ended_ms
    return due is not None and ended is not None and ended > due + IN_TIME_MS


def tally(
    name: str,
    standings: Sequence[Standing],
    truth: Truth,
    gpus: int,
    immediate: Iterable[Standing] = (),
    rounds: int = 0,
    planning_s: float = 0.0,
) -> Tally:
    """The sums of one run; `immediate` is how the same jobs fared in immediate execution."""
    met_at_once = {standing.id for standing in immediate if not missed(standing)}
    late = [standing for standing in standings if missed(standing)]
    waits = [_hours(standing.first_ms, standing.job.submitted_ms) for standing in standings]
    lateness = [_hours(standing.ended_ms, standing.job.due_ms or 0) for standing in late]
    return Tally(
        name=name,
        jobs=len(standings),
        energy_kwh=_energy_kwh(standings, truth),
        grams={signal: _grams(standings, truth, signal) for signal in truth.signals},
        missed=len(late),
        avoidable=sum(standing.id in met_at_once for standing in late),
        mean_wait_h=mean(waits) if waits else 0.0,
        median_wait_h=median(waits) if waits else 0.0,
        mean_late_h=mean(lateness) if lateness else 0.0,
        moved=sum(_moved(standing) for standing in standings),
        pauses=sum(_pauses(standing) for standing in standings),
        use=_use(standings, gpus),
        unobserved=_unobserved(standings, truth),
        rounds=rounds,
        planning_s=planning_s,
    )


def grams_of(standing: Standing, truth: Truth, signal: Signal) -> float:
    """What one job emitted, PUE included."""
    return _grams([standing], truth, signal)


def _grams(standings: Sequence[Standing], truth: Truth, signal: Signal) -> float:
    total = 0.0
    for region in truth.regions:
        parts = [
            (each.start_ms, each.end_ms, each.kw)
            for standing in standings
            for each in standing.stretches
            if each.region == region.name
        ]
        if parts:
            starts, ends, kw = (np.array(column) for column in zip(*parts, strict=True))
            total += region.pue * float(truth.grams(region.name, signal, starts, ends) @ kw)
    return total


def _energy_kwh(standings: Sequence[Standing], truth: Truth) -> float:
    """Energy with PUE, as `grams` are."""
    pue = {region.name: region.pue for region in truth.regions}
    return sum(
        (each.end_ms - each.start_ms) / HOUR_MS * each.kw * pue[each.region]
        for standing in standings
        for each in standing.stretches
    )


def _use(standings: Sequence[Standing], gpus: int) -> float:
    """GPU hours over all GPU hours from the first submission to the last one.

    What runs after the last submission is left out: there a queue runs empty. Where all jobs come at once, it
    is the time from the first start to the last end.
    """
    first = min((standing.job.submitted_ms for standing in standings), default=0)
    last = max((standing.job.submitted_ms for standing in standings), default=0)
    if last == first:
        held = [each for standing in standings for each in standing.stretches if each.gpus]
        first = min((each.start_ms for each in held), default=first)
        last = max((each.end_ms for each in held), default=last)
    busy = _held(standings, first, last)
    return busy / (gpus * (last - first)) if last > first else 0.0


def _held(standings: Sequence[Standing], first_ms: int, last_ms: int | None = None) -> int:
    """GPU milliseconds within `[first_ms, last_ms)`."""
    return sum(
        max((each.end_ms if last_ms is None else min(each.end_ms, last_ms)) - max(each.start_ms, first_ms), 0)
        * each.gpus
        for standing in standings
        for each in standing.stretches
    )


def _unobserved(standings: Sequence[Standing], truth: Truth) -> float:
    """The share of GPU time of which nothing is known any more."""
    ends_ms = min((truth.ends_ms(signal) for signal in truth.signals), default=0)
    held = _held(standings, 0)
    return _held(standings, ends_ms) / held if held else 0.0


def _moved(standing: Standing) -> bool:
    return any(each.gpus and each.region != standing.job.ask.home for each in standing.stretches)


def _pauses(standing: Standing) -> int:
    """How often its GPUs were given back before its end."""
    held = [each for each in standing.stretches if each.gpus]
    return sum(a.end_ms != b.start_ms or a.region != b.region for a, b in pairwise(held))


def _hours(later_ms: int | None, earlier_ms: int) -> float:
    return 0.0 if later_ms is None else (later_ms - earlier_ms) / HOUR_MS
