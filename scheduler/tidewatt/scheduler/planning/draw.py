"""How a job's draw changes over its run: a window as legs of constant draw."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import isfinite

import numpy as np

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import PowerStep
from tidewatt.scheduler.planning.intensity import Amounts, CostCurve, Times

Leg = tuple[int, int, float]  # from and to, milliseconds after the start; the ratio to the mean draw
Steps = tuple[PowerStep, ...]
MEAN_OFF = 1e-6  # by so much the mean ratio may differ from 1: shares and ratios are written with few digits


@lru_cache(maxsize=4096)
def legs_of(steps: Steps, duration_ms: int) -> tuple[Leg, ...]:
    """The legs of a run of that length, borders rounded to whole milliseconds; none for a constant draw."""
    borders = [*(round(step.share * duration_ms) for step in steps), duration_ms]
    return tuple(
        (begin, end, step.ratio)
        for step, (begin, end) in zip(steps, pairwise(borders), strict=True)
        if end > begin
    )


def grams_per_kw(curve: CostCurve, start_ms: int, end_ms: int, steps: Steps) -> float:
    """Grams that a job of 1 kW on average emits over `[start_ms, end_ms)`, within the curve."""
    return sum(
        ratio * curve.grams_per_kw(start_ms + begin, start_ms + end)
        for begin, end, ratio in legs_of(steps, end_ms - start_ms)
    )


def integral(curve: CostCurve, starts_ms: Times, duration_ms: int, steps: Steps) -> Amounts:
    """The same of every start."""
    total = np.zeros(len(starts_ms))
    for begin, end, ratio in legs_of(steps, duration_ms):
        total += ratio * curve.integral(starts_ms + begin, starts_ms + end)
    return total


def corners_of(
    curve: CostCurve, low_ms: int, high_ms: int, duration_ms: int, others_ms: Sequence[int], steps: Steps
) -> tuple[Times, Amounts]:
    """The starts in `[low_ms, high_ms]` at which a border of a leg meets an edge, ascending; their grams.

    Between two of them no leg's end passes an edge, so that the grams are linear in the start.
    """
    offsets = [0, *(end for _, end, _ in legs_of(steps, duration_ms))]
    starts = np.unique(np.concatenate([*(curve.edges_ms - offset for offset in offsets), others_ms]))
    starts = starts[(starts >= low_ms) & (starts <= high_ms)].astype(np.int64, copy=False)
    return starts, integral(curve, starts, duration_ms, steps)


def roughness(steps: Steps) -> float:
    """How many integrals' rounding errors the grams of a window may have."""
    return sum(step.ratio for step in steps) if steps else 1.0


def profile(pieces: Sequence[tuple[float, float]]) -> tuple[float, Steps]:
    """Mean watts, and the steps, of a draw given as the share of the run from which so many watts hold.

    Raises:
        BadInput: the shares do not ascend from 0 to below 1, or a draw is no number, or all are 0.
    """
    shares = [share for share, _ in pieces]
    _check_shares(shares)
    watts = [power_w for _, power_w in pieces]
    if not all(isfinite(each) and each >= 0 for each in watts):
        raise BadInput(f"a step of power is a number of watts, at least 0, not {_listed(watts)}")
    lengths = [end - begin for begin, end in pairwise([*shares, 1.0])]
    mean = sum(each * length for each, length in zip(watts, lengths, strict=True))
    if mean <= 0:
        raise BadInput("all steps of power are 0: give the watts of at least one")
    steps = tuple(PowerStep(share, each / mean) for share, each in zip(shares, watts, strict=True))
    return mean, steps if len(steps) > 1 else ()


def check(steps: Steps) -> None:
    """Raises BadInput for steps that are none: they ascend from share 0, and their mean ratio is 1."""
    if not steps:
        return
    shares, ratios = [step.share for step in steps], [step.ratio for step in steps]
    _check_shares(shares)
    if not all(isfinite(each) and each >= 0 for each in ratios):
        raise BadInput(f"steps of power are ratios of at least 0, not {_listed(ratios)}")
    lengths = [end - begin for begin, end in pairwise([*shares, 1.0])]
    mean = sum(each * length for each, length in zip(ratios, lengths, strict=True))
    if abs(mean - 1) > MEAN_OFF:
        raise BadInput(
            f"the ratios of the steps of power have a mean of {mean:g} over the run: it has to be 1,"
            " since they are ratios to the mean power"
        )


def _check_shares(shares: Sequence[float]) -> None:
    ascending = all(begin < end for begin, end in pairwise([*shares, 1.0]))
    if not shares or shares[0] != 0 or not ascending:
        raise BadInput(
            f"steps of power begin at shares of the run that ascend from 0 to below 1, not {_listed(shares)}"
        )


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{each:g}" for each in numbers) or "none"
