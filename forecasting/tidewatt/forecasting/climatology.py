"""Our plainest forecast: the mean of the same hours of the last days."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.series import Intensities, Steps, milliseconds, touching

DAYS = 7
DAY_MS = 86_400_000
LONGEST_STEP_MS = 3_600_000
SHAPE_NEEDS = 0.5  # share of the day that must have been seen before its shape is trusted


@dataclass(frozen=True, slots=True)
class Climatology:
    """The same-hour mean over `[start, end)` of its steps, of `days` days; `label` says how it was got."""

    steps: Steps
    label: str
    days: int


def same_hours(observed: Steps, start: datetime, until: datetime) -> Climatology | None:
    """What observations since seven days before `start` say of `[start, until)`; None where there are none.

    The steps have the observations' own length, an hour at most. Holes are skipped: a time of day that was
    never seen takes what lies between its neighbours, and where less than half of the day was seen the mean
    is held flat. Hours are UTC hours, which move against local ones only in a week of clock change.
    """
    start_ms, until_ms = milliseconds(start), milliseconds(until)
    part = touching(observed, start_ms - DAYS * DAY_MS, start_ms + DAY_MS)
    recent = Steps(observed.start_ms[part], observed.end_ms[part], observed.gco2_per_kwh[part])
    if not len(recent.start_ms) or until_ms <= start_ms:
        return None
    step_ms = _step_ms(recent)
    grams, covered = _by_slot(recent, start_ms, step_ms)
    seen = covered.sum(axis=0) > 0
    if not seen.any():
        return None
    if seen.mean() < SHAPE_NEEDS:
        level = grams.sum() / covered.sum()
        hours = covered.sum() / LONGEST_STEP_MS
        return Climatology(
            Steps(np.array([start_ms]), np.array([until_ms]), np.array([level])),
            f"mean of the {hours:.3g} h observed, held flat",
            0,
        )
    slots = np.full(len(seen), np.nan)
    slots[seen] = grams.sum(axis=0)[seen] / covered.sum(axis=0)[seen]
    days = min(DAYS, int((covered.sum(axis=1) > 0).sum()))
    label = f"mean of the same hours, {days} day{'s' if days != 1 else ''}"
    return Climatology(_ahead(_filled(slots, seen), start_ms, until_ms, step_ms), label, days)


def _step_ms(observed: Steps) -> int:
    """The usual length of the steps, where it divides the hour, else an hour."""
    usual = int(np.median(observed.end_ms - observed.start_ms))
    return usual if usual < LONGEST_STEP_MS and LONGEST_STEP_MS % usual == 0 else LONGEST_STEP_MS


def _by_slot(observed: Steps, start_ms: int, step_ms: int) -> tuple[Intensities, Intensities]:
    """Grams per kWh times milliseconds, and milliseconds covered: (days, slots) from 00:00 UTC."""
    oldest_ms = start_ms - DAYS * DAY_MS
    first_ms = oldest_ms // DAY_MS * DAY_MS
    grid = np.arange(first_ms, first_ms + (DAYS + 2) * DAY_MS + 1, step_ms)
    edges = np.column_stack([observed.start_ms, observed.end_ms]).ravel()
    edges = np.clip(edges, oldest_ms, start_ms + DAY_MS)
    width = np.diff(edges)
    width[1::2] = 0  # between two steps nothing is known, or nothing lies
    value = np.repeat(observed.gco2_per_kwh, 2)[:-1]
    grams = np.diff(np.interp(grid, edges, np.append(0.0, np.cumsum(width * value))))
    covered = np.diff(np.interp(grid, edges, np.append(0.0, np.cumsum(width))))
    slots = DAY_MS // step_ms
    return grams.reshape(-1, slots), covered.reshape(-1, slots)


def _filled(slots: Intensities, seen: NDArray[np.bool_]) -> Intensities:
    """Slots of a day, unseen ones between their neighbours around the clock."""
    at = np.arange(len(slots))
    return np.asarray(np.interp(at, at[seen], slots[seen], period=len(slots)), float)


def _ahead(slots: Intensities, start_ms: int, until_ms: int, step_ms: int) -> Steps:
    """The day's slots repeated over `[start_ms, until_ms)`, the edges cut."""
    start = np.arange(start_ms // step_ms * step_ms, until_ms, step_ms)
    value = slots[(start % DAY_MS) // step_ms]
    return Steps(np.maximum(start, start_ms), np.minimum(start + step_ms, until_ms), value)
