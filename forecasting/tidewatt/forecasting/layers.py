"""Several sources laid over each other, the best first: the only place where numbers of two sources meet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.series import (
    Intensities,
    Milliseconds,
    Outlook,
    Rung,
    Segment,
    Steps,
    holes,
    instant,
    milliseconds,
    touching,
)

MATCHED_OVER_MS = 24 * 3_600_000
FACTORS = (0.1, 10.0)  # a level further off than this is another quantity, not another level


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says, with where it stands in the chain.

    `leads`: it has seen the newest issue of its source and proved to be worth more, so it comes first.
    """

    kind: Kind
    rung: Rung
    source: str
    steps: Steps
    issued_at: datetime | None = None
    p10: Intensities | None = None
    p90: Intensities | None = None
    leads: bool = False


@dataclass(frozen=True, slots=True)
class Overlay:
    """Steps laid over each other: `owner` is the number of each step's layer, `step` its number there."""

    steps: Steps
    owner: NDArray[np.int64]
    step: NDArray[np.int64]


def compose(zone: str, layers: Sequence[Layer], start: datetime, end: datetime) -> Outlook:
    """The outlook over `[start, end)`: at each instant the first layer that has a value, without holes.

    All layers must continue the first one's kind. A layer of another boundary, and a profile, is scaled to
    the level of those before it over the last 24 h that they share. What no layer covers is held at the mean
    of the rest, as a segment of its own.

    Raises:
        ForecastError: kinds would be mixed, or there is no layer that has a value in `[start, end)`.
    """
    for layer in layers:
        if not layer.kind.continues(layers[0].kind):
            raise ForecastError(f"{layer.kind} cannot continue {layers[0].kind}: kinds are never mixed")
    start_ms, end_ms = milliseconds(start), milliseconds(end)
    matched = _matched(layers, start_ms)
    gaps = holes(_overlay([layer.steps for layer in matched], start_ms, end_ms).steps, start, end)
    if gaps:
        level = _level(matched, start_ms)
        if level is None:
            raise ForecastError(f"nothing is known of {zone} between {start} and {end}")
        matched.append(_flat(layers[0].kind, level, gaps))
    return _outlook(zone, matched, _overlay([layer.steps for layer in matched], start_ms, end_ms))


def clipped(outlook: Outlook, start: datetime, end: datetime) -> Outlook:
    """The part of an outlook inside `[start, end)`, in UTC whatever zone these times are in."""
    start_ms, end_ms = milliseconds(start), milliseconds(end)
    start, end = instant(start_ms), instant(end_ms)
    part = touching(outlook.steps, start_ms, end_ms)
    steps = Steps(
        np.maximum(outlook.steps.start_ms[part], start_ms),
        np.minimum(outlook.steps.end_ms[part], end_ms),
        outlook.steps.gco2_per_kwh[part],
    )
    segments = tuple(
        replace(s, start=max(s.start, start), end=min(s.end, end))
        for s in outlook.segments
        if s.start < end and s.end > start
    )
    p10 = None if outlook.p10 is None else outlook.p10[part]
    p90 = None if outlook.p90 is None else outlook.p90[part]
    return replace(outlook, steps=steps, segments=segments, p10=p10, p90=p90)


def _matched(layers: Sequence[Layer], start_ms: int) -> list[Layer]:
    """The layers, those on another level scaled; of another boundary and not to be scaled: left out."""
    kept: list[Layer] = []
    for layer in layers:
        other_boundary = bool(kept) and layer.kind.boundary != kept[0].kind.boundary
        if not other_boundary and (layer.rung is not Rung.PROFILE or not kept):
            kept.append(layer)
            continue
        factor = _factor(_known(kept, start_ms), layer.steps)
        if factor is not None:
            kept.append(_scaled(layer, factor))
        elif not other_boundary:
            kept.append(layer)
    return kept


def _known(layers: Sequence[Layer], start_ms: int) -> Steps:
    """All that the layers say from `start_ms` on, beyond what was asked for: levels do not depend on that."""
    ends = [int(layer.steps.end_ms[-1]) for layer in layers if len(layer.steps.end_ms)]
    return _overlay([layer.steps for layer in layers], start_ms, max([start_ms + 1, *ends])).steps


def _level(layers: Sequence[Layer], start_ms: int) -> float | None:
    """Mean gCO2/kWh of all that is known from `start_ms` on."""
    known = _known(layers, start_ms)
    width_ms = known.end_ms - known.start_ms
    return float(np.average(known.gco2_per_kwh, weights=width_ms)) if len(width_ms) else None


