"""The plan of one job that may be interrupted, for backends that can pause."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from tidewatt.scheduler.plan import Ask, Pausing, Plan, Stint, Why, Window
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, moment
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR
from tidewatt.scheduler.planning.pausing.evaluation import cost_of
from tidewatt.scheduler.planning.pausing.programme import best_stints
from tidewatt.scheduler.planning.pausing.work import Flags, Ints, Stints, Track, Work
from tidewatt.scheduler.planning.planner import Infeasible, place
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.search import Option
from tidewatt.scheduler.planning.transfer import transfer_of

SLOTS_MS = (300_000, 900_000, 3_600_000)  # the finest with which there are at most
MOST_SLOTS = 2_500


def stints_plan(ask: Ask, options: Sequence[Option], now: datetime, policy: Policy) -> Plan | Infeasible:
    """The plan with pauses where these save `min_saving` against running in one piece, else that piece.

    Only grams decide where pauses are: prices and delays are not weighed. A job without a deadline or a known
    length, and one that two signals decide on, runs in one piece. Stretches that are free for part of a slot
    only are used by one piece, not by stints.
    """
    policy = policy.of(ask)
    whole = place(ask, options, now, policy)
    pausing = ask.pausing
    if pausing is None or any(option.binds and option.second is not None for option in options):
        return whole
    places = [each for each in options if _open(each, options)]
    work = _work(ask, places, now, policy, pausing) if places else None
    found = None if work is None else best_stints(work)
    if work is None or found is None or len(found.parts) < 2:
        return whole
    if isinstance(whole, Plan) and whole.expected_g is not None:
        if not found.cost_g < whole.expected_g * (1 - max(policy.min_saving, 1e-9)):
            return whole
    elif isinstance(whole, Plan):
        return whole
    return _with_stints(ask, whole, places, work, found)


def grams_of(ask: Ask, plan: Plan, options: Sequence[Option], now: datetime, policy: Policy) -> float | None:
    """What a plan with stints costs by what is known now; None where that is not known of all of it."""
    pausing = ask.pausing
    places = [each for each in options if _open(each, options)]
    work = None if pausing is None or not places else _work(ask, places, now, policy, pausing)
    at = {(each.region, each.pool): index for index, each in enumerate(places)}
    if work is None or any((part.region, part.pool) not in at for part in plan.stints):
        return None
    parts = tuple(
        (at[part.region, part.pool], floor_ms(part.window.start), ceil_ms(part.window.end))
        for part in plan.stints
    )
    if parts[0][1] < work.edges_ms[0] or parts[-1][2] > work.edges_ms[-1]:
        return None
    grams = cost_of(work, parts)
    return grams if np.isfinite(grams) else None


def _open(option: Option, options: Sequence[Option]) -> bool:
    """True for places that may be used, of which the grid is known in the kind that decides."""
    curves = [each.curve for each in sorted(options, key=lambda each: not each.home) if each.curve]
    known = option.curve is not None and option.curve.kind.continues(curves[0].kind)
    return option.allowed and known and option.shift_ms is not None


def _work(ask: Ask, places: Sequence[Option], now: datetime, policy: Policy, pausing: Pausing) -> Work | None:
    """The job over equal slots until it may end at the latest, the margin before its deadline kept."""
    release = max(ceil_ms(now), ceil_ms(ask.release) if ask.release is not None else 0)
    dues = [each.shift_ms + each.duration_ms for each in places if each.shift_ms is not None]
    due = max(dues) - (length_ms(policy.margin) if ask.finish_by is not None else 0)
    width = next((each for each in SLOTS_MS if (due - release) // each < MOST_SLOTS), SLOTS_MS[-1])
    after = (release // width + 1) * width
    edges = np.concatenate(([release], np.arange(after, due + width, width, dtype=np.int64)))
    if due <= release or len(edges) < 3:
        return None
    kw = ask.power_w / 1000
    tracks = [_track(ask, each, edges, kw, policy) for each in places]
    return Work(edges, tracks, length_ms(ask.duration), kw, release, due, pausing, ask.home, ask.power_steps)


def _track(ask: Ask, option: Option, edges: Ints, kw: float, policy: Policy) -> Track:
    curve = option.curve
    assert curve is not None  # noqa: S101 - only places with a known grid come here
    starts, ends = edges[:-1], edges[1:]
    known = (starts >= curve.start_ms) & (ends <= curve.end_ms)
    cost = np.full(len(starts), np.inf)
    grams = option.pue * curve.integral(starts[known], ends[known])
    cost[known] = grams * MS_PER_HOUR / (ends - starts)[known]
    free: Flags = np.zeros(len(starts), np.bool_)
    for begin, end in option.free:
        free |= (starts >= begin) & (ends <= end)
    arrive_ms = transfer_of(ask, option.region, policy.link).ms
    return Track(
        option.region, option.pool, cost, free, option.speed, option.power, arrive_ms, option.moved_g * kw
    )


def _with_stints(
    ask: Ask, whole: Plan | Infeasible, places: Sequence[Option], work: Work, found: Stints
) -> Plan:
    """The plan in the words of `Plan`."""
    stints = tuple(
        Stint(places[track].region, places[track].pool, Window(moment(start), moment(end)))
        for track, start, end in found.parts
    )
    total = sum(end - start for _, start, end in found.parts)
    mean = 0.0
    for track, start, end in found.parts:
        curve = places[track].curve
        assert curve is not None  # noqa: S101 - only places with a known grid come here
        mean += curve.mean(start, end) * (end - start) / total
    pauses = f"{len(stints) - 1} pause{'s' * (len(stints) > 2)}"
    base = whole if isinstance(whole, Plan) else whole.earliest
    if base is None:
        base = Plan(ask.job_id, "", "", stints[0].window, Why.CLEANEST, "")
    reason = f"runs in {len(stints)} stints, with {pauses} in dirty hours"
    if isinstance(whole, Plan) and whole.expected_g:
        reason += f": {1 - found.cost_g / whole.expected_g:.0%} less than in one piece"
    elif isinstance(whole, Infeasible):
        reason = f"fits before its deadline only with {pauses}"
    curve = places[found.parts[0][0]].curve
    return replace(
        base,
        region=stints[-1].region,
        pool=stints[-1].pool,
        window=Window(stints[0].window.start, stints[-1].window.end),
        why=Why.CLEANEST,
        reason=reason,
        signal=str(curve.kind.signal) if curve is not None else "",
        mean_gco2_per_kwh=None if ask.power_steps else mean,
        expected_g=found.cost_g,
        beside=None,
        stints=stints,
    )
