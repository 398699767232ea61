"""Plans of newcomers, one or all tasks of an array at once, that cost nobody else their deadline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.plan import Ask, Plan, Why
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.first_come import last_start_ms
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms
from tidewatt.scheduler.planning.pausing.living import admitted
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.preferring import first_narrow, is_late
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import check
from tidewatt.scheduler.planning.triage import misses


@dataclass(frozen=True, slots=True)
class Admitted:
    """The newcomers' plans, and the new plans of the waiting jobs that move; store all of them together."""

    plans: Mapping[int, Plan] = field(default_factory=dict)
    moved: Mapping[int, Plan] = field(default_factory=dict)


def admit_all(newcomers: Sequence[Ask], situation: Situation) -> Admitted:
    """The plans of all newcomers, or of none.

    Raises:
        BadInput: one of them could not be done as asked even if nothing else ran.
        Refused: there is no room for all of them before their deadline, and `late` was not accepted.
    """
    if len(newcomers) == 1:
        [newcomer] = newcomers
        admission = ladder.admit(newcomer, situation)
        return Admitted({newcomer.job_id: admitted(newcomer, admission, situation)}, admission.moved)
    return first_narrow(newcomers, situation, _admit_all, lambda made: any(map(is_late, made.plans.values())))


def _admit_all(newcomers: Sequence[Ask], situation: Situation) -> Admitted:
    for terms in {replace(each, job_id=0): each for each in newcomers}.values():
        check(terms, situation.regions, situation.now)
    known = {ask.job_id for ask in newcomers}
    others = [ask for ask in situation.asks if ask.job_id not in known]
    plans = ladder.beside(newcomers, situation)
    fits = plans is not None and not any(map(misses, plans.values()))
    outranked = any(other.priority < each.priority for other in others for each in newcomers)
    if plans is not None and fits and not outranked:
        return _admitted(newcomers, plans, {})
    try:
        made = _planned(replace(situation, asks=[*others, *newcomers]))
        _refuse_losers(others, made, situation)
    except Refused:
        if plans is not None and fits:
            return _admitted(newcomers, plans, {})
        raise
    carried = {ask.job_id: _carried_out(made[ask.job_id]) for ask in others}
    moved = {i: plan for i, plan in carried.items() if plan is not None and plan != situation.keep.get(i)}
    return _admitted(newcomers, made, moved)


def _admitted(
    newcomers: Sequence[Ask], made: Mapping[int, Plan | Infeasible], moved: Mapping[int, Plan]
) -> Admitted:
    plans = {ask.job_id: _in_time(ask, made[ask.job_id], len(newcomers)) for ask in newcomers}
    return Admitted({number: plan for number, plan in plans.items() if plan is not None}, moved)


def _planned(situation: Situation) -> Mapping[int, Plan | Infeasible]:
    """A plan for each job, by the planners that answer at once."""
    made = ladder.plan(situation, ladder.DEFAULT[1:])
    if any(ask.job_id not in made.plans for ask in situation.asks):
        raise Refused(
            f"no planner can take this in now ({'; '.join(made.troubles)}): submit the tasks singly"
        )
    return made.plans


def _in_time(ask: Ask, made: Plan | Infeasible, size: int) -> Plan | None:
    if isinstance(made, Infeasible) and not ask.late:
        raise Refused(f"there is no room for all {size} tasks: {made.reason}")
    return _carried_out(made)


def _refuse_losers(
    others: Sequence[Ask], made: Mapping[int, Plan | Infeasible], situation: Situation
) -> None:
    """Refuses newcomers for which a job would lose the deadline that it keeps without them."""
    lost = [ask for ask in others if isinstance(made[ask.job_id], Infeasible)]
    for ask in lost:
        if _keeps_deadline(ask, situation):
            raise Refused(
                f"there is no room for all tasks: job {ask.job_id}, which waits already, would miss its"
                " deadline; submit fewer, or with --finish-by later"
            )


def _keeps_deadline(ask: Ask, situation: Situation) -> bool:
    """True for a job that is in time by the plan that it has."""
    kept = situation.keep.get(ask.job_id)
    if kept is None or kept.why is Why.LATE:
        return False
    last = last_start_ms(ask, floor_ms(kept.window.end) - floor_ms(kept.window.start))
    return last is None or max(floor_ms(kept.window.start), ceil_ms(situation.now)) <= last


def _carried_out(made: Plan | Infeasible) -> Plan | None:
    return made.earliest if isinstance(made, Infeasible) else made
