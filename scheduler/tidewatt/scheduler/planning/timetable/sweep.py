"""Whether what is held ever exceeds what there is, at any instant."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import Amounts, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Amounts that are held of some thing, numbered `key`, over `[start_ms, end_ms)`."""

    key: Ints
    start_ms: Ints
    end_ms: Ints
    amount: Amounts


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing of which more is held than there is: the worst moment, and how many others there are."""

    key: int
    at_ms: int
    used: float
    limit: float
    others: int


def breaches(held: Events, edges_ms: Ints, limit: Amounts) -> Iterator[Breach]:
    """The things of which more is held than `limit`, `(things, slots)`, allows; nothing is free outside."""
    things, slots = limit.shape
    steps = np.diff(limit, axis=1, prepend=0.0, append=0.0)
    at_edges = np.tile(edges_ms, things)
    key = np.concatenate((np.repeat(np.arange(things), slots + 1), held.key, held.key))
    time = np.concatenate((at_edges, held.start_ms, held.end_ms))
    free = np.concatenate((steps.ravel(), -held.amount, held.amount))
    used = np.concatenate((np.zeros(steps.size), held.amount, -held.amount))
    order = np.lexsort((time, key))
    key, time = key[order], time[order]
    left, using = np.cumsum(free[order]), np.cumsum(used[order])
    last = np.append((key[1:] != key[:-1]) | (time[1:] != time[:-1]), True)  # of the events of an instant
    slack = 1e-9 * (1.0 + float(np.abs(held.amount).sum()) + float(np.abs(limit).max(initial=0.0)))
    short = last & (left < -slack)
    for thing in np.unique(key[short]).tolist():
        moments = np.flatnonzero(short & (key == thing))
        worst = moments[np.argmin(left[moments])]
        yield Breach(
            thing, int(time[worst]), float(using[worst]), float(left[worst] + using[worst]), len(moments) - 1
        )
