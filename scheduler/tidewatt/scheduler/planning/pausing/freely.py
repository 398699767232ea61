"""Jobs whose pauses cost nothing: they run in the cheapest slots."""

from datetime import timedelta

import numpy as np

from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.planning.pausing.ground import Ground
from tidewatt.scheduler.planning.pausing.work import Stints


def is_free(pausing: Pausing) -> bool:
    """True where a pause takes neither time nor energy and nothing limits it."""
    nothing = timedelta(0)
    return (
        pausing.checkpoint == pausing.restart == pausing.min_stint == nothing
        and not pausing.checkpoint_wh
        and not pausing.restart_wh
        and not pausing.suspended_w
        and pausing.max_pauses is None
        and not pausing.milestones
    )


def cheapest_slots(ground: Ground, index: int) -> Stints | None:
    """The cheapest slots of one track, the dearest of them used in part; None where they do not suffice."""
    edges = ground.work.edges_ms
    low, high = int(ground.from_ms[index]), ground.until_ms
    begins, ends = np.maximum(edges[:-1], low), np.minimum(edges[1:], high)
    width = np.where(ground.usable[index], np.maximum(ends - begins, 0), 0)
    order = np.argsort(np.where(width > 0, ground.rate[index], np.inf), kind="stable")
    total = np.cumsum(width[order])
    need = int(ground.need_ms[index])
    if not total[-1] >= need:
        return None
    count = int(np.searchsorted(total, need)) + 1
    used = np.zeros(len(width), np.bool_)
    used[order[:count]] = True
    dearest, over = int(order[count - 1]), int(total[count - 1]) - need
    after = dearest + 1 < len(used) and used[dearest + 1]
    before = dearest > 0 and used[dearest - 1]
    begins[dearest] += over * (after and not before)
    ends[dearest] -= over * (not (after and not before))
    joined = used[1:] & used[:-1] & (ends[:-1] == begins[1:])
    first = used & np.append(True, ~joined)
    last = used & np.append(~joined, True)
    parts = tuple(
        (index, start, end) for start, end in zip(begins[first].tolist(), ends[last].tolist(), strict=True)
    )
    grams = float((ground.rate[index] * (ends - begins))[used].sum()) + float(ground.arrive_g[index])
    return Stints(parts, grams)
