"""Which jobs are in time where placing them one by one has some miss their deadlines."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from tidewatt.scheduler.plan import Ask, Plan, Why
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.precedence import descendants
from tidewatt.scheduler.planning.rescue import alone_in_time, in_time_first, rescue
from tidewatt.scheduler.planning.terms import latest_start_ms

OPTIONS = 14_000  # that are looked at in all: planning comes again soon, and others wait for it
MANY, MOST = 200, 500  # jobs: with more than many there is less time for each, with more than most none
FEW = 20  # late jobs among many: with more of them no order is looked for
STATES = 200  # of each search through every order

Plans = dict[int, Plan | Infeasible]


def triage(board: Board, ordered: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]) -> Plans:
    """Plans by which more jobs keep their deadline, or miss it by less; empty where there are none.

    All are on the board, before and after. Where two cannot both be in time, the one of lower priority gives
    way; a job that is in time stays so but for one of higher priority.
    """
    movable = [ask for ask in ordered if is_movable(plans[ask.job_id])]
    missing = [ask for ask in ordered if misses(plans[ask.job_id])]
    concerned = {ask.job_id for ask in (*movable, *missing)}
    todo = [ask for ask in ordered if ask.job_id in concerned]
    if len(todo) > MOST or (len(todo) > MANY and len(missing) > FEW):
        return {}
    _take(board, todo)
    options = OPTIONS * MANY // max(MANY, len(todo))
    limit = board.looked_at + options
    best: Plans = {ask.job_id: plans[ask.job_id] for ask in todo}
    start = best
    found, certain = _grown(board, ordered, movable, missing, limit - options // 3)
    if found or any(isinstance(plan, Infeasible) for plan in best.values()):
        tried = _completed(board, todo, found or {}, certain, limit)
        best = _better(board, todo, best, tried)
    if any(isinstance(plan, Infeasible) for plan in best.values()) and board.looked_at < limit:
        sifted = in_time_first(board, todo, limit)
        if sum(map(misses, best.values())) > len(todo) - len(sifted):
            best = _better(board, todo, best, _completed(board, todo, sifted, (), limit))
    put_all(board, board.in_order(todo), best)
    return {} if best is start else best


def misses(plan: Plan | Infeasible) -> bool:
    """True for a job that does not keep its deadline, or not if it runs as long as it may."""
    return isinstance(plan, Infeasible) or plan.why is Why.GUARD


def is_movable(plan: Plan | Infeasible) -> bool:
    """True for a plan that may be made anew; one accepted as late keeps the finish that it was told.

    One with pauses may have to run in one piece for a while: it is split again when there is room.
    """
    return isinstance(plan, Plan) and plan.why not in (Why.LATE, Why.GUARD)


def carried_out(plan: Plan | Infeasible) -> Plan | None:
    """What is to be done: also a job that misses its deadline runs."""
    return plan.earliest if isinstance(plan, Infeasible) else plan


def put(board: Board, ask: Ask) -> Plan | Infeasible:
    """Places a job and puts it on the board; it is late only if that cannot be helped."""
    placed = board.place(replace(ask, late=False) if ask.late else ask, firm=False)
    put_all(board, [ask], {ask.job_id: placed})
    return placed


def put_all(board: Board, asks: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]) -> None:
    """Puts plans on the board."""
    for ask in asks:
        plan = carried_out(plans[ask.job_id]) if ask.job_id in plans else None
        if plan is not None:
            board.put(ask, plan)


def _grown(
    board: Board, ordered: Sequence[Ask], movable: Sequence[Ask], missing: Sequence[Ask], limit: int
) -> tuple[dict[int, Plan] | None, list[Ask]]:
    """Plans of those that are in time with as many of the missing as can be added; the board stays empty."""
    behind = {job_id for ask in missing for job_id in descendants(ask.job_id, ordered)}
    certain = [ask for ask in movable if ask.job_id not in behind]
    found: dict[int, Plan] | None = None
    for ask in missing:
        if board.looked_at > limit or not alone_in_time(board, ask):
            continue
        more = rescue(board, [*certain, ask], STATES, limit) or _at_the_cost(board, certain, ask, limit)
        if more is not None:
            certain = [each for each in ordered if each.job_id in more]
            found = more
            _take(board, certain)
    return found, certain


def _at_the_cost(board: Board, certain: Sequence[Ask], ask: Ask, limit: int) -> dict[int, Plan] | None:
    """Plans by which the job is in time and as few as can be of lower priority are not."""
    mine = board.turns[ask.job_id][0]
    lower = [each for each in certain if board.turns[each.job_id][0] > mine]
    kept = [*(each for each in certain if board.turns[each.job_id][0] <= mine), ask]
    found = rescue(board, kept, STATES, limit) if lower else None
    if found is None:
        return None
    _take(board, kept)
    for each in sorted(lower, key=lambda other: board.turns[other.job_id]):
        more = rescue(board, [*kept, each], STATES, limit)
        if more is not None:
            kept, found = [*kept, each], more
            _take(board, kept)
    return found


def _completed(
    board: Board, todo: Sequence[Ask], found: Mapping[int, Plan], certain: Sequence[Ask], limit: int
) -> Plans:
    """All plans, the late ones as early as can be; the board is left empty.

    Where those in time can go around the late ones, these are less late.
    """
    kept = [ask for ask in todo if ask.job_id in found] or list(certain)
    in_time = {ask.job_id for ask in kept}
    late = [ask for ask in todo if ask.job_id not in in_time]
    anew: Plans = {ask.job_id: put(board, ask) for ask in late}
    around = rescue(board, kept, STATES, limit) if all(map(board.is_ready, late)) else None
    if around is not None:
        anew |= around
    else:
        _take(board, late)
        put_all(board, board.in_order(kept), found)
        anew = {**found, **{ask.job_id: put(board, ask) for ask in todo if ask.job_id not in found}}
    _take(board, todo)
    return anew


def _better(board: Board, todo: Sequence[Ask], plans: Plans, other: Plans) -> Plans:
    """The other plans if fewer jobs miss by them, the more urgent ones first, or all by less."""
    if any(ask.job_id not in other for ask in todo):
        return plans
    lost = [ask for ask in todo if misses(other[ask.job_id]) and not misses(plans[ask.job_id])]
    won = [ask for ask in todo if misses(plans[ask.job_id]) and not misses(other[ask.job_id])]
    first_won = min((board.turns[ask.job_id][0] for ask in won), default=0)
    if any(not won or board.turns[ask.job_id][0] <= first_won for ask in lost):
        return plans
    return other if _score(board, todo, other) < _score(board, todo, plans) else plans


def _score(board: Board, todo: Sequence[Ask], plans: Plans) -> tuple[list[tuple[int, int]], timedelta]:
    """Of each level of priority how many miss and how many have no room to spare; and all lateness."""
    levels = sorted({board.turns[ask.job_id][0] for ask in todo})
    counts = dict.fromkeys(levels, (0, 0))
    for ask in todo:
        plan, level = plans[ask.job_id], board.turns[ask.job_id][0]
        late, tight = counts[level]
        if isinstance(plan, Infeasible):
            counts[level] = late + 1, tight
        elif plan.why is Why.GUARD:
            counts[level] = late, tight + 1
    return [counts[level] for level in levels], _lateness(todo, plans)


def _lateness(asks: Sequence[Ask], plans: Mapping[int, Plan | Infeasible]) -> timedelta:
    """How much later than they must the jobs start, all together; much where one fits nowhere."""
    total = timedelta(0)
    for ask in asks:
        plan, latest = carried_out(plans[ask.job_id]), latest_start_ms(ask)
        if plan is None:
            total += timedelta(days=3650)
        elif latest is not None:
            total += max(plan.window.start - moment(latest), timedelta(0))
    return total


def _take(board: Board, asks: Sequence[Ask]) -> None:
    for ask in asks:
        board.take(ask.job_id)
