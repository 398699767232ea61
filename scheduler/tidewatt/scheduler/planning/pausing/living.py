"""Stints for the jobs of a living queue: each where it suits it best in what the others leave free."""

import time
from collections.abc import Collection, Mapping
from dataclasses import replace

import structlog

from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.choice import TIE
from tidewatt.scheduler.planning.pausing.planned import grams_of, stints_plan
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import Admission
from tidewatt.scheduler.planning.situation import Situation

log = structlog.get_logger()

PATIENCE_S = 2.0  # real seconds, after which the rest stays as it is

Plans = dict[int, Plan | Infeasible]


def interrupted(
    situation: Situation,
    plans: Mapping[int, Plan | Infeasible],
    seconds: float = PATIENCE_S,
    only: Collection[int] | None = None,
) -> Plans:
    """The plans, with pauses for jobs that may pause where these save `min_saving` of the plan that stands.

    One job at a time, in the order in which they are placed; all others stay where they are. A plan that is
    due stays; with `only` those of all other jobs do.
    """
    found: Plans = {job_id: _from_the_first(plan) for job_id, plan in plans.items()}
    begun = time.monotonic()
    pausing = [
        ask
        for ask in situation.asks
        if ask.pausing is not None and ask.job_id in found and (only is None or ask.job_id in only)
    ]
    if not pausing:
        return found
    board = Board(situation)
    for ask in board.in_order(board.in_turn(situation.asks)):
        plan = _carried_out(found.get(ask.job_id))
        if plan is not None and plan.region in {region.name for region in situation.regions}:
            board.put(ask, plan)
    for ask in board.in_turn(pausing):
        kept = situation.keep.get(ask.job_id)
        due = kept is not None and kept.window.start <= situation.now
        if due or not board.is_ready(ask) or time.monotonic() - begun > seconds:
            continue
        board.take(ask.job_id)
        found[ask.job_id] = _better(board, ask, found[ask.job_id], situation)
        chosen = _carried_out(found[ask.job_id])
        if chosen is not None:
            board.put(ask, chosen)
    return found


def admitted(newcomer: Ask, admission: Admission, situation: Situation) -> Plan:
    """The plan of a newcomer that was let in, in stints where it may pause and that is cleaner."""
    if newcomer.pausing is None:
        return admission.plan
    plans = {**situation.keep, **admission.moved, newcomer.job_id: admission.plan}
    others = [ask for ask in situation.asks if ask.job_id != newcomer.job_id]
    try:
        made = interrupted(replace(situation, asks=[*others, newcomer]), plans, only={newcomer.job_id})
    except Exception:  # whatever it is, the job has a plan, and the next round looks again
        log.exception("pauses.failed")
        return admission.plan
    found = made[newcomer.job_id]
    return found if isinstance(found, Plan) else admission.plan


def _better(board: Board, ask: Ask, standing: Plan | Infeasible, situation: Situation) -> Plan | Infeasible:
    """The plan with pauses where it is worth it, else the one that stands."""
    policy, options = situation.policy, board.options(ask)
    made = stints_plan(ask, options, situation.now, policy)
    if not isinstance(made, Plan):
        return standing
    if not isinstance(standing, Plan):
        return _from_the_first(made) if made.stints else standing
    if not made.stints and not standing.stints:
        return standing
    if standing.stints:
        before = grams_of(ask, standing, options, situation.now, policy)
    else:
        cost = board.cost(ask, standing).cost
        before = None if cost is None else cost * ask.power_w / 1000
    if before is None or made.expected_g is None:
        return standing
    worth = max(policy.min_saving, TIE)
    return _from_the_first(made) if made.expected_g < before - abs(before) * worth else standing


def _from_the_first(plan: Plan | Infeasible) -> Plan | Infeasible:
    """A plan with stints names the place where it starts."""
    if isinstance(plan, Infeasible) or not plan.stints:
        return plan
    first = plan.stints[0]
    if (plan.region, plan.pool) == (first.region, first.pool):
        return plan
    return replace(plan, region=first.region, pool=first.pool)


def _carried_out(plan: Plan | Infeasible | None) -> Plan | None:
    return plan.earliest if isinstance(plan, Infeasible) else plan
