"""The starts at which a window's emissions may be least, and what it emits then."""

from collections.abc import Sequence

import numpy as np

from tidewatt.scheduler.planning.intensity import Amounts, CostCurve, Times

Corners = tuple[Times, Amounts]
FEW = 3  # so many are looked up one by one more quickly than together


def corners(
    curve: CostCurve, low_ms: int, high_ms: int, duration_ms: int, others_ms: Sequence[int] = ()
) -> Corners:
    """The starts in `[low_ms, high_ms]` at which a window starts or ends on an edge, and its grams per kW.

    All windows lie within the curve, also those that start at `others_ms`, which come with them. Where steps
    are equal, all windows that start on an edge end at the same place within a step, so that nothing needs
    to be looked up for each.
    """
    edges = curve.edges_ms
    first, first_end = edges.searchsorted((low_ms, low_ms + duration_ms), "left").tolist()
    last, last_end = edges.searchsorted((high_ms, high_ms + duration_ms), "right").tolist()
    if not curve.step_ms:
        starts = np.concatenate((edges[first:last], edges[first_end:last_end] - duration_ms, others_ms))
        starts = starts.astype(np.int64, copy=False)
        return starts, curve.integral(starts, starts + duration_ms)
    whole, rest = divmod(duration_ms, curve.step_ms)
    cut, (since, until) = rest > 0, curve.even
    a = max(first, since)
    b = max(a, min(last, until - whole + 1 - cut))
    c = max(first_end, since + whole + cut)
    d = max(c, min(last_end, until + 1))
    odd = [*others_ms, *edges[first : min(a, last)].tolist(), *edges[max(b, first) : last].tolist()]
    odd += (edges[first_end : min(c, last_end)] - duration_ms).tolist()
    odd += (edges[max(d, first_end) : last_end] - duration_ms).tolist()
    few = _looked_up(curve, odd, duration_ms)
    starting = _starting(curve, a, b, whole, rest / curve.step_ms)
    if not rest:  # those that end on an edge start on one too
        return np.concatenate((starting[0], few[0])), np.concatenate((starting[1], few[1]))
    ending = _ending(curve, c, d, duration_ms, rest / curve.step_ms)
    return (
        np.concatenate((starting[0], ending[0], few[0])),
        np.concatenate((starting[1], ending[1], few[1])),
    )


def _looked_up(curve: CostCurve, starts: Sequence[int], duration_ms: int) -> Corners:
    at = np.array(starts, np.int64)
    if len(starts) > FEW:
        return at, curve.integral(at, at + duration_ms)
    return at, np.array([curve.grams_per_kw(start, start + duration_ms) for start in starts], float)


def _starting(curve: CostCurve, a: int, b: int, whole: int, part: float) -> Corners:
    """Windows that start on the edges from `a` to before `b` and last for `whole` steps and a part of one."""
    until = curve.cumulative
    ends = until[a + whole : b + whole]
    if part:
        ends = ends + part * (until[a + whole + 1 : b + whole + 1] - ends)
    return curve.edges_ms[a:b], ends - until[a:b]


def _ending(curve: CostCurve, c: int, d: int, duration_ms: int, part: float) -> Corners:
    """Windows that end on the edges from `c` to before `d`."""
    until, whole = curve.cumulative, duration_ms // curve.step_ms
    starts = until[c - whole : d - whole]
    starts = starts - part * (starts - until[c - whole - 1 : d - whole - 1])
    return curve.edges_ms[c:d] - duration_ms, until[c:d] - starts
