"""What Tidewatt itself used in an hour: the daemon, the meter and the supervisors, by their CPU time."""

from collections.abc import Mapping
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

HOUR_MS = 3_600_000


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
    edges = [intensity.borders_ms for _, intensity in intensities.values()]
    there = np.concatenate([np.empty(0, np.int64), *edges])
    cells = cut([run], Borders({run.attempt_id: there}, np.empty(0, np.int64), ()))
    starts_ms = [cell.start_ms for cell in cells]
    emissions_ug, actual_ug = {}, {}
    for signal, (_, intensity) in intensities.items():
        priced = list(zip(cells, intensity.mg_per_kwh(starts_ms), strict=True))
        active = sum(cell.active_uj * mg for cell, mg in priced)
        idle = sum(cell.idle_uj * mg for cell, mg in priced)
        emissions_ug[signal] = micrograms((active + idle) * run.pue_micro, MICRO)
        actual_ug[signal] = micrograms(active * run.pue_micro, MICRO)
    return {
        "hour_ms": hour_ms,
        "start_ms": usage.start_ms,
        "end_ms": usage.end_ms,
        "region": place.region,
        "energy_uj": energy_uj,
        "how": {name: " and ".join(words) for name, words in hows.items()},
        "pue_micro": run.pue_micro,
        "pue_source": place.pue_source,
        "emissions_ug": emissions_ug,
        "actual_ug": actual_ug,
        "sources": {signal: source for signal, (source, _) in intensities.items()},
        "digest": usage.digest,
    }
