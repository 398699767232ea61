"""The plans of all waiting jobs together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.plan import Ask, Plan, Why
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.instants import length_ms, moment
from tidewatt.scheduler.planning.planner import Infeasible, place
from tidewatt.scheduler.planning.rescue import alone_in_time, by_urgency, rescue
from tidewatt.scheduler.planning.search import TIE
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import SHIFTED, check, latest_start_ms

OFFERED_SLACK_H = (6.0, 24.0)
_RESCUE_STATES = 200  # of each call of `plan_queue`, which comes again soon

Offer = tuple[float, datetime | None, float | None]  # slack_h, start, saving_percent


@dataclass(frozen=True, slots=True)
class Admission:
    """A newcomer's plan, and the new plans of the waiting jobs that move; store all of them together."""

    plan: Plan
    moved: dict[int, Plan] = field(default_factory=dict)


def plan_queue(situation: Situation) -> dict[int, Plan | Infeasible]:
    """A plan for each waiting job, by id; for a job that cannot keep its deadline why, and its earliest plan.

    A plan of `keep` stays the same object until it cannot be carried out any more, or another one saves more
    than the policy's `min_saving` over it. A plan whose start has come stays too: it is due.
    """
    board = Board(situation)
    plans = _settle(board, situation.asks, situation.keep)
    for ask in by_urgency(situation.asks):
        plan = plans[ask.job_id]
        kept = plan is situation.keep.get(ask.job_id)
        if isinstance(plan, Plan) and kept and plan.window.start > situation.now:
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
    board = Board(situation)
    plans = _settle(board, others, keep)
    placed = board.place(replace(newcomer, late=False))
    if isinstance(placed, Infeasible):
        movable = [ask for ask in others if _movable(plans[ask.job_id])]
        _take(board, movable)
        rescued = rescue(board, [*movable, newcomer]) if alone_in_time(board, newcomer) else None
        if rescued is None:
            return _admit_late(newcomer, placed, plans, keep)
        placed = rescued.pop(newcomer.job_id)
        plans |= rescued
    return Admission(placed, _moved(plans, keep))


def offers(ask: Ask, situation: Situation) -> tuple[Offer, ...]:
    """What 6 h and 24 h of slack beyond the earliest finish should save against starting at once.

    Start and saving are None where nothing is known of the grid.
    """
    board = Board(situation)
    _settle(board, [other for other in situation.asks if other.job_id != ask.job_id], situation.keep)
    options = board.options(ask)
    firsts = [option.first_start(length_ms(ask.duration)) for option in options if option.allowed]
    first_ms = min((first for first in firsts if first is not None), default=None)
    if first_ms is None:
        return tuple((slack_h, None, None) for slack_h in OFFERED_SLACK_H)
    exact = replace(situation.policy, margin=timedelta(0))
    made = []
    for slack_h in OFFERED_SLACK_H:
        start_by = moment(first_ms) + timedelta(hours=slack_h)
        easy = replace(
            ask, finish_by=None, start_by=start_by, duration_source="", at_once=False, power_w=1000.0
        )
        made.append(_offer(slack_h, place(easy, options, situation.now, exact)))
    return tuple(made)


def _settle(board: Board, asks: Sequence[Ask], keep: Mapping[int, Plan]) -> dict[int, Plan | Infeasible]:
    """Puts all jobs on the board: kept plans that hold, the rest in what is left, all anew if one misses."""
    plans: dict[int, Plan | Infeasible] = {}
    urgent = by_urgency(asks)
    for ask in urgent:
        kept = keep.get(ask.job_id)
        if kept is not None and board.still_holds(ask, kept):
            board.put(ask, kept)
            plans[ask.job_id] = kept
    for ask in urgent:
        if ask.job_id not in plans:
            plans[ask.job_id] = _put(board, ask)
    if any(isinstance(plan, Infeasible) for plan in plans.values()):
        plans |= _rescue_missing(board, urgent, plans)
    return plans


def _rescue_missing(
    board: Board, urgent: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]
) -> dict[int, Plan | Infeasible]:
    """Plans by which more jobs keep their deadline, or miss it by less; empty where there are none."""
    movable = [ask for ask in urgent if _movable(plans[ask.job_id])]
    missing = [ask for ask in urgent if isinstance(plans[ask.job_id], Infeasible)]
    _take(board, [*movable, *missing])
    in_time, found = list(movable), None
    for ask in missing:
        if alone_in_time(board, ask) and (more := rescue(board, [*in_time, ask], _RESCUE_STATES)) is not None:
            in_time, found = [*in_time, ask], more
            _take(board, in_time)
    late = [ask for ask in missing if ask not in in_time]
    anew: dict[int, Plan | Infeasible] = {ask.job_id: _put(board, ask) for ask in late}
    around = rescue(board, in_time, _RESCUE_STATES)
    if around is not None and (found is not None or _lateness(late, anew) < _lateness(late, plans)):
        return anew | around
    _take(board, [*in_time, *late])
    if found is None:  # as it was
        _put_all(board, [*movable, *missing], plans)
        return {}
    _put_all(board, in_time, found)
    return {**found, **{ask.job_id: _put(board, ask) for ask in late}}


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
    if after.cost < before.cost * (1 - max(board.policy.min_saving, TIE)):
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


def _offer(slack_h: float, placed: Plan | Infeasible) -> Offer:
    if isinstance(placed, Infeasible) or placed.expected_g is None or placed.immediate_g is None:
        return slack_h, None, None
    saving = 1 - placed.expected_g / placed.immediate_g if placed.immediate_g else 0.0
    return slack_h, placed.window.start, 100 * saving


def _movable(plan: Plan | Infeasible) -> bool:
    """True for a plan that may be made anew; one accepted as late keeps the finish that it was told."""
    return isinstance(plan, Plan) and plan.why is not Why.LATE


def _moved(plans: Mapping[int, Plan | Infeasible], keep: Mapping[int, Plan]) -> dict[int, Plan]:
    """What is now to be carried out instead of `keep`, also for jobs that cannot keep their deadline."""
    now = {job_id: _carried_out(plan) for job_id, plan in plans.items()}
    return {job_id: plan for job_id, plan in now.items() if plan is not None and plan != keep.get(job_id)}


def _lateness(asks: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]) -> timedelta:
    """How much later than they must the jobs start, all together; infinite where one fits nowhere."""
    total = timedelta(0)
    for ask in asks:
        plan, latest = _carried_out(plans[ask.job_id]), latest_start_ms(ask)
        if plan is None or latest is None:
            return timedelta.max
        total += max(plan.window.start - moment(latest), timedelta(0))
    return total


def _carried_out(plan: Plan | Infeasible) -> Plan | None:
    return plan.earliest if isinstance(plan, Infeasible) else plan


def _put(board: Board, ask: Ask) -> Plan | Infeasible:
    placed = board.place(ask)
    _put_all(board, [ask], {ask.job_id: placed})
    return placed


def _put_all(board: Board, asks: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]) -> None:
    for ask in asks:
        plan = _carried_out(plans[ask.job_id]) if ask.job_id in plans else None
        if plan is not None:
            board.put(ask, plan)


def _take(board: Board, asks: Sequence[Ask]) -> None:
    for ask in asks:
        board.take(ask.job_id)
