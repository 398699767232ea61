"""How the forecast of a fast signal is trained, and judged on what it was not trained on."""

from collections.abc import Mapping

import numpy as np

from tidewatt.forecasting.backtest.capture import outcome
from tidewatt.forecasting.models.continuation import (
    BLOCK_H,
    LEADS_H,
    REACH_H,
    Continuation,
    Mean,
    Trees,
    Worth,
    cells,
    seen,
    slow,
    usual,
)
from tidewatt.forecasting.models.slots import (
    DAY_MS,
    FLOOR_G,
    HOUR_MS,
    WEEK,
    Integers,
    Issues,
    Past,
    Signal,
    mean,
)
from tidewatt.forecasting.series import Intensities

NEEDS_DAYS = 28
OLDEST_DAYS = 14  # what the features of one moment look back on
HOLES = 0.5
HELD_OUT = 0.25
TRUSTED_DAYS = 30
WIDEST = 1.5  # more than that is no drift, but a fault
JUDGED_EVERY = 3  # hours between the held-out moments
ROWS = 90_000  # of each member: neighbouring slots tell nearly the same
MEMBERS = 2  # whose mean is less a matter of chance
UNISSUED = 0.1  # of the moments are learnt without their issue, so that a missing one is nothing unknown
JOBS_H = (1, 4, 12)
SLACK_H = 24
LEVEL_RIDGE = 0.05  # penalty as a share of the number of moments
# Chosen on 2019-07..12 of two zones, four periods, each with what lay before it: captured saving 2.2 points
# above the better of the same-slot mean with and without the issue. Larger trees lost (60 leaves: 0.5).
BOOSTING: Mapping[str, float | int | bool] = {
    "max_iter": 150,
    "learning_rate": 0.05,
    "max_leaf_nodes": 10,
    "min_samples_leaf": 200,
    "l2_regularization": 10.0,
    "max_features": 0.4,
    "early_stopping": False,
}


def train(signal: Signal, issued: Issues, now_ms: int) -> Continuation | None:
    """A model of what had ended by `now_ms`, with its worth; None where that is less than four weeks."""
    signal = signal.before(now_ms)
    if not len(signal.gco2_per_kwh) or np.isnan(signal.gco2_per_kwh).mean() > HOLES:
        return None
    first_ms = signal.start_ms + OLDEST_DAYS * DAY_MS
    last_ms = signal.start_ms + len(signal.gco2_per_kwh) * signal.step_ms - REACH_H * HOUR_MS
    moments = np.arange(first_ms, last_ms + 1, HOUR_MS)
    if last_ms - first_ms < (NEEDS_DAYS - OLDEST_DAYS) * DAY_MS:
        return None
    held = round(len(moments) * HELD_OUT)
    trial = _taught(signal, issued, moments[: len(moments) - held - REACH_H], now_ms, 1)
    if trial is None:
        return None
    errors, worth = _judged(trial, signal, issued, moments[-held::JUDGED_EVERY])
    model = _taught(signal, issued, moments, now_ms, MEMBERS)
    if model is None:
        return None
    return Continuation(signal.zone, now_ms, model.names, model.trees, model.level, errors, worth)


