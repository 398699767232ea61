"""Where and when one job runs: the cleanest window that its deadline and the free capacity allow, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tidewatt.forecasting.kind import Kind
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.plan import Ask, Plan, Why, Window
from tidewatt.scheduler.planning import reasons
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.instants import length_ms, moment
from tidewatt.scheduler.planning.intensity import CostCurve, remarks, source
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.search import TIE, Choice, Option, best_start, choice_at, earliest
from tidewatt.scheduler.planning.terms import Terms, allowed, terms_of

__all__ = ["Choice", "Infeasible", "Option", "Policy", "best_start", "decide", "options_of", "place"]


@dataclass(frozen=True, slots=True)
class Infeasible:
    """A job that cannot meet its deadline: why, and the plan that finishes first; None: it fits nowhere."""

    job_id: int
    reason: str
    earliest: Plan | None


@dataclass(frozen=True, slots=True)
class _Decision:
    """A choice, why it was made, and what it is compared with."""

    choice: Choice
    why: Why
    reason: str
    notes: tuple[str, ...] = ()
    kind: Kind | None = None


def options_of(
    ask: Ask, timelines: Sequence[Timeline], curves: Sequence[CostCurve | None], earliest_ms: int
) -> list[Option]:
    """Every pool that could hold the job, in the order of the regions; home even if only for comparison."""
    return [
        Option(
            timeline.region.name,
            pool,
            curve,
            timeline.region.pue,
            timeline.free(ask.need, pool, earliest_ms),
            timeline.region.name == ask.home,
            allowed(ask, timeline.region.name),
        )
        for timeline, curve in zip(timelines, curves, strict=True)
        if timeline.region.name == ask.home or allowed(ask, timeline.region.name)
        for pool in timeline.pools_for(ask.need)
    ]


def decide(ask: Ask, options: Sequence[Option], now: datetime, policy: Policy) -> Plan:
    """The plan of one job; raises Refused, naming the earliest finish, where it cannot keep its deadline."""
    placed = place(ask, options, now, policy)
    if isinstance(placed, Infeasible):
        raise Refused(placed.reason)
    return placed


def place(ask: Ask, options: Sequence[Option], now: datetime, policy: Policy) -> Plan | Infeasible:
    """The plan of one job, or what stands against one."""
    terms = terms_of(ask, now, policy.default_slack)
    firsts = [
        Choice(option, start)
        for option in options
        if (start := option.first_start(terms.duration_ms)) is not None
    ]
    open_firsts = [first for first in firsts if first.option.allowed]
    if not open_firsts:
        return Infeasible(ask.job_id, reasons.nowhere(), None)
    in_time = [first for first in open_firsts if terms.latest_ms is None or first.start_ms <= terms.latest_ms]
    if not in_time:
        soonest = earliest(open_firsts)
        decision = _Decision(soonest, Why.LATE, reasons.late(ask, soonest.start_ms + terms.duration_ms))
        plan = _plan(ask, terms, decision, firsts)
        refusal = reasons.too_late(ask, soonest.option.region, soonest.start_ms, terms.duration_ms)
        return plan if ask.late else Infeasible(ask.job_id, refusal, plan)
    if terms.at_once is not None:
        decision = _Decision(earliest(in_time), terms.at_once, reasons.AT_ONCE[terms.at_once])
        return _plan(ask, terms, decision, firsts)
    return _plan(ask, terms, _cleanest(in_time, terms, policy), firsts)


def _cleanest(in_time: Sequence[Choice], terms: Terms, policy: Policy) -> _Decision:
    """The cleanest choice, unless it is not worth waiting or moving for."""
    latest = _latest_start(in_time, terms, length_ms(policy.margin))
    firsts = [
        choice_at(first.option, first.start_ms, terms.duration_ms)
        for first in in_time
        if first.start_ms <= latest
    ] or [earliest(in_time)]  # a default slack that is used up: as soon as it fits
    kind = _deciding_kind(firsts, policy.signal)
    if kind is None:
        return _Decision(earliest(firsts), Why.NO_SIGNAL, reasons.no_signal(firsts))
    compared: list[Choice] = []
    others: list[Choice] = []
    for first in firsts:
        (compared if first.cost is not None and _same(first.option.curve, kind) else others).append(first)
    notes = reasons.left_out([first.option for first in others], kind)
    reference = earliest([first for first in compared if first.option.home] or compared)
    choice, why, reason = _weigh(compared, reference, terms, latest, policy)
    return _Decision(choice, why, reason, notes, kind)


def _weigh(
    compared: Sequence[Choice], reference: Choice, terms: Terms, latest: int, policy: Policy
) -> tuple[Choice, Why, str]:
    """The cleanest start against `reference`, the first feasible one."""
    options = [first.option for first in compared]
    bound = (reference.cost or 0.0) * (1 + TIE)
    stay = earliest([first for first in compared if first.cost is not None and first.cost <= bound])
    min_wait = length_ms(policy.min_wait)
    best = best_start(options, terms.duration_ms, latest, min_wait) or stay
    saving = _saving(best, reference)
    if saving >= policy.min_saving and saving > TIE:
        first = next(first for first in compared if first.option is best.option)
        return best, Why.CLEANEST, reasons.cleanest(best, first.start_ms, reference, saving)
    if best.start_ms < stay.start_ms:
        return best, Why.CLEANEST, reasons.sooner(best, reference)
    near = best_start(options, terms.duration_ms, latest) if min_wait else None
    if near is not None and _saving(near, reference) > max(policy.min_saving, TIE):
        return stay, Why.NOTHING_TO_GAIN, reasons.too_soon(near.start_ms - stay.start_ms, min_wait)
    if saving > TIE:
        return stay, Why.NOTHING_TO_GAIN, reasons.too_little(saving, policy.min_saving)
    return stay, Why.NOW_IS_CLEANEST, reasons.NOW_IS_CLEANEST


def _latest_start(in_time: Sequence[Choice], terms: Terms, margin_ms: int) -> int:
    """How late the job may be shifted: `margin` before the last possible start where that can be."""
    assert terms.shift_ms is not None  # noqa: S101 - jobs that start at once were handled before
    careful = terms.shift_ms - margin_ms
    return careful if any(first.start_ms <= careful for first in in_time) else terms.shift_ms


def _deciding_kind(firsts: Sequence[Choice], signal: str) -> Kind | None:
    """Home's kind, else one of the policy's signal, else the first known."""
    kinds = [
        (not first.option.home, first.option.curve.kind.signal != signal, i, first.option.curve.kind)
        for i, first in enumerate(firsts)
        if first.option.curve is not None and first.cost is not None
    ]
    return min(kinds, key=lambda ranked: ranked[:3])[3] if kinds else None


def _same(curve: CostCurve | None, kind: Kind) -> bool:
    return curve is not None and curve.kind.continues(kind)


def _saving(choice: Choice, reference: Choice) -> float:
    """Share of the reference's grams that the choice saves."""
    if not reference.cost or choice.cost is None:
        return 0.0
    return 1.0 - choice.cost / reference.cost


