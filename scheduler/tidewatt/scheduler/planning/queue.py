"""The plans of all waiting jobs together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.plan import Ask, Plan, Why
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.choice import TIE, weight
from tidewatt.scheduler.planning.first_come import plan_first_come
from tidewatt.scheduler.planning.offers import Offer, offered
from tidewatt.scheduler.planning.overload import MANY, hurried, late, seated
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.precedence import descendants
from tidewatt.scheduler.planning.rescue import alone_in_time, rescue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import SHIFTED, check
from tidewatt.scheduler.planning.triage import carried_out, is_movable, misses, put, triage
from tidewatt.scheduler.planning.weighing import scale_of

__all__ = ["Admission", "Offer", "admit", "offers", "plan_queue"]

FEW = 20  # late jobs of a large queue: for more of them no better order is looked for

Plans = dict[int, Plan | Infeasible]


@dataclass(frozen=True, slots=True)
class Admission:
    """A newcomer's plan, and the new plans of the waiting jobs that move; store all of them together."""

    plan: Plan
    moved: dict[int, Plan] = field(default_factory=dict)


def plan_queue(situation: Situation, *, improve: bool = True) -> Plans:
    """A plan for each waiting job, by id; for a job that cannot keep its deadline why, and its earliest plan.

    A plan of `keep` stays the same object until it cannot be carried out any more, or another one saves more
    than the policy's `min_saving` over it (not looked for where `improve` is False). A plan whose start has
    come stays too: it is due.
    """
    plain: Plans | None = None
    if len(situation.asks) > MANY:
        plain = plan_first_come(situation)
        if sum(late(situation.asks, plain)) > FEW:
            return seated(situation, plain, improve=improve)
    board = Board(situation)
    plans = _settle(board, situation.asks, situation.keep)
    if any(map(misses, plans.values())):
        plain = plan_first_come(situation) if plain is None else plain
        if late(situation.asks, plans) > late(situation.asks, plain):
            return seated(situation, plain, improve=improve)
    for ask in board.in_turn(situation.asks) if improve else ():
        plan = plans[ask.job_id]
        kept = plan is situation.keep.get(ask.job_id)
        if isinstance(plan, Plan) and kept and not plan.stints and plan.window.start > situation.now:
            plans[ask.job_id] = _improve(board, ask, plan)
    return plans


def admit(newcomer: Ask, situation: Situation) -> Admission:
    """The newcomer's plan, and those that move for it; no waiting job that keeps its deadline loses it.

    Raises:
        BadInput: the job could not be done as asked even if nothing else ran.
        Refused: there is no room before the deadline, and `late` was not accepted.
    """
    keep = situation.keep
    check(newcomer, situation.regions, situation.now)
    others = [ask for ask in situation.asks if ask.job_id != newcomer.job_id]
    board = Board(situation, [newcomer])
    behind = descendants(newcomer.job_id, others)
    firm = [ask for ask in others if ask.job_id not in behind]
    following = [ask for ask in others if ask.job_id in behind]
    plans = _settle(board, firm, keep)
    if any(ask.priority < newcomer.priority for ask in firm):
        ahead = _ahead(newcomer, others, situation, plans)
        if ahead is not None:
            return ahead
    placed = board.place(replace(newcomer, late=False))
    if isinstance(placed, Plan) and following:
        board.put(newcomer, placed)
        plans |= _settle(board, following, keep)
        board.take(newcomer.job_id)
    if misses(placed) or any(misses(plans[ask.job_id]) for ask in following if ask.job_id in plans):
        movable = [ask for ask in others if ask.job_id not in plans or is_movable(plans[ask.job_id])]
        _take(board, movable)
        rescued = None
        if alone_in_time(board, newcomer):
            rescued = rescue(board, [*movable, replace(newcomer, late=False)])
        if rescued is not None:
            placed = rescued.pop(newcomer.job_id)
            plans |= rescued
    if isinstance(placed, Infeasible):
        return _admit_late(newcomer, placed, plans, keep)
    return Admission(placed, _moved(plans, keep))


def offers(ask: Ask, situation: Situation) -> tuple[Offer, ...]:
    """What slack should save against starting at once, the rest of the queue as planned.

    For a job without a deadline 6 h and 24 h of slack beyond the earliest finish, for one with a deadline its
    own slack, and 6 h and 24 h more. Start and saving are None where nothing is known of the grid.
    """
    others = [other for other in situation.asks if other.job_id != ask.job_id]
    board = Board(situation, [ask])
    behind = descendants(ask.job_id, others)
    _settle(board, [other for other in others if other.job_id not in behind], situation.keep)
    return offered(ask, board)


