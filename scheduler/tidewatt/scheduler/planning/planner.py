"""Where and when one job runs: the cleanest window that its deadline and the free capacity allow, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.plan import Ask, Beside, Plan, Why, Window
from tidewatt.scheduler.planning import reasons
from tidewatt.scheduler.planning.choice import TIE, Choice, Option, choice_at, earliest, soonest, surest
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.planning.intensity import CostCurve, remarks, source
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.terms import FREE, Bounds, Terms, terms_of
from tidewatt.scheduler.planning.transfer import transfer_of
from tidewatt.scheduler.planning.weighing import Decision, cleanest, scale_of

__all__ = ["Choice", "Infeasible", "Option", "Policy", "decide", "place", "planned_at"]


@dataclass(frozen=True, slots=True)
class Infeasible:
    """A job that cannot meet its deadline: why, and the plan that finishes first; None: it fits nowhere."""

    job_id: int
    reason: str
    earliest: Plan | None


def decide(ask: Ask, options: Sequence[Option], now: datetime, policy: Policy) -> Plan:
    """The plan of one job; raises Refused, naming the earliest finish, where it cannot keep its deadline."""
    placed = place(ask, options, now, policy)
    if isinstance(placed, Infeasible):
        raise Refused(placed.reason)
    return placed


def place(
    ask: Ask, options: Sequence[Option], now: datetime, policy: Policy, bounds: Bounds = FREE
) -> Plan | Infeasible:
    """The plan of one job, or what stands against one; `options` were made with the same `bounds`."""
    policy = policy.of(ask)
    terms = terms_of(ask, now, policy.default_slack, bounds=bounds)
    firsts = _firsts(options)
    open_firsts = [first for first in firsts if first.option.allowed]
    if not open_firsts:
        return Infeasible(ask.job_id, reasons.nowhere(), None)
    in_time = [first for first in open_firsts if _by(first, first.option.latest_ms)]
    if not in_time:
        return _late(ask, terms, open_firsts, firsts, policy)
    if terms.at_once is not None and terms.at_once is not Why.GUARD:
        # a job without a deadline is best done early; of one whose length nobody knows only the start counts
        first = soonest(in_time) if terms.at_once is Why.NO_DEADLINE else earliest(in_time)
        decision = Decision(first, terms.at_once, reasons.AT_ONCE[terms.at_once])
    else:
        closed = [first for first in firsts if first.option.home and not first.option.allowed]
        decision = cleanest(in_time, ask, bounds, policy, earliest(closed) if closed else None)
    busy = reasons.long_queues([first.option for first in open_firsts if _only_queue(first)])
    decision = replace(decision, notes=(*decision.notes, *busy))
    return _plan(ask, terms, decision, firsts, policy)


def planned_at(
    ask: Ask,
    options: Sequence[Option],
    now: datetime,
    policy: Policy,
    region: str,
    pool: str,
    start_ms: int,
) -> Plan:
    """The plan of a start that was chosen with the whole queue in view, whether or not it is free.

    Raises:
        ValueError: none of the options is of that region and pool.
    """
    option = next((each for each in options if (each.region, each.pool) == (region, pool)), None)
    if option is None:
        raise ValueError(f"job {ask.job_id} cannot run in {region} on {pool or 'its CPUs'}")
    firsts = _firsts(options)
    choice = choice_at(option, start_ms)
    at_home = [first for first in firsts if first.option.home]
    at_once = earliest(at_home or firsts) if firsts else choice
    reference = choice_at(at_once.option, at_once.start_ms)
    why, reason = _seen_whole(choice, reference)
    terms = terms_of(ask, now, policy.default_slack)
    return _plan(ask, terms, Decision(choice, why, reason), firsts or [choice], policy)


def _seen_whole(choice: Choice, reference: Choice) -> tuple[Why, str]:
    if choice.cost is None or not reference.cost:
        return Why.CLEANEST, reasons.WHOLE_QUEUE
    if choice.cost < reference.cost * (1 - TIE):
        first_ms = choice.option.first_ms if choice.option.first_ms is not None else choice.start_ms
        both = scale_of(reference).second is not None and choice.second is not None
        return Why.CLEANEST, reasons.weighed(choice, first_ms, reference, both=both)
    if (choice.start_ms, choice.option.region) == (reference.start_ms, reference.option.region):
        return Why.NOW_IS_CLEANEST, reasons.NOW_IS_CLEANEST
    return Why.CLEANEST, reasons.LEAVES_CLEANER


def _firsts(options: Sequence[Option]) -> list[Choice]:
    return [Choice(option, option.first_ms) for option in options if option.first_ms is not None]


def _by(first: Choice, latest_ms: int | None) -> bool:
    return latest_ms is None or first.start_ms <= latest_ms


def _only_queue(first: Choice) -> bool:
    """True where a start is in time but for the wait in the engine's queue."""
    latest, wait = first.option.latest_ms, first.option.wait_ms
    return wait > 0 and latest is not None and latest < first.start_ms <= latest + wait


