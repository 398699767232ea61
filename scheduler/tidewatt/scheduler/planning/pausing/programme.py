"""The cheapest stints of one job that may be interrupted."""

import numpy as np

from tidewatt.scheduler.planning.pausing.bound import least_g
from tidewatt.scheduler.planning.pausing.freely import cheapest_slots, is_free
from tidewatt.scheduler.planning.pausing.ground import Ground, ground_of
from tidewatt.scheduler.planning.pausing.moving import among_places
from tidewatt.scheduler.planning.pausing.piece import TIE, pieces
from tidewatt.scheduler.planning.pausing.stepped import stepped
from tidewatt.scheduler.planning.pausing.stinting import paused
from tidewatt.scheduler.planning.pausing.work import Stints, Work


def best_stints(work: Work) -> Stints | None:
    """The cheapest stints that keep what `work` says; None where there are none.

    Without pauses neither a checkpoint nor a restart is charged: the first start has no restart, the last end
    no checkpoint. Of equally cheap plans the one without pauses, then the earliest.

    Exact to the millisecond for plans in one piece, whatever the slots. With pauses it is exact where delays
    (with milestones or a shortest stint also these, and the first and last instant) are whole slots, or whole
    parts of slots as `parts_for` divides them. Where they are not, delays are rounded up to the finest part
    that can be paid for: the plan keeps every term and its grams are the true ones, but another one may be
    cheaper. Speeds of places among which it moves are taken as fractions with small denominators, rounded
    down, and shorter first and last slots are left out there where speeds differ.

    A job whose draw changes stays in one place, and is planned as `stepped` says.
    """
    if not work.tracks or work.work_ms <= 0:
        return None
    ground = ground_of(work)
    best = in_one_place(ground)
    if not work.pausing.moves or len(work.tracks) == 1 or work.pausing.max_pauses == 0 or work.steps:
        return best
    return among_places(ground, _below(best)) or best


def in_one_place(ground: Ground) -> Stints | None:
    """The cheapest stints that all run in the same track."""
    whole, work = pieces(ground), ground.work
    best: Stints | None = None
    at = int(np.lexsort((whole.start_ms, whole.cost_g))[0])
    if whole.cost_g[at] < np.inf:
        start = int(whole.start_ms[at])
        best = Stints(((at, start, start + int(ground.need_ms[at])),), float(whole.cost_g[at]))
    if work.pausing.max_pauses == 0:
        return best
    if work.steps:
        for index in range(len(work.tracks)):
            best = stepped(ground, index, _below(best)) or best
        return best
    least = least_g(ground, pauses=1)
    for index in np.argsort(least, kind="stable").tolist():
        below = _below(best)
        if not least[index] < below:
            break
        found = cheapest_slots(ground, index) if is_free(work.pausing) else paused(ground, [index], below)
        if found is not None and found.cost_g < below:
            best = found
    return best


def _below(best: Stints | None) -> float:
    """What another plan has to cost less than."""
    return float("inf") if best is None else best.cost_g - TIE * abs(best.cost_g)