def _factor(base: Steps, other: Steps) -> float | None:
    """What `other` must be multiplied with to have the level of `base` over their last shared hours."""
    if not len(base.start_ms):
        return None
    seam_ms = int(base.end_ms[-1])
    edges = np.concatenate([base.start_ms, base.end_ms, other.start_ms, other.end_ms])
    cuts = np.unique(np.clip(edges, seam_ms - MATCHED_OVER_MS, seam_ms))
    ours, theirs = _values(base, cuts[:-1]), _values(other, cuts[:-1])
    shared_ms = np.where(np.isnan(ours) | np.isnan(theirs), 0, np.diff(cuts))
    our_level, their_level = (float(shared_ms @ np.nan_to_num(values)) for values in (ours, theirs))
    if not our_level or not their_level:
        return None
    return float(np.clip(our_level / their_level, *FACTORS))


def _values(steps: Steps, at_ms: Milliseconds) -> Intensities:
    """The value at each instant, NaN in holes."""
    if not len(steps.start_ms):
        return np.full(len(at_ms), np.nan)
    step = np.searchsorted(steps.start_ms, at_ms, side="right") - 1
    return np.where((step >= 0) & (at_ms < steps.end_ms[step]), steps.gco2_per_kwh[step], np.nan)


def _scaled(layer: Layer, factor: float) -> Layer:
    steps = replace(layer.steps, gco2_per_kwh=layer.steps.gco2_per_kwh * factor)
    return replace(
        layer,
        source=f"{layer.source}, scaled by {factor:.2f} to the level before",
        steps=steps,
        p10=None if layer.p10 is None else layer.p10 * factor,
        p90=None if layer.p90 is None else layer.p90 * factor,
    )


def _flat(kind: Kind, gco2_per_kwh: float, gaps: list[tuple[datetime, datetime]]) -> Layer:
    """A layer that holds one value over the gaps."""
    edges = np.array([[milliseconds(a), milliseconds(b)] for a, b in gaps])
    steps = Steps(edges[:, 0], edges[:, 1], np.full(len(gaps), gco2_per_kwh))
    return Layer(kind, Rung.OWN, "mean of what is known, held flat", steps)


def _outlook(zone: str, layers: Sequence[Layer], laid: Overlay) -> Outlook:
    """The outlook of laid layers, one segment for each stretch of one layer."""
    seams = np.flatnonzero(np.diff(laid.owner)) + 1
    firsts, lasts = np.append(0, seams), np.append(seams, len(laid.owner)) - 1
    segments = tuple(
        Segment(
            instant(int(laid.steps.start_ms[first])),
            instant(int(laid.steps.end_ms[last])),
            layers[laid.owner[first]].rung,
            layers[laid.owner[first]].source,
            layers[laid.owner[first]].issued_at,
        )
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    )
    p10 = _quantile([layer.p10 for layer in layers], laid)
    p90 = _quantile([layer.p90 for layer in layers], laid)
    return Outlook(zone, layers[0].kind, laid.steps, segments, p10, p90)


def _quantile(quantiles: Sequence[Intensities | None], laid: Overlay) -> Intensities | None:
    """A quantile of each step, NaN where its layer has none; None where no layer used has any."""
    values = np.full(len(laid.owner), np.nan)
    for number, quantile in enumerate(quantiles):
        if quantile is not None:
            mine = laid.owner == number
            values[mine] = quantile[laid.step[mine]]
    return None if np.isnan(values).all() else values


def _overlay(layers: Sequence[Steps], start_ms: int, end_ms: int) -> Overlay:
    """At each instant of `[start_ms, end_ms)` the first layer that covers it.

    A step stays whole as long as no earlier layer interrupts it.
    """
    edges = [np.array([start_ms, end_ms])]
    for layer in layers:
        part = touching(layer, start_ms, end_ms)
        edges += [layer.start_ms[part], layer.end_ms[part]]
    cuts = np.unique(np.clip(np.concatenate(edges), start_ms, end_ms))
    opens, closes = cuts[:-1], cuts[1:]
    owner, step, value = np.full(len(opens), -1), np.full(len(opens), -1), np.zeros(len(opens))
    for number, layer in enumerate(layers):
        if not len(layer.start_ms):
            continue
        at = np.searchsorted(layer.start_ms, opens, side="right") - 1
        takes = (owner < 0) & (at >= 0) & (opens < layer.end_ms[at])
        owner[takes], step[takes], value[takes] = number, at[takes], layer.gco2_per_kwh[at[takes]]
    known = owner >= 0
    opens, closes, owner, step, value = (a[known] for a in (opens, closes, owner, step, value))
    same = (owner[1:] == owner[:-1]) & (step[1:] == step[:-1]) & (opens[1:] == closes[:-1])
    heads = np.append(np.ones(min(1, len(opens)), bool), ~same)
    tails = np.append(~same, np.ones(min(1, len(opens)), bool))
    return Overlay(Steps(opens[heads], closes[tails], value[heads]), owner[heads], step[heads])
