"""Plans all waiting jobs anew so that none misses its deadline, where placing them one by one fails."""

from collections.abc import Sequence
from dataclasses import replace

from tidewatt.scheduler.plan import Ask, Plan, Why
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.choice import Choice, soonest
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.terms import latest_start_ms

EXHAUSTIVE = 7  # jobs with a deadline: for up to so many every order is tried
STATES = 5_000  # partial schedules that are looked at before the search gives up
MOST_OPTIONS = 60_000  # that are looked at otherwise: more than 200 jobs in some regions ever need

Placement = tuple[int, str, str, int]  # job id, region, pool, start (ms)


def rescue(
    board: Board, asks: Sequence[Ask], states: int = STATES, limit: int | None = None
) -> dict[int, Plan] | None:
    """Plans by which all of `asks`, not yet on the board, keep their deadlines; None: none are found.

    Cleanest windows first, in several orders; then earliest windows; then, for few jobs, every order. With
    success the plans are on the board, else the board is as before. It gives up where the board has looked
    at `limit` options.
    """
    limit = limit if limit is not None else board.looked_at + MOST_OPTIONS
    asks = board.in_turn(asks)
    needed = _needed([ask for ask in asks if latest_start_ms(ask) is not None], asks)
    bound = [replace(ask, late=False) for ask in asks if ask.job_id in needed]
    free = [ask for ask in asks if ask.job_id not in needed]
    for order in _orders(board, bound):
        plans = _cleanest_first(board, order, limit)
        if plans is not None:
            return plans | _fill(board, free)
    if _earliest_first(board, bound, limit) or _every_order(board, bound, states):
        return _polish(board, bound) | _fill(board, free)
    return None


def in_time_first(board: Board, asks: Sequence[Ask], limit: int) -> dict[int, Plan]:
    """Plans of as many of `asks`, not yet on the board, as are in time in the best of several orders.

    Jobs that cannot be in time when their turn comes are left out. The board stays as it is.
    """
    best: list[tuple[Ask, Choice]] = []
    for order in _orders(board, board.in_turn(asks)):
        placed: list[tuple[Ask, Choice]] = []
        for ask in order:
            if board.looked_at > limit:
                break
            choices = _in_time(board, ask)
            if choices:
                first = soonest(choices)
                board.put_at(ask, first.option.region, first.option.pool, first.start_ms)
                placed.append((ask, first))
        _clear(board, [ask.job_id for ask, _ in placed])
        if _worth(board, placed) > _worth(board, best):
            best = placed
    for ask, first in best:
        board.put_at(ask, first.option.region, first.option.pool, first.start_ms)
    plans = _polish(board, [ask for ask, _ in best])
    _clear(board, plans)
    return plans


def put_soonest(board: Board, ask: Ask) -> bool:
    """Puts the job on the board as early as it fits, where that is in time."""
    choices = _in_time(board, ask)
    if choices:
        first = soonest(choices)
        board.put_at(ask, first.option.region, first.option.pool, first.start_ms)
    return bool(choices)


def alone_in_time(board: Board, ask: Ask) -> bool:
    """True where the job could keep its deadline in what is free on the board now.

    Of one whose predecessors are off the board only trying can tell.
    """
    return not board.is_ready(ask) or bool(_in_time(board, ask))


def _needed(urgent: Sequence[Ask], asks: Sequence[Ask]) -> set[int]:
    """Ids of the jobs with a deadline and of all that these wait for."""
    by_id = {ask.job_id: ask for ask in asks}
    found, left = {ask.job_id for ask in urgent}, list(urgent)
    while left:
        for job_id in left.pop().after:
            if job_id in by_id and job_id not in found:
                found.add(job_id)
                left.append(by_id[job_id])
    return found


def _orders(board: Board, asks: Sequence[Ask]) -> list[list[Ask]]:
    """Orders worth trying: by turn, least slack, earliest deadline, largest, widest, longest, oldest."""
    orders = [
        list(asks),
        urgent := sorted(asks, key=lambda ask: _latest(ask, board)),
        sorted(urgent, key=lambda ask: ask.finish_by.timestamp() if ask.finish_by else float("inf")),
        sorted(urgent, key=lambda ask: (-ask.need.gpus * ask.duration, -ask.need.cpus * ask.duration)),
        sorted(urgent, key=lambda ask: (-ask.need.gpus, -ask.need.cpus)),
        sorted(urgent, key=lambda ask: -ask.duration),
        sorted(urgent, key=lambda ask: ask.submitted),
    ]
    orders = [board.in_order(order) for order in orders]
    return list({tuple(ask.job_id for ask in order): order for order in orders}.values())


