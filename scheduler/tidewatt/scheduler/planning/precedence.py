"""The order of jobs that wait for each other, and whose turn it is among those that do not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.kinds import fastest
from tidewatt.scheduler.planning.terms import latest_start_ms

Turn = tuple[float | int, ...]


def followers(asks: Iterable[Ask]) -> dict[int, list[Ask]]:
    """Of each job that others wait for, by id, those others."""
    found: dict[int, list[Ask]] = {}
    for ask in asks:
        for job_id in ask.after:
            found.setdefault(job_id, []).append(ask)
    return found


def dues(asks: Sequence[Ask], speed: Callable[[Ask], float] = fastest) -> dict[int, int]:
    """The last end in Unix milliseconds by which what follows keeps its deadline, by id of who goes before.

    Those that follow are taken to run at this `speed`: without one as fast as the best kind that they name,
    whether there is any or not.
    """
    after = followers(asks)
    if not after:
        return {}
    found: dict[int, int] = {}
    for ask in reversed(in_order(asks)):
        starts = [
            start
            for each in after.get(ask.job_id, ())
            if (start := _latest(each, found, speed(each))) is not None
        ]
        if starts:
            found[ask.job_id] = min(starts)
    return found


def descendants(job_id: int, asks: Sequence[Ask]) -> set[int]:
    """Ids of all that wait for a job, directly or not."""
    after, found, left = followers(asks), set[int](), [job_id]
    while left:
        for each in after.get(left.pop(), ()):
            if each.job_id not in found:
                found.add(each.job_id)
                left.append(each.job_id)
    return found


def in_order(asks: Sequence[Ask], turn: Callable[[Ask], Turn] | None = None) -> list[Ask]:
    """The jobs by turn (as given, without one), but none before those after which it runs.

    Jobs that wait for each other in a circle come last.
    """
    ranked = list(asks) if turn is None else sorted(asks, key=turn)
    ids = {ask.job_id for ask in ranked}
    missing = {ask.job_id: len(set(ask.after) & ids) for ask in ranked if ask.after}
    if not any(missing.values()):
        return ranked
    after = followers(ranked)
    rank = {ask.job_id: i for i, ask in enumerate(ranked)}
    ready = [rank[ask.job_id] for ask in ranked if not missing.get(ask.job_id)]
    heapify(ready)
    ordered = []
    while ready:
        ask = ranked[heappop(ready)]
        ordered.append(ask)
        for each in after.get(ask.job_id, ()):
            missing[each.job_id] -= 1
            if not missing[each.job_id]:
                heappush(ready, rank[each.job_id])
    done = {ask.job_id for ask in ordered}
    return ordered + [ask for ask in ranked if ask.job_id not in done]


def priorities(asks: Sequence[Ask]) -> dict[int, int]:
    """The priority of each job by id: its own, or that of what waits for it where that is higher."""
    found = {ask.job_id: ask.priority for ask in asks}
    if any(ask.after for ask in asks):
        for ask in reversed(in_order(asks)):
            for job_id in ask.after:
                if job_id in found:
                    found[job_id] = max(found[job_id], found[ask.job_id])
    return found


def turns(
    asks: Sequence[Ask], shares: Mapping[str, float], speed: Callable[[Ask], float] = fastest
) -> dict[int, Turn]:
    """Whose turn it is, by id: higher priority, then who used less, then the earliest latest start.

    Those without a deadline come after those with one, in the order of submission.
    """
    needed, urgent = dues(asks, speed), priorities(asks)
    found: dict[int, Turn] = {}
    for ask in asks:
        latest = _latest(ask, needed)
        found[ask.job_id] = (
            -urgent[ask.job_id],
            shares.get(ask.project, shares.get(ask.user, 0.0)) if shares else 0.0,
            latest is None,
            floor_ms(ask.submitted) if latest is None else latest,
            ask.job_id,
        )
    return found


def _latest(ask: Ask, needed: Mapping[int, int], speed: float = 1.0) -> int | None:
    """The last start that keeps the deadlines of the job and of what follows."""
    return latest_start_ms(ask, speed, needed.get(ask.job_id))