def _taught(
    signal: Signal, issued: Issues, moments_ms: Integers, now_ms: int, members: int
) -> Continuation | None:
    """Trees and level of these moments, not yet judged."""
    if len(moments_ms) < WEEK * 24:
        return None
    past = Past(signal)
    shift = _shift(past, moments_ms)
    grown = [_grown(past, issued, moments_ms, shift, seed) for seed in range(members)]
    trees = tuple(each for each in grown if each is not None)
    if not trees:
        return None
    first = seen(past, issued, moments_ms, np.zeros(len(moments_ms), np.int64))
    known = ~np.isnan(shift)
    numbers = slow(first, len(moments_ms))[known]
    square = numbers.T @ numbers + LEVEL_RIDGE * len(numbers) * np.diag(numbers.var(axis=0) + 1e-9)
    level = np.asarray(np.linalg.solve(square, numbers.T @ shift[known]), float)
    none = np.zeros((2, len(LEADS_H) - 1, 24 // BLOCK_H))
    return Continuation(signal.zone, now_ms, first.names, Mean(trees), level, none)


def _grown(past: Past, issued: Issues, moments_ms: Integers, shift: Intensities, seed: int) -> Trees | None:
    """Trees of some leads of each moment; None where too little is known."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    signal = past.signal
    random = np.random.default_rng(seed)
    leads = _some_leads(signal, len(moments_ms), random)
    hidden = random.random(len(moments_ms)) < UNISSUED
    found = seen(past, issued, moments_ms, leads, hidden)
    each = len(leads) // len(moments_ms)
    origins = np.repeat((moments_ms - signal.start_ms) // signal.slot_ms, each)
    target = (past.at(origins + leads) - found.base) / found.scale - np.repeat(shift, each)
    good = ~np.isnan(target)
    if good.sum() < 20 * int(BOOSTING["min_samples_leaf"]):
        return None
    grown: Trees = HistGradientBoostingRegressor(**BOOSTING, random_state=seed).fit(
        found.x[good], target[good]
    )
    return grown


def _judged(
    model: Continuation, signal: Signal, issued: Issues, moments_ms: Integers
) -> tuple[Intensities, Worth]:
    """Quantiles of errors over the swing of the week, and the worth, at moments that were not taught."""
    made = model.many(signal, issued, moments_ms)
    at = (made.start_ms - signal.start_ms) // signal.step_ms
    steps = np.arange(made.gco2_per_kwh.shape[1])
    actual = signal.gco2_per_kwh[np.minimum(at[:, None] + steps, len(signal.gco2_per_kwh) - 1)]
    swing = Past(signal).swing((moments_ms - signal.start_ms) // signal.slot_ms)
    off = (actual - made.gco2_per_kwh) / swing[:, None]
    errors = _band(off, cells(signal, made.start_ms, len(steps)))
    hour = HOUR_MS // signal.step_ms
    shares = []
    for predicted in (made.gco2_per_kwh, usual(signal, issued, moments_ms)):
        outcomes = [
            outcome(signal.gco2_per_kwh, predicted, at, job_steps=job * hour, slack_steps=SLACK_H * hour)
            for job in JOBS_H
        ]
        shares.append(mean(np.array([one.captured for one in outcomes], float), axis=0))
    own, without = (None if np.isnan(share) else float(share) for share in shares)
    return errors, Worth(own, without, round(len(moments_ms) * JUDGED_EVERY / 24))


def _band(off: Intensities, where: tuple[Integers, Integers]) -> Intensities:
    """10 % and 90 % of scaled errors (moments, steps) by block of leads and of local hours.

    Errors grow as the season moves on from what was taught. So much as the band of the first half of the
    moments had to be wider to hold 80 % of the second half, the band of all is made wider, by less where
    there were few days.
    """
    half = len(off) // 2
    lead, block = where
    earlier = _quantiles(off[:half], (lead[:half], block[:half]))
    later = off[half:]
    low, high = earlier[:, lead[half:], block[half:]]
    edge = np.where(later > 0, np.maximum(high, 1e-3), np.minimum(low, -1e-3))
    needed = (later / edge)[~np.isnan(later)]
    wider = float(np.quantile(needed, 0.8)) if len(needed) else 1.0
    days = len(off) * JUDGED_EVERY / 24
    wider = float(np.clip(wider, 1.0, WIDEST)) ** (days / (days + TRUSTED_DAYS))
    return np.asarray(_quantiles(off, where) * wider, float)


def _quantiles(off: Intensities, where: tuple[Integers, Integers]) -> Intensities:
    errors = np.zeros((2, len(LEADS_H) - 1, 24 // BLOCK_H))
    lead, block = where
    for cell in np.ndindex(errors.shape[1:]):
        values = off[(lead == cell[0]) & (block == cell[1])]
        if (~np.isnan(values)).any():
            errors[:, *cell] = np.nanquantile(values, (0.1, 0.9))
    return errors


def _some_leads(signal: Signal, moments: int, random: np.random.Generator) -> Integers:
    """For each moment some leads, evenly spread with a random offset, and more of the first hours."""
    reach = REACH_H * HOUR_MS // signal.slot_ms
    near = 3 * HOUR_MS // signal.slot_ms
    spread = int(np.clip(ROWS // moments, 8, reach))
    first = random.random((moments, spread))
    far = ((np.arange(spread) + first) * reach / spread).astype(np.int64)
    close = random.integers(0, near, (moments, max(1, spread // 6)))
    return np.concatenate([far, close], axis=1).ravel()


def _shift(past: Past, moments_ms: Integers) -> Intensities:
    """How far the mean of all that came was from the mean of all same slots, scaled."""
    signal = past.signal
    slots = REACH_H * HOUR_MS // signal.slot_ms
    origins = (moments_ms - signal.start_ms) // signal.slot_ms
    day = signal.day
    came = past.mean(origins + slots, slots)
    scale = np.maximum(past.mean(origins, WEEK * day), FLOOR_G)
    return (came - past.mean(origins, WEEK * day)) / scale
