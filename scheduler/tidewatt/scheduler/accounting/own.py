"""What Tidewatt itself used in an hour: the daemon, the meter and the supervisors, by their CPU time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.reading import Usage
from tidewatt.scheduler.accounting.cells import Borders, cut
from tidewatt.scheduler.accounting.emission import Intensity, micrograms
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.metered import AttemptRun
from tidewatt.scheduler.accounting.observed import Observations
from tidewatt.scheduler.accounting.phases import uninterrupted
from tidewatt.scheduler.accounting.units import HOUR_MS


@dataclass(frozen=True, slots=True)
class Place:
    """Where Tidewatt runs: the home region's name, zones by signal, and PUE with its source."""

    region: str
    zones: Mapping[str, str]
    pue: float
    pue_source: str


def observed(
    place: Place, start_ms: int, end_ms: int, observations: Observations
) -> dict[str, tuple[str, Intensity]]:
    """By signal, the source and the intensity of signals of which nothing lacks in `[start_ms, end_ms)`."""
    found = {}
    for signal, zone in place.zones.items():
        series = observations(zone, signal, moment(start_ms), moment(end_ms))
        if series is not None and series.kind.signal == signal:
            intensity = Intensity(series)
            if intensity.covers(start_ms, end_ms):
                found[str(signal)] = series.source, intensity
    return found


def own_record(
    hour_ms: int, usage: Usage, place: Place, intensities: Mapping[str, tuple[str, Intensity]]
) -> dict[str, Any] | None:
    """An hour for the event table, in integers and strings; None where nothing of it was metered.

    `energy_uj` and `how` are by component, PUE not applied. By signal, with PUE: `emissions_ug` of all of it,
    `actual_ug` of the draw above idle, which is what the host would not have drawn without it. The hour goes
    from the first reading in it to the first after it, so that hours join.
    """
    progress = uninterrupted(usage.start_ms, usage.end_ms)
    run = AttemptRun(
        usage.attempt_id, place.region, place.zones, place.pue, place.pue_source, usage, progress
    )
    amounts = run.amounts()
    if not amounts:
        return None
    energy_uj: dict[str, int] = {}
    for (component, _), both in amounts.items():
        energy_uj[component] = energy_uj.get(component, 0) + sum(both)
    hows = {name: [str(how) for component, how in amounts if component == name] for name in energy_uj}
    emitted = _emitted(run, {signal: intensity for signal, (_, intensity) in intensities.items()})
    return {
        "hour_ms": hour_ms,
        "start_ms": usage.start_ms,
        "end_ms": usage.end_ms,
        "region": place.region,
        "energy_uj": energy_uj,
        "how": {name: " and ".join(words) for name, words in hows.items()},
        "pue_micro": run.pue_micro,
        "pue_source": place.pue_source,
        "emissions_ug": {signal: both[0] for signal, both in emitted.items()},
        "actual_ug": {signal: both[1] for signal, both in emitted.items()},
        "sources": {signal: source for signal, (source, _) in intensities.items()},
        "digest": usage.digest,
    }


def latest(payloads: Iterable[Mapping[str, Any]], since_ms: int) -> tuple[Mapping[str, Any], ...]:
    """The last account of each hour that ended after `since_ms`, of records in the order of their events."""
    newest = {each["hour_ms"]: each for each in payloads}
    return tuple(each for each in newest.values() if each["hour_ms"] + HOUR_MS > since_ms)


def _emitted(run: AttemptRun, intensities: Mapping[str, Intensity]) -> dict[str, tuple[int, int]]:
    """Micrograms with PUE by signal: of all energy, and of the draw above idle."""
    there = np.concatenate([np.empty(0, np.int64), *(each.borders_ms for each in intensities.values())])
    cells = cut([run], Borders({run.attempt_id: there}, np.empty(0, np.int64), ()))
    found = {}
    for signal, intensity in intensities.items():
        priced = list(zip(cells, intensity.mg_per_kwh(cell.start_ms for cell in cells), strict=True))
        active = sum(cell.active_uj * mg for cell, mg in priced)
        idle = sum(cell.idle_uj * mg for cell, mg in priced)
        amounts = ((active + idle) * run.pue_micro, active * run.pue_micro)
        found[signal] = micrograms(amounts[0], MICRO), micrograms(amounts[1], MICRO)
    return found
