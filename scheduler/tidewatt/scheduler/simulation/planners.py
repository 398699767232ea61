"""The production planner as a simulation calls it."""

from collections.abc import Mapping

import numpy as np

from tidewatt.scheduler.plan import Ask, Plan, Stint, Why, Window
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.barring import is_singular
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Timetable
from tidewatt.scheduler.planning.timetable.situated import Situated, situated
from tidewatt.scheduler.planning.timetable.slots import is_due
from tidewatt.scheduler.planning.timetable.solve import solve

Plans = Mapping[int, Plan | Infeasible]


PATIENCE_S = 3600.0  # no clock decides what a simulation finds
REFINED = 30  # jobs: of longer queues the timetable is taken as it is, to the slot and without the words


def production(situation: Situation) -> Plans:
    """The plans that the daemon would make; those of longer queues as the timetable has them, without words.

    Jobs that have no room before their deadline have no plan: the guard starts them wherever there is room.
    """
    if len(situation.asks) <= REFINED or any(_is_special(ask, situation) for ask in situation.asks):
        return ladder.plan(situation, seconds=PATIENCE_S).plans
    made = situated(situation)
    if made is None:
        return plan_queue(situation)
    placed = _wordless(made, solve(made.problem).timetable)
    return placed | {ask.job_id: plan for ask in situation.asks if (plan := _due(ask, situation)) is not None}


def _is_special(ask: Ask, situation: Situation) -> bool:
    """True for a job that the timetable alone would not plan as the daemon does."""
    return bool(ask.power_steps or ask.prefer or is_singular(ask, situation.regions))


def _due(ask: Ask, situation: Situation) -> Plan | None:
    """The plan of a job that is about to be launched: it is not made anew."""
    return situation.keep.get(ask.job_id) if is_due(ask, situation) else None


def _wordless(made: Situated, timetable: Timetable) -> dict[int, Plan | Infeasible]:
    """Where and when each job starts that has a place."""
    jobs, menus, names = made.problem.jobs, made.problem.menus, made.problem.places.names
    place, start_ms = timetable.place, timetable.start_ms
    speed = menus.speed[jobs.menu, np.maximum(place, 0)]
    end_ms = start_ms + np.ceil(jobs.work_ms / speed).astype(np.int64)
    plans: dict[int, Plan | Infeasible] = {}
    for index in np.flatnonzero(place != NOWHERE).tolist():
        region, pool = names[place[index]]
        window = Window(moment(int(start_ms[index])), moment(int(end_ms[index])))
        job_id = made.asks[index].job_id
        plans[job_id] = Plan(
            job_id, region, pool, window, Why.CLEANEST, "", stints=_stints(made, timetable, index)
        )
    return plans


def _stints(made: Situated, timetable: Timetable, index: int) -> tuple[Stint, ...]:
    """The stretches of a job that pauses."""
    names = made.problem.places.names
    return tuple(
        Stint(*names[place], Window(moment(start), moment(end)))
        for place, start, end in timetable.stints.get(index, ())
    )