def _late(
    ask: Ask, terms: Terms, open_firsts: Sequence[Choice], firsts: Sequence[Choice], policy: Policy
) -> Plan | Infeasible:
    """What is left for a job that cannot surely keep its deadline: as soon as it fits, or nothing."""
    just = [first for first in open_firsts if _by(first, first.option.last_ms)]
    if just:
        surely = surest(just)
        decision = Decision(surely, Why.GUARD, reasons.used_up(surely.option.wait_ms, surely.option.region))
        return _plan(ask, terms, decision, firsts, policy)
    first = surest(open_firsts)
    plan = _plan(ask, terms, Decision(first, Why.LATE, reasons.late(ask, first.end_ms)), firsts, policy)
    if ask.late:
        return plan
    return Infeasible(ask.job_id, reasons.too_late(ask, first), plan)


def _plan(ask: Ask, terms: Terms, decision: Decision, firsts: Sequence[Choice], policy: Policy) -> Plan:
    """The plan in the words of `Plan`, with what starting at once at home would have been."""
    choice = decision.choice
    option, start, end = choice.option, choice.start_ms, choice.end_ms
    at_home = [first for first in firsts if first.option.home]
    at_once = earliest(at_home or firsts)
    notes = decision.notes
    if option.wait_ms >= reasons.TOLD_WAIT_MS and option.latest_ms is not None:
        notes = (*notes, reasons.queues(option.wait_ms, option.region))
    notes = (*notes, option.note) if option.note else notes
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
    choice = choice_at(option, start)
    if curve is None or choice.cost is None:
        return plan
    if option.moved_g:
        moved = transfer_of(ask, option.region, policy.link)
        whose = policy.link.between(ask.home, option.region).source
        notes = (*notes, reasons.moved(ask, moved, option.moved_g * ask.power_w / 1000, whose))
    if ask.power_steps:
        notes = (*notes, reasons.changing(ask.power_w * option.power, ask.peak_w * option.power))
    searched_to = end if terms.shift_ms is None else max(end, terms.shift_ms + terms.duration_ms)
    at_once = _by_signal(choice_at(at_once.option, at_once.start_ms), curve)
    mean, grams = _immediate(ask, at_once, curve)
    return replace(
        plan,
        signal=str(curve.kind.signal),
        note="; ".join((*remarks(curve, terms.earliest_ms, searched_to), *notes)),
        mean_gco2_per_kwh=option.mean(curve, start, end),
        expected_g=choice.cost * ask.power_w / 1000,
        sources=tuple(source(part) for part in curve.segments(start, end)),
        immediate_gco2_per_kwh=mean,
        immediate_g=grams,
        beside=_beside(ask, choice, at_once),
    )


def _by_signal(choice: Choice, curve: CostCurve) -> Choice:
    """The choice by its other signal, where that is the one of `curve`."""
    option = choice.option
    if option.curve is not None and option.curve.kind.continues(curve.kind):
        return choice
    if option.second is None or not option.second.kind.continues(curve.kind):
        return choice
    return choice_at(option.turned(), choice.start_ms)


def _immediate(ask: Ask, at_once: Choice, chosen: CostCurve) -> tuple[float | None, float | None]:
    """Mean intensity and grams of starting at once, where they are known in the same kind."""
    curve = at_once.option.curve
    if at_once.cost is None or curve is None or not curve.kind.continues(chosen.kind):
        return None, None
    mean = at_once.option.mean(curve, at_once.start_ms, at_once.end_ms)
    return mean, at_once.cost * ask.power_w / 1000


def _beside(ask: Ask, choice: Choice, at_once: Choice) -> Beside | None:
    """What the plan means by the other signal, where that is known for both starts."""
    here, home = choice.option.second, at_once.option.second
    if here is None or home is None or choice.second is None or at_once.second is None:
        return None
    if not home.kind.continues(here.kind):
        return None
    kw = ask.power_w / 1000
    return Beside(str(here.kind.signal), choice.second * kw, at_once.second * kw)
