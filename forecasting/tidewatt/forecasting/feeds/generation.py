"""A zone's generation by fuel as services tell it: brought on one grid of time, and turned into intensity."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting import quantity
from tidewatt.forecasting.feeds.feed import Observed
from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.mix import MINOR, intensity, kind
from tidewatt.forecasting.series import Steps, stepped
from tidewatt.forecasting.sun import elevation_deg
from tidewatt.forecasting.zones import Zone

Power = NDArray[np.float64]

DARK_DEG = -8.0  # of the sun at the zone's centre: dark in all of it but for the widest
USUALLY = 0.5  # a part that is known for this share of the steps is expected at every one of them
BASES = (Basis.LIFECYCLE, Basis.DIRECT)
INTENSITIES = tuple(quantity.intensity(kind(basis)) for basis in BASES)
"""The intensities that a mix gives: average, of production, in CO2 equivalents, lifecycle and direct."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Mean power on equal steps: `mw[part]` is (n,), NaN where it is not known; storage may be negative.

    A part is whatever the service tells apart, until `by_fuel` adds parts up to fuels.
    """

    start_ms: NDArray[np.int64]
    step_ms: int
    mw: Mapping[str, Power]


def aligned(parts: Mapping[str, Steps]) -> Generation:
    """All parts on the grid of the shortest step among them; longer steps hold their mean power."""
    known = {part: steps for part, steps in parts.items() if len(steps.start_ms)}
    if not known:
        return Generation(np.empty(0, np.int64), 1, {})
    step_ms = int(min((steps.end_ms - steps.start_ms).min() for steps in known.values()))
    first_ms = min(int(steps.start_ms[0]) for steps in known.values())
    last_ms = max(int(steps.end_ms[-1]) for steps in known.values())
    start_ms = np.arange(first_ms, last_ms, step_ms, dtype=np.int64)
    return Generation(start_ms, step_ms, {part: held(steps, start_ms) for part, steps in known.items()})


def held(steps: Steps, at_ms: NDArray[np.int64]) -> Power:
    """The value of the step that each moment lies in; NaN in holes."""
    if not len(steps.start_ms):
        return np.full(len(at_ms), np.nan)
    index = np.searchsorted(steps.start_ms, at_ms, side="right") - 1
    inside = (index >= 0) & (at_ms < steps.end_ms[index])
    return np.where(inside, steps.gco2_per_kwh[index], np.nan)


def finished(generation: Generation, but: Collection[str] = ()) -> tuple[Generation, tuple[str, ...]]:
    """The generation without its newest steps in which a usual part has not come yet, and what was left out.

    Services publish parts one after the other, so that the newest hour often lacks some; an intensity made of
    the rest would be far off. Parts in `but` are not waited for.
    """
    weight = _weights(generation)
    usual = [
        part
        for part, power in generation.mw.items()
        if part not in but and weight[part] >= MINOR and (~np.isnan(power)).mean() >= USUALLY
    ]
    n = len(generation.start_ms)
    if not usual or not n:
        return generation, ()
    whole = ~np.isnan([generation.mw[part] for part in usual]).any(axis=0)
    if not whole.any():
        return _cut(generation, 0), ("in no step are all usual parts of the mix known: nothing is used",)
    last = int(np.flatnonzero(whole)[-1]) + 1
    if last == n:
        return generation, ()
    missing = [part for part in usual if np.isnan(generation.mw[part][last:]).any()]
    return _cut(generation, last), (f"{', '.join(missing)} comes later than the rest: the newest steps wait",)


def with_nights(generation: Generation, solar: Collection[str], place: Zone) -> Generation:
    """The generation with zero for the solar parts where they are missing and it is dark."""
    middle_ms = generation.start_ms + generation.step_ms // 2
    dark = elevation_deg(place.latitude, place.longitude, middle_ms) < DARK_DEG
    mw = {
        part: np.where(dark & np.isnan(power), 0.0, power) if part in solar else power
        for part, power in generation.mw.items()
    }
    return Generation(generation.start_ms, generation.step_ms, mw)


def by_fuel(generation: Generation, fuels: Mapping[str, str]) -> Generation:
    """The parts added up to fuels by the table.

    A fuel is not known where a part of weight is missing, or all are. Storage is what it gives less what it
    takes, so there any part is enough.
    """
    weight = _weights(generation)
    added: dict[str, Power] = {}
    for fuel in dict.fromkeys(fuels[part] for part in generation.mw):
        parts = [part for part in generation.mw if fuels[part] == fuel]
        power = np.array([generation.mw[part] for part in parts])
        missing = np.isnan(power)
        needed = [fuel != "storage" and weight[part] >= MINOR for part in parts]
        unknown = missing.all(axis=0) | missing[needed].any(axis=0)
        added[fuel] = np.where(unknown, np.nan, np.nansum(power, axis=0))
    return Generation(generation.start_ms, generation.step_ms, added)


def observed(generation: Generation) -> tuple[Observed, ...]:
    """Power of each fuel, and the intensity of the mix by both bases; holes where something is not known."""
    told = [_observed(quantity.generation(fuel), generation, power) for fuel, power in generation.mw.items()]
    if told:
        told += [
            _observed(name, generation, intensity(generation.mw, basis))
            for name, basis in zip(INTENSITIES, BASES, strict=True)
        ]
    return tuple(each for each in told if len(each.steps.start_ms))


def fuels_of(parts: Iterable[str]) -> tuple[str, ...]:
    """The quantities of these fuels, in the order of `quantity.FUELS`, each once."""
    present = set(parts)
    return tuple(quantity.generation(fuel) for fuel in quantity.FUELS if fuel in present)


def _observed(name: str, generation: Generation, values: Power) -> Observed:
    known = ~np.isnan(values)
    start_ms = generation.start_ms[known]
    return Observed(name, stepped(start_ms, start_ms + generation.step_ms, values[known]))


def _weights(generation: Generation) -> dict[str, float]:
    """The share of each part in all power that is told, given or taken."""
    mean = {part: _mean(np.abs(power)) for part, power in generation.mw.items()}
    all_of_it = sum(mean.values())
    return {part: value / all_of_it if all_of_it > 0 else 0.0 for part, value in mean.items()}


def _mean(power: Power) -> float:
    """The mean of what is known; 0 where nothing is."""
    known = power[~np.isnan(power)]
    return float(known.mean()) if len(known) else 0.0


def _cut(generation: Generation, last: int) -> Generation:
    mw = {part: power[:last] for part, power in generation.mw.items()}
    return Generation(generation.start_ms[:last], generation.step_ms, mw)