def _ahead(
    newcomer: Ask, others: Sequence[Ask], situation: Situation, plans: Mapping[int, Plan | Infeasible]
) -> Admission | None:
    """The newcomer placed before all jobs of lower priority; None where one of these would miss by it."""
    board = Board(situation, [newcomer])
    keep = {job_id: plan for job_id, plan in situation.keep.items() if job_id != newcomer.job_id}
    anew = _settle(board, [*others, replace(newcomer, late=False)], keep)
    placed = anew.pop(newcomer.job_id)
    if isinstance(placed, Infeasible) or placed.why is Why.GUARD:
        return None
    for ask in others:
        before = plans.get(ask.job_id, situation.keep.get(ask.job_id))
        if before is not None and not misses(before) and misses(anew[ask.job_id]):
            return None
    return Admission(placed, _moved(anew, keep))


def _settle(board: Board, asks: Sequence[Ask], keep: Mapping[int, Plan]) -> Plans:
    """Puts all jobs on the board: kept plans that hold, the rest in what is left, all anew if one misses.

    Those of a higher priority come first, whether or not they have a plan.
    """
    plans: Plans = {}
    ordered = board.in_turn(asks)
    for _, level in groupby(ordered, lambda ask: board.turns[ask.job_id][0]):
        equals = list(level)
        for ask in equals:
            _keep(board, ask, keep, plans)
        for ask in equals:
            if ask.job_id not in plans and not _keep(board, ask, keep, plans):
                plans[ask.job_id] = put(board, ask)
    if any(misses(plan) for plan in plans.values()):
        plans |= triage(board, ordered, plans)
        plans |= hurried(board, ordered, plans)
    return {ask.job_id: _accepted(ask, plans[ask.job_id]) for ask in ordered}


def _accepted(ask: Ask, plan: Plan | Infeasible) -> Plan | Infeasible:
    """The plan of a job that may be late, whatever it is."""
    return plan.earliest if isinstance(plan, Infeasible) and ask.late and plan.earliest else plan


def _keep(board: Board, ask: Ask, keep: Mapping[int, Plan], plans: Plans) -> bool:
    kept = keep.get(ask.job_id)
    if kept is None or not board.still_holds(ask, kept):
        return False
    board.put(ask, kept)
    plans[ask.job_id] = kept
    return True


def _improve(board: Board, ask: Ask, kept: Plan) -> Plan:
    """The kept plan, or a better one in what the other jobs leave free."""
    board.take(ask.job_id)
    other = board.place(ask)
    chosen = other if isinstance(other, Plan) and _better(board, ask, kept, other) else kept
    board.put(ask, chosen)
    return chosen


def _better(board: Board, ask: Ask, kept: Plan, other: Plan) -> bool:
    if other.why not in SHIFTED:
        if other.why is Why.NO_SIGNAL and kept.why in SHIFTED:
            return False  # the forecast is lost, the plan made with it is not
        return other.why is not kept.why or other.window.start < kept.window.start
    if kept.why not in SHIFTED:
        return True  # the grid, or a deadline, has become known
    before, after = board.cost(ask, kept), board.cost(ask, other)
    if before.cost is None or after.cost is None:
        return before.cost is None
    scale = scale_of(before)
    cost = weight(before, scale)
    if weight(after, scale) < cost - abs(cost) * max(board.policy.of(ask).min_saving, TIE):
        return True
    # One that never meant to wait for the grid, but for room, takes the room that has become free.
    meant_now = kept.why is not Why.CLEANEST and other.why is not Why.CLEANEST
    return meant_now and other.window.start < kept.window.start


def _admit_late(
    newcomer: Ask, missed: Infeasible, plans: Mapping[int, Plan | Infeasible], keep: Mapping[int, Plan]
) -> Admission:
    if not newcomer.late or missed.earliest is None:
        raise Refused(missed.reason)
    return Admission(missed.earliest, _moved(plans, keep))


def _moved(plans: Mapping[int, Plan | Infeasible], keep: Mapping[int, Plan]) -> dict[int, Plan]:
    """What is now to be carried out instead of `keep`, also for jobs that cannot keep their deadline."""
    now = {job_id: carried_out(plan) for job_id, plan in plans.items()}
    return {job_id: plan for job_id, plan in now.items() if plan is not None and plan != keep.get(job_id)}


def _take(board: Board, asks: Sequence[Ask]) -> None:
    for ask in asks:
        board.take(ask.job_id)
