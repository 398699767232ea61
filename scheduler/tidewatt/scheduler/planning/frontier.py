"""Carbon against delay and cost: the starts of one job of which none is better than another in everything."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import numpy as np

from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.draw import legs_of
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR, CostCurve, Times
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.search import TIE, Choice, Option, Scale, choice_at, earliest
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import terms_of
from tidewatt.scheduler.planning.weighing import scale_of

UNLIMITED = timedelta(days=2)  # how far ahead is looked for a job without any deadline


@dataclass(frozen=True, slots=True)
class Point:
    """A start that could be chosen. `later_ms` is how much later the job ends than it could have ended.

    `price` is of its electricity, in the operator's currency. `worth_g_per_h` is set on the points that some
    weight of an hour chooses: the highest weight, in grams per hour of delay, at which it still is; inf for
    the first.
    """

    region: str
    pool: str
    start_ms: int
    end_ms: int
    later_ms: int
    expected_g: float
    price: float
    worth_g_per_h: float | None = None


@dataclass(frozen=True, slots=True)
class Frontier:
    """The non-dominated points by delay, what starting at once at home emits, and what the policy chooses.

    `chosen` is None where the plan is not among starts that can be compared: nothing is known of the grid.
    """

    points: tuple[Point, ...]
    immediate_g: float | None
    chosen: Point | None
    plan: Plan
    g_per_hour: float
    g_per_price: float


def frontier(ask: Ask, situation: Situation) -> Frontier | Infeasible:
    """What can be had for which delay and price, in the regions and at the times that are open to the job.

    One without a deadline is looked at for two days.
    """
    board = Board(situation)
    plan = board.place(ask)
    if isinstance(plan, Infeasible):
        return plan
    kw = ask.power_w / 1000
    options = board.options(_waiting(ask, situation))
    reference = _reference(options)
    found = [
        point
        for option in options
        if option.allowed and reference is not None and _comparable(option, reference)
        for point in _points(option, kw, scale_of(reference))
    ]
    soonest = min((point.end_ms for point in found), default=0)
    chosen = _of_plan(plan, options, kw, soonest) if found else None
    points = _undominated([_later(point, soonest) for point in found] + ([chosen] if chosen else []))
    policy = situation.policy.of(ask)
    return Frontier(
        tuple(_worth(points)), plan.immediate_g, chosen, plan, policy.g_per_hour, policy.g_per_price
    )


def _reference(options: Sequence[Option]) -> Choice | None:
    """What others are compared with: the first room at home, else anywhere, where the grid is known."""
    firsts = [choice_at(option, option.first_ms) for option in options if option.first_ms is not None]
    known = [first for first in firsts if first.cost is not None]
    return earliest([first for first in known if first.option.home] or known) if known else None


def _comparable(option: Option, reference: Choice) -> bool:
    """True where the region's series is of the reference's kind."""
    own, other = option.curve, reference.option.curve
    return own is not None and other is not None and own.kind.continues(other.kind)


def _waiting(ask: Ask, situation: Situation) -> Ask:
    """The job as one that may wait, also where it would start at once."""
    terms = terms_of(ask, situation.now, situation.policy.default_slack)
    if terms.shift_ms is not None:
        return ask
    start_by = ask.start_by
    if terms.latest_ms is None:
        start_by = situation.now + UNLIMITED
    return replace(ask, start_by=start_by, at_once=False, duration_source="")


def _points(option: Option, kw: float, scale: Scale) -> Iterator[Point]:
    """The corners of the grams over the start: no start between two of them is better than both.

    Where both signals decide, only those at which neither is worse than the reference's.
    """
    assert option.curve is not None  # noqa: S101 - others are not compared
    binding = option.second if option.binds and scale.second is not None else None
    starts = _corners(option, [option.curve, *([binding] if binding else [])])
    grams = option.factor * option.integral(option.curve, starts) + option.moved_g
    fits = np.ones(len(starts), np.bool_)
    if scale.second is not None:
        fits &= grams <= scale.first * (1 + TIE) + option.rough * option.curve.noise
    if binding is not None and scale.second is not None:
        other = option.factor * option.integral(binding, starts) + option.moved_second_g
        fits &= other <= scale.second * (1 + TIE) + option.rough * binding.noise
    found = starts[fits], grams[fits], option.prices_at(starts[fits])
    for start, each, price in zip(*(column.tolist() for column in found), strict=True):
        end = start + option.duration_ms
        yield Point(option.region, option.pool, start, end, 0, kw * each, kw * price)


def _corners(option: Option, curves: Sequence[CostCurve]) -> Times:
    duration = option.duration_ms
    first = max(curve.start_ms for curve in curves)
    latest = min(curve.end_ms for curve in curves) - duration
    latest = latest if option.shift_ms is None else min(latest, option.shift_ms)
    changes = [] if option.money is None else [option.money.edges_ms]
    edges = np.concatenate([*(curve.edges_ms for curve in curves), *changes])
    borders = [0, duration, *(begin for begin, _, _ in legs_of(option.steps, duration) if begin)]
    starts = np.concatenate(
        [*(edges - border for border in borders), [low for low, _ in option.free], [latest]]
    )
    starts = starts.astype(np.int64)
    fits = np.zeros(len(starts), np.bool_)
    for low, high in option.free:
        fits |= (starts >= max(low, first)) & (starts + duration <= high)
    return np.unique(starts[fits & (starts <= latest)])


def _later(point: Point, soonest_ms: int) -> Point:
    return replace(point, later_ms=point.end_ms - soonest_ms)


def _undominated(points: Sequence[Point]) -> list[Point]:
    """Those of which no other is at least as soon, as clean and as cheap, and better in one of it."""
    prices = sorted({point.price for point in points})
    rank = {price: index + 1 for index, price in enumerate(prices)}
    cleanest = np.full(len(prices), np.inf)  # seen so far, at each price
    kept: list[Point] = []
    for point in sorted(points, key=lambda each: (each.later_ms, each.expected_g, each.price)):
        if cleanest[: rank[point.price]].min() > point.expected_g * (1 + TIE):
            kept.append(point)
            cleanest[rank[point.price] - 1] = point.expected_g
    return kept


def _worth(points: Sequence[Point]) -> list[Point]:
    """The points, with the weight of an hour on those of the lower convex hull, money left out.

    A point above the line between two others is never the least of grams + weight x hours.
    """
    hull: list[Point] = []
    for point in points:
        if hull and point.expected_g >= hull[-1].expected_g:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], point):
            hull.pop()
        hull.append(point)
    weights = [*([np.inf] if hull else []), *(_slope(before, after) for before, after in pairwise(hull))]
    chosen = {id(point): weight for point, weight in zip(hull, weights, strict=True)}
    return [replace(point, worth_g_per_h=chosen.get(id(point))) for point in points]


def _slope(before: Point, after: Point) -> float:
    """Grams saved per hour of further delay."""
    hours = (after.later_ms - before.later_ms) / MS_PER_HOUR
    return (before.expected_g - after.expected_g) / hours if hours > 0 else np.inf


def _of_plan(plan: Plan, options: Sequence[Option], kw: float, soonest_ms: int) -> Point | None:
    """The point of the plan, which need not be on the frontier: its policy may ask for more than carbon."""
    if plan.expected_g is None:
        return None
    start, end = floor_ms(plan.window.start), floor_ms(plan.window.end)
    mine = [each for each in options if (each.region, each.pool) == (plan.region, plan.pool)]
    price = kw * mine[0].price_at(start, end) if mine else 0.0
    return Point(plan.region, plan.pool, start, end, end - soonest_ms, plan.expected_g, price)