def _worth(board: Board, placed: Sequence[tuple[Ask, Choice]]) -> list[int]:
    """How many are placed of each level of priority, the highest first."""
    levels = sorted({turn[0] for turn in board.turns.values()})
    found = [board.turns[ask.job_id][0] for ask, _ in placed]
    return [found.count(level) for level in levels]


def _latest(ask: Ask, board: Board) -> tuple[float, int]:
    latest = latest_start_ms(ask, end_ms=board.bounds(ask, firm=False).due_ms)
    return float("inf") if latest is None else latest, ask.job_id


def _cleanest_first(board: Board, order: Sequence[Ask], limit: int) -> dict[int, Plan] | None:
    plans: dict[int, Plan] = {}
    for ask in order:
        placed = board.place(ask)
        if isinstance(placed, Infeasible) or placed.why is Why.GUARD or board.looked_at > limit:
            _clear(board, plans)
            return None
        board.put(ask, placed)
        plans[ask.job_id] = placed
    return plans


def _earliest_first(board: Board, asks: Sequence[Ask], limit: int) -> bool:
    """Puts every job on the board as early as it fits, in the first order in which all are in time."""
    for order in _orders(board, asks):
        done: list[int] = []
        for ask in order:
            if board.looked_at > limit or not put_soonest(board, ask):
                break
            done.append(ask.job_id)
        else:
            return True
        _clear(board, done)
    return False


def _every_order(board: Board, asks: Sequence[Ask], states: int) -> bool:
    """Puts every job on the board as early as it fits, in every order and pool; False: none is in time.

    This is complete: shifting the jobs of any feasible schedule to the left, in the order of their starts,
    gives a schedule that placing them one by one as early as possible, in some order, also gives.
    """
    if len(asks) > EXHAUSTIVE:
        return False
    seen: set[frozenset[Placement]] = set()
    placed: list[Placement] = []

    def search(left: Sequence[Ask]) -> bool:
        if not left:
            return True
        state = frozenset(placed)
        if state in seen or len(seen) >= states:
            return False
        seen.add(state)
        ready = [ask for ask in left if board.is_ready(ask)]
        choices = {ask.job_id: _in_time(board, ask) for ask in ready}
        if not all(choices.values()):
            return False  # later bookings can only make it worse
        for ask in ready:
            for choice in choices[ask.job_id]:
                region, pool = choice.option.region, choice.option.pool
                board.put_at(ask, region, pool, choice.start_ms)
                placed.append((ask.job_id, region, pool, choice.start_ms))
                if search([other for other in left if other is not ask]):
                    return True
                placed.pop()
                board.take(ask.job_id)
        return False

    return search(asks)


def _in_time(board: Board, ask: Ask) -> list[Choice]:
    """The first start in each option that is in time."""
    if not board.is_ready(ask):
        return []
    return [
        Choice(option, option.first_ms)
        for option in board.options(ask)
        if option.allowed
        and option.first_ms is not None
        and (option.latest_ms is None or option.first_ms <= option.latest_ms)
    ]


def _polish(board: Board, asks: Sequence[Ask]) -> dict[int, Plan]:
    """Moves each job of a feasible schedule to its cleanest window in what the others leave free."""
    plans: dict[int, Plan] = {}
    for ask in asks:
        board.take(ask.job_id)
        placed = board.place(ask)
        assert isinstance(placed, Plan)  # noqa: S101 - the place that it had is free
        board.put(ask, placed)
        plans[ask.job_id] = placed
    return plans


def _fill(board: Board, asks: Sequence[Ask]) -> dict[int, Plan]:
    """Places jobs without a deadline in what is left."""
    plans: dict[int, Plan] = {}
    for ask in asks:
        placed = board.place(ask)
        if isinstance(placed, Plan):
            board.put(ask, placed)
            plans[ask.job_id] = placed
    return plans


def _clear(board: Board, job_ids: Sequence[int] | dict[int, Plan]) -> None:
    for job_id in job_ids:
        board.take(job_id)
