"""The waiting jobs of a situation as one problem in arrays, and a timetable of it as plans.

Jobs whose draw changes while they run are no part of it: the arrays know one draw a job. Where they have a
plan, that is booked; the bound does without it, and so holds for the others wherever these run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tidewatt.scheduler.plan import Ask, Plan, Stint, Why, Window
from tidewatt.scheduler.planning import reasons
from tidewatt.scheduler.planning.barring import is_singular
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, moment
from tidewatt.scheduler.planning.intensity import CostCurve, curve_of, remarks, source
from tidewatt.scheduler.planning.search import TIE, Choice, Option, choice_at
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import Terms, terms_of
from tidewatt.scheduler.planning.timetable.certificate import certify
from tidewatt.scheduler.planning.timetable.interrupted import stints_grams
from tidewatt.scheduler.planning.timetable.problem import (
    NOWHERE,
    Amounts,
    Certificate,
    Flags,
    Ints,
    Places,
    Problem,
    Timetable,
)
from tidewatt.scheduler.planning.timetable.slots import (
    cost,
    edges_from,
    is_due,
    most_units,
    node_units,
    second,
    sites,
    units,
)
from tidewatt.scheduler.planning.timetable.windows import Prices
from tidewatt.scheduler.planning.timetable.wishes import jobs_of, menus_of
from tidewatt.scheduler.region import Region


@dataclass(frozen=True, slots=True, eq=False)
class Situated:
    """A problem, the asks that its jobs stand for, and the curve of each place.

    `problem` has what is surely free, in whole slots, `relaxed` what could at most be used: bounds proved for
    it hold for every plan, also for those that start within a slot.
    """

    problem: Problem
    relaxed: Problem
    asks: tuple[Ask, ...]
    terms: tuple[Terms, ...]
    regions: tuple[Region, ...]  # of each place
    curves: tuple[CostCurve, ...]

    def timetable(self, plans: Mapping[int, object]) -> Timetable:
        """The timetable that plans amount to; who is not planned for one of the places is nowhere."""
        at = {place: index for index, place in enumerate(self.problem.places.names)}
        place = np.full(len(self.asks), NOWHERE, np.int64)
        start = np.zeros(len(self.asks), np.int64)
        stints: dict[int, tuple[tuple[int, int, int], ...]] = {}
        now = int(self.problem.places.edges_ms[0])
        for index, ask in enumerate(self.asks):
            plan = plans.get(ask.job_id)
            if not isinstance(plan, Plan):
                continue
            parts: Sequence[Plan | Stint] = plan.stints or (plan,)
            if any((part.region, part.pool) not in at for part in parts):
                continue
            place[index] = at[parts[-1].region, parts[-1].pool]
            start[index] = max(floor_ms(plan.window.start), now)
            if plan.stints:
                stints[index] = tuple(
                    (at[each.region, each.pool], floor_ms(each.window.start), floor_ms(each.window.end))
                    for each in plan.stints
                )
        return Timetable(place, start, stints)

    def certificate(self, plans: Mapping[int, object], prices: Prices | None) -> Certificate:
        """How good plans of this queue are; `prices` may be any: the bound holds all the same.

        Where the forecast has steps shorter than a slot, the bound takes the lowest of each slot, and the
        plans cost what the slots cost on average.
        """
        timetable = self.timetable(plans)
        proof = certify(self.relaxed, timetable, prices)
        if np.array_equal(self.relaxed.places.cost, self.problem.places.cost):
            return proof
        priced = certify(replace(self.relaxed, places=self._averaged()), timetable, None)
        bound = min(proof.bound_g, priced.cost_g)
        return replace(proof, cost_g=priced.cost_g, immediate_g=priced.immediate_g, bound_g=bound)

    def _averaged(self) -> Places:
        return replace(self.relaxed.places, cost=self.problem.places.cost)

    def plans(self, timetable: Timetable, immediate: Timetable) -> dict[int, Plan]:
        """A plan for each job that has a place; `immediate` is what it is compared with."""
        found = {}
        for index in np.flatnonzero(timetable.place != NOWHERE).tolist():
            plan = self._plan(index, timetable, immediate)
            parts = timetable.stints.get(index)
            found[plan.job_id] = plan if parts is None else self._paused(plan, index, parts)
        return found

    def _paused(self, plan: Plan, index: int, parts: Sequence[tuple[int, int, int]]) -> Plan:
        """The plan of a job with pauses, from that of the same job in one piece."""
        names = self.problem.places.names
        stints = tuple(
            Stint(*names[place], Window(moment(start), moment(end))) for place, start, end in parts
        )
        grams = stints_grams(self.problem, index, parts)
        immediate_g = plan.immediate_g
        less = f": {1 - grams / immediate_g:.0%} less than starting at once" if immediate_g else ""
        return replace(
            plan,
            window=Window(stints[0].window.start, stints[-1].window.end),
            why=Why.CLEANEST,
            reason=f"runs in {len(stints)} stints in the cleanest hours{less}",
            mean_gco2_per_kwh=None,
            expected_g=grams,
            stints=stints,
        )

    def _choice(self, index: int, timetable: Timetable) -> tuple[Choice, int]:
        """A job's start as a choice, and how long it takes there (ms)."""
        place, start = int(timetable.place[index]), int(timetable.start_ms[index])
        jobs, menus = self.problem.jobs, self.problem.menus
        menu = int(jobs.menu[index])
        duration = -int(-int(jobs.work_ms[index]) // float(menus.speed[menu, place]))
        region, pool = self.problem.places.names[place]
        option = Option(region, pool, self.curves[place], self.regions[place].pue, ())
        made = choice_at(option, start, duration)
        power = float(menus.power[menu, place])
        return (made if made.cost is None else replace(made, cost=made.cost * power)), duration

    def _plan(self, index: int, timetable: Timetable, immediate: Timetable) -> Plan:
        ask, terms = self.asks[index], self.terms[index]
        choice, duration = self._choice(index, timetable)
        at_home = int(immediate.place[index]) != NOWHERE
        first, first_duration = self._choice(index, immediate) if at_home else (choice, duration)
        why, reason = _reason(choice, first)
        start, end, curve = choice.start_ms, choice.start_ms + duration, self.curves[timetable.place[index]]
        first_end = first.start_ms + first_duration
        known = first.cost is not None and first.option.curve is not None
        return Plan(
            job_id=ask.job_id,
            region=choice.option.region,
            pool=choice.option.pool,
            window=Window(moment(start), moment(end)),
            why=why,
            reason=reason,
            signal=str(curve.kind.signal),
            note="; ".join(remarks(curve, terms.earliest_ms, end)),
            mean_gco2_per_kwh=curve.mean(start, end),
            immediate_start=moment(first.start_ms),
            immediate_gco2_per_kwh=first.option.curve.mean(first.start_ms, first_end)
            if known and first.option.curve is not None
            else None,
            expected_g=None if choice.cost is None else choice.cost * ask.power_w / 1000,
            immediate_g=None if first.cost is None else first.cost * ask.power_w / 1000,
            sources=tuple(source(part) for part in curve.segments(start, end)),
        )


def situated(situation: Situation) -> Situated | None:
    """The jobs that may be shifted, as one problem; None where there are none, or nothing is known.

    None, too, where a job is kept from dear hours or by a freeze, or has weights of its own: all jobs share
    what a slot costs and has free.
    """
    if any(is_singular(ask, situation.regions) for ask in situation.asks):
        return None
    rows = [
        (ask, terms)
        for ask in situation.asks
        if (terms := terms_of(ask, situation.now, situation.policy.default_slack)).shift_ms is not None
        and not is_due(ask, situation)
        and not ask.power_steps
    ]
    asks, own = [ask for ask, _ in rows], [each for _, each in rows]
    pools, curves = _pools(situation, asks)
    if not rows or not pools:
        return None
    menus, menu = menus_of(asks, pools, curves)
    waits = np.array([region.queue_wait_ms for region, _ in pools], np.int64)
    fares = [_fares(menus.speed[at], waits, menus.allowed[at]) for at in menu]
    ends = [_ends(ask, of, situation) for ask, of in zip(asks, fares, strict=True)]
    soonest, latest = [min(each) for each in ends], [max(each) for each in ends]
    edges = edges_from(ceil_ms(situation.now), max(latest), [each.duration_ms for each in own])
    strict, loose = _places(situation, pools, curves, edges, asks)
    margin = length_ms(situation.policy.margin)
    careful = [
        end - margin if end - margin >= each.earliest_ms + each.duration_ms else end
        for end, each in zip(soonest, own, strict=True)
    ]
    known = strict.cost[np.isfinite(strict.cost)]
    usual_g, least_g = (float(known.mean()), float(known.min())) if known.size else (0.0, 0.0)
    jobs = jobs_of(asks, own, careful, menu, strict.names, usual_g, situation)
    cheap = jobs_of(asks, own, latest, menu, strict.names, least_g, situation)
    relaxed = Problem(loose, menus, cheap)
    regions = tuple(region for region, _ in pools)
    return Situated(Problem(strict, menus, jobs), relaxed, tuple(asks), tuple(own), regions, tuple(curves))


def _fares(speed: Amounts, wait_ms: Ints, allowed: Flags) -> list[tuple[float, int]]:
    """The speeds at which a job can run, each with the waits in the queues before it; ascending."""
    return sorted(set(zip(speed[allowed].tolist(), wait_ms[allowed].tolist(), strict=True)))


def _ends(ask: Ask, fares: Sequence[tuple[float, int]], situation: Situation) -> list[int]:
    """By when the job has to have ended, wherever it can run; by its own estimate at least."""
    found = []
    for speed, wait_ms in fares or [(1.0, 0)]:
        slack = situation.policy.default_slack
        terms = terms_of(ask, situation.now, slack, speed=speed, wait_ms=wait_ms)
        if terms.shift_ms is not None:
            found.append(terms.shift_ms + terms.duration_ms)
    if not found:
        usual = terms_of(ask, situation.now, situation.policy.default_slack)
        assert usual.shift_ms is not None  # noqa: S101 - only those that may be shifted come here
        found.append(usual.shift_ms + usual.duration_ms)
    return found


def _pools(situation: Situation, asks: Sequence[Ask]) -> tuple[list[tuple[Region, str]], list[CostCurve]]:
    """Pools in regions of whose grid something is known, with its curve; CPUs where a job needs no GPU."""
    pools, curves = [], []
    for region in situation.regions:
        curve = curve_of(situation.outlooks.get(region.name))
        for pool in [*(each.name for each in region.pools), ""]:
            if curve is not None and (pool or any(ask.need.gpus == 0 for ask in asks)):
                pools.append((region, pool))
                curves.append(curve)
    return pools, curves


def _places(
    situation: Situation,
    pools: Sequence[tuple[Region, str]],
    curves: Sequence[CostCurve],
    edges: Ints,
    asks: Sequence[Ask],
) -> tuple[Places, Places]:
    """The places with what is surely free, and with what could at most be used."""
    regions = [region for region, _ in pools]
    site, site_kw = sites(regions, edges, situation)
    strict = Places(
        names=tuple((region.name, pool) for region, pool in pools),
        edges_ms=edges,
        cost=np.array([cost(*each, edges, situation) for each in zip(regions, curves, strict=True)]),
        units=np.array([units(region, pool, edges, situation, asks) for region, pool in pools]),
        node_units=np.array([node_units(region, pool) for region, pool in pools], np.int64),
        site=site,
        site_kw=site_kw,
        second=second(regions, edges, situation),
    )
    loose = replace(
        strict,
        cost=np.array(
            [cost(*each, edges, situation, lowest=True) for each in zip(regions, curves, strict=True)]
        ),
        units=np.array([most_units(region, pool, edges, situation) for region, pool in pools]),
        site_kw=sites(regions, edges, situation, relaxed=True)[1],
        second=None,
    )
    return strict, loose


def _reason(choice: Choice, first: Choice) -> tuple[Why, str]:
    if choice.cost is None or not first.cost:
        return Why.CLEANEST, "placed with the whole queue in view"
    saving = 1 - choice.cost / first.cost
    if saving > TIE:
        return Why.CLEANEST, reasons.cleanest(choice, first.start_ms, first, saving)
    if choice.start_ms == first.start_ms and choice.option.region == first.option.region:
        return Why.NOW_IS_CLEANEST, reasons.NOW_IS_CLEANEST
    return (
        Why.CLEANEST,
        "leaves the cleaner hours to jobs that gain more by them, and still meets its deadline",
    )
