"""The best timetable of a small queue, by HiGHS: one yes-or-no for each job and each start worth considering.

Starts are those of `columns`: at borders of slots and free stretches, or with the end there. Where all times
are whole slots these suffice, and the optimum is that of all starts; else it is that of these starts.
Capacity is first asked for at the borders of slots alone; where a solution breaks it in between, that instant
is added and the problem is solved again. Jobs that may pause are planned in one piece.
"""

import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tidewatt.scheduler.planning.timetable.columns import Columns, Menu
from tidewatt.scheduler.planning.timetable.model import Answer, Model
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Problem, Timetable
from tidewatt.scheduler.planning.timetable.reckoning import Runs, grams
from tidewatt.scheduler.planning.timetable.resources import Level

_ROUNDS = 40  # of adding instants
_CORES = (0.02,)  # of the way from the linear optimum to what is known: tried before everything
_FOR_A_CORE = 0.6  # of the time that is left
_SOONER_THAN_S = 0.02  # less time is not worth a solver's call


def optimum(
    problem: Problem, seconds: float, best: Timetable | None = None
) -> tuple[Timetable | None, float, bool]:
    """The best timetable found, a lower bound in grams on any with as many jobs placed, and if it is proved.

    As many jobs as possible are placed, then grams are least. `best` is a timetable that is already known:
    nothing dearer is looked for. None where the time was too short to find one.
    """
    everyone, nothing = range(len(problem.jobs.ids)), np.empty(0, np.int64)
    if not everyone:
        return Timetable(nothing, nothing), 0.0, True
    menu = Menu(problem)
    levels = menu.resources.levels(Runs(nothing, nothing, nothing, nothing))
    columns = menu.columns(everyone, levels, {}, best)
    may_fail, known = list(everyone), np.inf
    if best is not None and not (best.place == NOWHERE).any() and not best.stints:
        known = float(grams(problem, best).sum())
        columns, may_fail = cheaper_than(columns, known), []
    answer = solved(menu, columns, everyone, may_fail, levels, seconds, known)
    if answer.chosen is None:
        return None, answer.bound, False
    place, start = np.full(len(everyone), NOWHERE, np.int64), np.zeros(len(everyone), np.int64)
    runs = columns.only(answer.chosen).runs
    place[runs.job], start[runs.job] = runs.place, runs.start_ms
    proved = answer.proved and not problem.jobs.pausing
    return Timetable(place, start), answer.bound, proved


def cheaper_than(columns: Columns, total: float) -> Columns:
    """Without the columns that cannot be in any choice cheaper than `total`, one column for each job."""
    jobs, index = np.unique(columns.runs.job, return_inverse=True)
    least = np.full(len(jobs), np.inf)
    np.minimum.at(least, index, columns.cost)
    spare = max(total - float(least.sum()), 0.0) * (1 + 1e-9) + 1e-9
    return columns.only(np.flatnonzero(columns.cost - least[index] <= spare))


def solved(
    menu: Menu,
    columns: Columns,
    jobs: Iterable[int],
    may_fail: Sequence[int],
    levels: Mapping[int, Level],
    seconds: float,
    known: float = np.inf,
) -> Answer:
    """The cheapest choice of one column for each job in what `levels` leave; those that `may_fail` last.

    `known` is the cost of a choice that is at hand: columns that the linear problem proves useless for a
    cheaper one are left out, and those that it thinks little of at first.
    """
    until = time.monotonic() + seconds
    model = Model(menu, columns, list(jobs), list(may_fail), levels)
    if not np.isfinite(known) or not model.price():
        return _settled(model, until)
    best = Answer(None, -np.inf, proved=False)
    for share in _CORES:
        model.leave_out(known, share)
        answer = _settled(model, time.monotonic() + _FOR_A_CORE * (until - time.monotonic()))
        if answer.chosen is not None and float(columns.cost[answer.chosen].sum()) < known:
            best, known = answer, float(columns.cost[answer.chosen].sum())
    model.leave_out(known, 1.0)
    last = _settled(model, until)
    chosen = best.chosen if last.chosen is None else last.chosen
    return Answer(chosen, max(last.bound, model.linear), last.proved and last.chosen is not None)


def _settled(model: Model, until: float) -> Answer:
    """The model's best answer that keeps to what is left at every instant."""
    bound = -np.inf
    for _ in range(_ROUNDS):
        left = until - time.monotonic()
        if left < _SOONER_THAN_S:
            break
        answer = model.solve(left)
        bound = max(bound, answer.bound)
        if answer.chosen is None:
            return Answer(None, bound, answer.proved)
        broken = model.broken(answer.chosen)
        if not broken:
            return Answer(answer.chosen, bound, answer.proved)
        model.ask_for(broken)
    return Answer(None, bound, False)
