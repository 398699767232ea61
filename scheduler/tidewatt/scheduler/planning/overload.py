"""Queues in which some jobs are late whatever is done."""

from collections.abc import Mapping, Sequence

from tidewatt.scheduler.plan import Ask, Plan, Why
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.first_come import late_by_priority
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.rescue import put_soonest
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import SHIFTED
from tidewatt.scheduler.planning.triage import carried_out, is_movable, misses, put, put_all

MANY = 200  # jobs: so many are not placed one by one, again and again
OPTIONS = 2_000  # of a large queue, looked at for cleaner windows in one round; the next round looks further

Plans = dict[int, Plan | Infeasible]


def late(asks: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]) -> list[int]:
    """How many jobs of each priority do not keep their deadline, the highest first."""
    return late_by_priority(
        asks, [i for i, plan in plans.items() if isinstance(plan, Infeasible) or plan.why is Why.LATE]
    )


def seated(situation: Situation, plain: Mapping[int, Plan | Infeasible], *, improve: bool = True) -> Plans:
    """The plans of `plain`, and for those in time cleaner windows in what all others leave free."""
    board = Board(situation)
    plans = dict(plain)
    put_all(board, situation.asks, plans)
    limit = board.looked_at + OPTIONS
    split = _split(situation)
    for ask in _unshifted_first(board, situation.asks, plans) if improve else ():
        if board.looked_at > limit:
            break
        plan = plans[ask.job_id]
        if not isinstance(plan, Plan) or not is_movable(plan) or plan.stints:
            continue
        if plan is situation.keep.get(ask.job_id) and (
            plan.why in SHIFTED or plan.window.start <= situation.now
        ):
            continue
        board.take(ask.job_id)
        other = board.place(ask)
        if isinstance(other, Plan) and is_movable(other) and (other.region, other.pool) not in split:
            plans[ask.job_id] = plan = other
        board.put(ask, plan)
    return plans


def _split(situation: Situation) -> set[tuple[str, str]]:
    """Pools of several nodes: `plain` counts their GPUs, and what is free on one node does not follow."""
    return {
        (region.name, pool.name)
        for region in situation.regions
        for pool in region.pools
        if 0 < pool.node_gpus < pool.gpus
    }


def hurried(board: Board, ordered: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]) -> Plans:
    """Plans by which the late jobs end sooner, those in time going around them; empty where there are none.

    All are on the board, before and after. Cleaner hours are no reason to be later than must be.
    """
    missing = [ask for ask in ordered if carried_out(plans[ask.job_id]) and misses(plans[ask.job_id])]
    movable = [ask for ask in ordered if _may_move(board, plans[ask.job_id])]
    if not missing or not movable or len(missing) + len(movable) > MANY:
        return {}
    before = board.saved()
    _take(board, [*movable, *missing])
    anew = _in_turn(board, movable, missing, plans)
    if anew is None:
        board.restore(before)
    return anew or {}


def _in_turn(
    board: Board, movable: Sequence[Ask], missing: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]
) -> Plans | None:
    """Who is in time as soon as can be, then the late ones, then all that can be moved again; or nobody."""
    order = board.in_order(sorted(movable, key=lambda ask: _start(plans[ask.job_id])))
    anew: Plans = {}
    if all(put_soonest(board, ask) for ask in order):
        anew = {ask.job_id: put(board, ask) for ask in board.in_order(missing)}
    if not anew or not _sooner(missing, anew, plans):
        return None
    for ask in movable:
        board.take(ask.job_id)
        placed = board.place(ask)
        if not isinstance(placed, Plan) or misses(placed):
            return None
        board.put(ask, placed)
        anew[ask.job_id] = placed
    return anew


def _sooner(missing: Sequence[Ask], anew: Plans, plans: Mapping[int, Plan | Infeasible]) -> bool:
    """True where none of the late jobs ends later, and one ends sooner."""
    ends = [(carried_out(anew[ask.job_id]), carried_out(plans[ask.job_id])) for ask in missing]
    if any(now is None or before is None or now.window.end > before.window.end for now, before in ends):
        return False
    return any(now and before and now.window.end < before.window.end for now, before in ends)


def _may_move(board: Board, plan: Plan | Infeasible) -> bool:
    return isinstance(plan, Plan) and is_movable(plan) and not plan.stints and plan.window.start > board.now


def _start(plan: Plan | Infeasible) -> float:
    carried = carried_out(plan)
    return float("inf") if carried is None else carried.window.start.timestamp()


def _unshifted_first(board: Board, asks: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]) -> list[Ask]:
    def shifted(ask: Ask) -> bool:
        plan = plans[ask.job_id]
        return isinstance(plan, Plan) and plan.why in SHIFTED

    return sorted(board.in_turn(asks), key=shifted)


def _take(board: Board, asks: Sequence[Ask]) -> None:
    for ask in asks:
        board.take(ask.job_id)
