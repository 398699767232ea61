"""Stints in several places: the job's data go with it."""

import numpy as np

from tidewatt.scheduler.planning.pausing.ground import Ground
from tidewatt.scheduler.planning.pausing.stinting import paused
from tidewatt.scheduler.planning.pausing.work import Flags, Stints


def among_places(ground: Ground, below_g: float) -> Stints | None:
    """The cheapest stints that may move between pauses and cost less than `below_g`; None for none."""
    useful = [index for index in np.flatnonzero(~outdone(ground)).tolist() if _has_room(ground, index)]
    return paused(ground, useful, below_g) if len(useful) > 1 else None


def _has_room(ground: Ground, index: int) -> bool:
    return bool(ground.usable[index].any()) and int(ground.from_ms[index]) < ground.until_ms


def outdone(ground: Ground) -> Flags:
    """(R,) tracks that another one outdoes in every slot, so that no plan has to use them."""
    work = ground.work
    count = len(work.tracks)
    gone = np.zeros(count, np.bool_)
    cost = np.array([track.cost for track in work.tracks])
    regions = [track.region for track in work.tracks]
    terms = np.array(
        [
            (-track.speed, track.arrive_ms, track.arrive_g, ground.from_ms[i], ground.arrive_g[i])
            for i, track in enumerate(work.tracks)
        ]
    )
    for i in range(count):
        for j in range(count):
            if i == j or gone[j] or (regions.count(regions[i]) > 1 and regions[i] != regions[j]):
                continue
            if not (terms[j] <= terms[i]).all():
                continue
            here = ground.usable[i]
            if not (here <= ground.usable[j]).all() or not (cost[j] <= cost[i]).all():
                continue
            if (ground.rate[j, here] <= ground.rate[i, here]).all():
                gone[i] = True
                break
    return gone