def _plan(ask: Ask, terms: Terms, decision: _Decision, firsts: Sequence[Choice]) -> Plan:
    """The plan in the words of `Plan`, with what starting at once at home would have been."""
    option, start = decision.choice.option, decision.choice.start_ms
    end = start + terms.duration_ms
    at_home = [first for first in firsts if first.option.home]
    at_once = earliest(at_home or firsts)
    notes = decision.notes
    if not at_home:
        notes = (*notes, reasons.not_at_home(ask.home, at_once.option.region))
    plan = Plan(
        job_id=ask.job_id,
        region=option.region,
        pool=option.pool,
        window=Window(moment(start), moment(end)),
        why=decision.why,
        reason=decision.reason,
        note="; ".join(notes),
        immediate_start=moment(at_once.start_ms),
    )
    curve = option.curve
    if curve is None or not curve.covers(start, end):
        return plan
    searched_to = end if terms.shift_ms is None else max(end, terms.shift_ms + terms.duration_ms)
    plan = replace(
        plan,
        signal=str(curve.kind.signal),
        note="; ".join((*remarks(curve, terms.earliest_ms, searched_to), *notes)),
        mean_gco2_per_kwh=curve.mean(start, end),
        expected_g=option.pue * curve.grams_per_kw(start, end) * ask.power_w / 1000,
        sources=tuple(source(part) for part in curve.segments(start, end)),
    )
    at_once = choice_at(at_once.option, at_once.start_ms, terms.duration_ms)
    return _with_immediate(plan, ask, at_once, curve.kind, terms.duration_ms)


def _with_immediate(plan: Plan, ask: Ask, at_once: Choice, kind: Kind, duration_ms: int) -> Plan:
    """The plan with the grams of starting at once, where they are known in the same kind."""
    curve = at_once.option.curve
    if at_once.cost is None or curve is None or not curve.kind.continues(kind):
        return plan
    return replace(
        plan,
        immediate_gco2_per_kwh=curve.mean(at_once.start_ms, at_once.start_ms + duration_ms),
        immediate_g=at_once.cost * ask.power_w / 1000,
    )
