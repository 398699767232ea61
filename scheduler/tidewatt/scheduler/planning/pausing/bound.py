"""What a pausing job costs at least."""

import numpy as np

from tidewatt.scheduler.planning.instants import length_ms
from tidewatt.scheduler.planning.pausing.ground import Ground, ground_of, overhead_g
from tidewatt.scheduler.planning.pausing.piece import in_blocks
from tidewatt.scheduler.planning.pausing.work import Amounts, Work


def cheapest(work: Work) -> float:
    """A lower bound in grams of everything that the job can do; inf where its slots cannot hold it.

    -inf where intensities are negative and pauses draw power, and where the job's draw changes.
    The job's work in its cheapest free slots, as if pausing and moving cost nothing.
    """
    if not work.tracks:
        return float("inf")
    if work.steps:
        return -float("inf")
    ground = ground_of(work)
    if not work.pausing.moves:
        return float(least_g(ground).min())
    if _pays_for_pausing(ground):
        return -float("inf")
    speed = np.array([track.speed for track in work.tracks])[:, None]
    per_work = np.where(ground.usable, ground.rate / speed, np.inf).min(axis=0)
    inside = _inside(ground, work.release_ms)
    fastest = int(np.ceil(work.work_ms / speed.max()))
    if not np.isfinite(per_work[inside]).sum() * ground.slot_ms >= fastest:
        return float("inf")
    widest = ground.slot_ms * float(speed.max())
    return float(_sum_of_least(per_work[None, inside], work.work_ms, widest)[0])


def least_g(ground: Ground, *, pauses: int = 0) -> Amounts:
    """(R,) the same for each track on its own, with at least so many pauses; inf where it has no room."""
    found = np.full(len(ground.need_ms), np.inf)
    if _pays_for_pausing(ground):
        return np.full(len(found), -np.inf)
    pausing = ground.work.pausing
    overhead = pauses * overhead_g(ground)
    usual_ms = pauses * (
        (length_ms(pausing.checkpoint) if pausing.checkpoint_wh is None else 0)
        + (length_ms(pausing.restart) if pausing.restart_wh is None else 0)
    )
    groups: dict[tuple[int, int], list[int]] = {}
    for i, key in enumerate(zip(ground.from_ms.tolist(), ground.need_ms.tolist(), strict=True)):
        groups.setdefault(key, []).append(i)
    for (first, need), members in groups.items():
        inside = _inside(ground, first)
        for rows in in_blocks(members, len(ground.work.edges_ms)):
            rate = ground.rate[rows, inside]
            if not ground.usable.all():
                rate = np.where(ground.usable[rows, inside], rate, np.inf)
            found[rows] = _sum_of_least(rate, need + usual_ms, ground.slot_ms)
    return found + overhead + ground.arrive_g


def _pays_for_pausing(ground: Ground) -> bool:
    """True where intensities are negative: what pauses draw may make a plan cheaper then."""
    pausing = ground.work.pausing
    draws = pausing.checkpoint or pausing.restart or pausing.checkpoint_wh or pausing.restart_wh
    return bool((ground.rate < 0).any()) and bool(draws or pausing.suspended_w)


def _inside(ground: Ground, first_ms: int) -> slice:
    edges = ground.work.edges_ms
    low = int(np.searchsorted(edges, first_ms, "right")) - 1
    return slice(max(low, 0), int(np.searchsorted(edges, ground.until_ms, "left")))


def _sum_of_least(rate: Amounts, need: float, width: float) -> Amounts:
    """(R,) the integral of the lowest rates over `need`, each slot so wide."""
    whole, rest = divmod(float(need), width)
    n = int(whole)
    if rate.shape[1] < n + (rest > 0):
        return np.full(len(rate), np.inf)
    if n == 0:
        return np.asarray(rate.min(axis=1) * rest, np.float64)
    at = min(n, rate.shape[1] - 1)
    lowest = np.partition(rate, at, axis=1) if at else rate
    total = lowest[:, :n].sum(axis=1) * width
    return np.asarray(total + (lowest[:, at] * rest if rest else 0.0), np.float64)
