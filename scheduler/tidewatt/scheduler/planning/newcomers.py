"""Several newcomers at once, the tasks of an array, in what the plans of the others leave free."""

from collections.abc import Mapping, Sequence

from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.precedence import descendants
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.triage import put


def beside(newcomers: Sequence[Ask], situation: Situation) -> Mapping[int, Plan | Infeasible] | None:
    """The newcomers' plans, by id, where everybody else keeps the plan that it has.

    None where one of the others runs after a newcomer: then its plan may have to move.
    """
    new = {ask.job_id for ask in newcomers}
    others = [ask for ask in situation.asks if ask.job_id not in new]
    if any(descendants(job_id, others) for job_id in new):
        return None
    board = Board(situation, newcomers)
    for ask in _with_plan(others, situation):
        board.put(ask, situation.keep[ask.job_id])
    for ask in board.in_order(_without_plan(others, situation)):
        put(board, ask)
    return {ask.job_id: put(board, ask) for ask in board.in_turn(newcomers)}


def _with_plan(others: Sequence[Ask], situation: Situation) -> list[Ask]:
    left_out = {ask.job_id for ask in _without_plan(others, situation)}
    return [ask for ask in others if ask.job_id not in left_out]


def _without_plan(others: Sequence[Ask], situation: Situation) -> list[Ask]:
    """Those without a plan, or with one for a region that is gone."""
    regions = {region.name for region in situation.regions}
    found = []
    for ask in others:
        kept = situation.keep.get(ask.job_id)
        parts = () if kept is None else kept.stints or (kept,)
        if not parts or any(part.region not in regions for part in parts):
            found.append(ask)
    return found
