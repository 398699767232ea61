"""An independent check of the plans of a queue, before anybody acts on them: what is wrong, in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import isfinite

import numpy as np

from tidewatt.forecasting.series import Outlook, integrate
from tidewatt.scheduler.plan import Ask, Booking, Plan, PowerStep, Stint, Why
from tidewatt.scheduler.planning.capacity import names
from tidewatt.scheduler.planning.first_come import last_start_ms
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, utc
from tidewatt.scheduler.planning.kinds import ratios
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.planning.timetable.sweep import Events, shortfalls
from tidewatt.scheduler.region import Region

FARTHEST = timedelta(days=800)  # a plan that starts later is no plan
GRAMS_OFF = 0.05  # a plan found a moment ago was priced by the forecast of that moment
ROUNDING_MS = 1

Answer = Mapping[int, Plan | Infeasible]


@dataclass(frozen=True, slots=True)
class _Run:
    """A stretch that a job would occupy, as it would be carried out: what is due begins now."""

    ask: Ask
    region: Region
    pool: str
    start_ms: int
    end_ms: int


def plan_faults(situation: Situation, plans: Answer) -> list[str]:
    """What is wrong with the plans of a situation's jobs; empty for sound ones.

    The plans of jobs that cannot keep their deadlines are checked for everything else. Expected grams are
    reckoned anew only for plans that the situation did not already have.
    """
    found = list(_incomplete(situation, plans))
    carried: dict[int, list[_Run]] = {}
    for ask in situation.asks:
        answer = plans.get(ask.job_id)
        plan = answer.earliest if isinstance(answer, Infeasible) else answer
        if isinstance(plan, Plan):
            nonsense = _nonsense(ask, plan, situation)
            if nonsense:
                found.append(f"job {ask.job_id}: {nonsense}")
            else:
                carried[ask.job_id] = _runs(ask, plan, situation)
    if found:
        return found
    for ask in situation.asks:
        answer = plans[ask.job_id]
        if ask.job_id in carried:
            own = carried[ask.job_id]
            wrong = [*_terms(ask, own), *_order(ask, own, carried, situation)]
            if isinstance(answer, Plan):
                wrong += [*_deadline(ask, answer, own), *_grams(ask, answer, situation)]
                wrong += _stints(ask, answer, situation)
            found += [f"job {ask.job_id}: {each}" for each in wrong]
    return found + list(_overfull([run for runs in carried.values() for run in runs], situation))


def missed(situation: Situation, plans: Answer) -> list[int]:
    """Ids of the jobs that would not keep their deadlines, or have no place."""
    return [
        ask.job_id
        for ask in situation.asks
        if isinstance(answer := plans[ask.job_id], Infeasible) or answer.why is Why.LATE
    ]


def _incomplete(situation: Situation, plans: Answer) -> Iterator[str]:
    ids = {ask.job_id for ask in situation.asks}
    if len(ids - set(plans)):
        yield f"{len(ids - set(plans))} of {len(ids)} jobs have no plan: {min(ids - set(plans))}, ..."
    for job_id, plan in plans.items():
        if job_id not in ids:
            yield f"there is a plan for job {job_id}, which does not wait"
        elif not isinstance(plan, Plan | Infeasible) or plan.job_id != job_id:
            yield f"what is given for job {job_id} is not a plan of it: {str(plan)[:60]}"
        elif isinstance(plan, Infeasible) and not plan.reason:
            yield f"job {job_id} is said to be late without a reason"


def _nonsense(ask: Ask, plan: Plan, situation: Situation) -> str:
    """What makes a plan unfit to be looked at any closer; "" for nothing."""
    numbers = (plan.expected_g, plan.immediate_g, plan.mean_gco2_per_kwh, plan.immediate_gco2_per_kwh)
    if any(each is not None and not isfinite(each) for each in numbers):
        return f"its grams are no numbers: {numbers}"
    parts: Sequence[Plan | Stint] = plan.stints or (plan,)
    for part in parts:
        start, end = part.window.start, part.window.end
        if not isinstance(start, datetime) or start.tzinfo is None or end.tzinfo is None or end <= start:
            return f"its window is no stretch of time: {start} to {end}"
        if abs(start - situation.now) > FARTHEST:
            return f"it would start at {start}"
        region = _region(situation, part.region)
        if region is None:
            return f"there is no region {part.region}"
        if _fares(ask, region, part.pool) is None:
            return f"it cannot run in {region.name} on {part.pool or 'its CPUs'}"
    return ""


def _runs(ask: Ask, plan: Plan, situation: Situation) -> list[_Run]:
    now, found = ceil_ms(situation.now), []
    parts: Sequence[Plan | Stint] = plan.stints or (plan,)
    for part in parts:
        region = _region(situation, part.region)
        start, end = floor_ms(part.window.start), ceil_ms(part.window.end)
        if plan.stints:
            start = max(start, now)
        elif start < now:
            start, end = now, now + end - start
        if region is not None and end > start:
            found.append(_Run(ask, region, part.pool, start, end))
    return found


def _terms(ask: Ask, own: Sequence[_Run]) -> Iterator[str]:
    """Regions, hours and lengths that the job's owner or the operator does not allow."""
    for run in own:
        if not allowed(ask, run.region.name):
            yield f"it may not run in {run.region.name}"
        if ask.release is not None and run.start_ms < ceil_ms(ask.release):
            yield f"it starts at {utc(run.start_ms)}, before its release"
        for window in run.region.closed:
            if floor_ms(window.start) < run.end_ms - ROUNDING_MS and run.start_ms < ceil_ms(window.end):
                yield f"it runs at {utc(run.start_ms)} while {run.region.name} is closed"
        for freeze in run.region.freezes:
            starts = floor_ms(freeze.window.start) <= run.start_ms < floor_ms(freeze.window.end)
            if starts and (not freeze.moves or run.region.name != ask.home):
                yield f"it starts at {utc(run.start_ms)} in {run.region.name}, where starts are frozen"
        fares = _fares(ask, run.region, run.pool)
        if ask.pausing is None and fares is not None:
            takes = length_ms(ask.duration) / fares[0]
            if abs(run.end_ms - run.start_ms - takes) > 2 * ROUNDING_MS:
                yield f"it is given {run.end_ms - run.start_ms} ms, but takes {takes:.0f} ms there"


def _order(
    ask: Ask, own: Sequence[_Run], carried: Mapping[int, Sequence[_Run]], situation: Situation
) -> Iterator[str]:
    waiting = {each.job_id for each in situation.asks}
    for job_id in ask.after:
        if job_id in waiting and not carried.get(job_id):
            yield f"it is planned, but job {job_id}, for which it waits, is not"
            continue
        end = situation.ends.get(job_id)
        ends = max(run.end_ms for run in carried[job_id]) if job_id in waiting else end and ceil_ms(end)
        if ends and own and own[0].start_ms < ends - ROUNDING_MS:
            yield f"it starts at {utc(own[0].start_ms)}, before job {job_id} has ended"


def _deadline(ask: Ask, plan: Plan, own: Sequence[_Run]) -> Iterator[str]:
    if ask.late or not own:
        return
    start, end = own[0].start_ms, own[-1].end_ms
    if plan.stints:
        if ask.finish_by is not None and end > floor_ms(ask.finish_by) + ROUNDING_MS:
            yield f"it ends at {utc(end)}, after its deadline"
        return
    last = last_start_ms(ask, end - start)
    if last is not None and start > last + ROUNDING_MS:
        yield f"it starts at {utc(start)}, too late for its deadline"


def _stints(ask: Ask, plan: Plan, situation: Situation) -> Iterator[str]:
    """Stints that overlap, or in which the work is not done; a pause costs a checkpoint and a restart."""
    pausing = ask.pausing
    if not plan.stints:
        return
    if pausing is None:
        yield "it is to pause, but cannot"
        return
    if any(then.window.start < first.window.end for first, then in pairwise(plan.stints)):
        yield "its stints overlap"
    pauses = len(plan.stints) - 1
    if pausing.max_pauses is not None and pauses > pausing.max_pauses:
        yield f"it pauses {pauses} times, at most {pausing.max_pauses} are allowed"
    done = 0.0
    for number, stint in enumerate(plan.stints):
        region = _region(situation, stint.region)
        fares = None if region is None else _fares(ask, region, stint.pool)
        idle = pausing.restart * (number > 0) + pausing.checkpoint * (number < pauses)
        works = (stint.window.end - stint.window.start - idle) / timedelta(milliseconds=1)
        done += works * (1.0 if fares is None else fares[0])
    if done < length_ms(ask.duration) - ROUNDING_MS * (2 + len(plan.stints)):
        yield f"only {done / length_ms(ask.duration):.1%} of its work would be done"


def _grams(ask: Ask, plan: Plan, situation: Situation) -> Iterator[str]:
    """An expected emission that does not follow from the outlook that the plan says it was made with."""
    region = _region(situation, plan.region)
    if plan is situation.keep.get(ask.job_id) or plan.expected_g is None or region is None or plan.stints:
        return
    fares = _fares(ask, region, plan.pool)
    outlook = _outlook(situation, plan)
    if outlook is None or fares is None:
        return
    start, end = plan.window.start, plan.window.end
    known = integrate(outlook.steps, start, end)
    if known.covered_ms < (end - start) // timedelta(milliseconds=1) - ROUNDING_MS:
        return
    gms_per_kwh = _weighted(outlook, start, end, ask.power_steps) if ask.power_steps else known.gms_per_kwh
    grams = region.pue * fares[1] * gms_per_kwh / 3_600_000 * ask.power_w / 1000
    moved = ask.data_gb > 0 and region.name != ask.home  # the data's way is charged besides
    off = plan.expected_g - grams
    if off < -GRAMS_OFF * abs(grams) - 1e-9 or (off > GRAMS_OFF * abs(grams) + 1e-9 and not moved):
        yield f"it says {plan.expected_g:.6g} g, by the forecast it is {grams:.6g} g"


def _weighted(outlook: Outlook, start: datetime, end: datetime, steps: Sequence[PowerStep]) -> float:
    """The integral of intensity over a window, each part of it counted by what the job draws then."""
    borders = [*(start + (end - start) * step.share for step in steps), end]
    return sum(
        step.ratio * integrate(outlook.steps, since, until).gms_per_kwh
        for step, (since, until) in zip(steps, pairwise(borders), strict=True)
        if until > since
    )


def _outlook(situation: Situation, plan: Plan) -> Outlook | None:
    """The outlook of the plan's region and signal."""
    ahead = (situation.outlooks.get(plan.region), situation.beside.get(plan.region))
    return next((each for each in ahead if each is not None and each.kind.signal == plan.signal), None)


def _overfull(runs: Sequence[_Run], situation: Situation) -> Iterator[str]:
    """What is used of regions and arrays beyond what there is, while a planned job runs."""
    limits = _limits(situation)
    keys = {key: index for index, key in enumerate(limits)}
    held = [row for run in runs for row in _held(run) if row[0] in keys]
    others = [row for booking in situation.bookings for row in _taken(booking) if row[0] in keys]
    if not held:
        return
    rows = held + others
    key = np.array([keys[row[0]] for row in rows], np.int64)
    start, end = (np.array([row[i] for row in rows], np.int64) for i in (1, 2))
    amount = np.array([row[3] for row in rows], float)
    span = np.array([min(start) - 1, max(end) + 1], np.int64)
    limit = np.array(list(limits.values()), float)[:, None]
    events = Events(key, start, np.maximum(end - ROUNDING_MS, start), amount)
    told: set[int] = set()
    mine = slice(0, len(held))
    for thing, at, used, left in shortfalls(events, span, limit):
        active = (key[mine] == thing) & (start[mine] <= at) & (at < end[mine] - ROUNDING_MS)
        if active.any() and thing not in told:
            told.add(thing)
            where, what = list(limits)[thing]
            yield f"{where}: {used:g} {what} are used at {utc(at)}, {used + left:g} are there"


Key = tuple[str, str]  # a region or an array, and what of it
Row = tuple[Key, int, int, float]


def _limits(situation: Situation) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for region in situation.regions:
        found[region.name, "CPUs"] = region.cpus
        found |= {(region.name, f"GPUs {pool.name}"): pool.gpus for pool in region.pools}
        if region.mem_mb:
            found[region.name, "MB"] = region.mem_mb
        if region.power_limit_kw:
            found[region.name, "W"] = region.power_limit_kw * 1000
    for ask in situation.asks:
        if ask.array and ask.array_limit:
            limit = max(ask.array_limit, found.get(("array " + ask.array, "jobs"), 0))
            found["array " + ask.array, "jobs"] = limit
    return found


def _held(run: _Run) -> Iterator[Row]:
    need, fares = run.ask.need, _fares(run.ask, run.region, run.pool)
    power_w = run.ask.peak_w * (1.0 if fares is None else fares[1])
    amounts = (need.gpus, need.cpus, need.mem_mb, power_w)
    return _rows(run.region.name, run.pool, run.ask.array, run.start_ms, run.end_ms, amounts)


def _taken(booking: Booking) -> Iterator[Row]:
    amounts = (booking.gpus, booking.cpus, booking.mem_mb, booking.power_w)
    start, end = floor_ms(booking.window.start), ceil_ms(booking.window.end)
    return _rows(booking.region, booking.pool, booking.array, start, end, amounts)


def _rows(
    region: str, pool: str, array: str, start: int, end: int, amounts: tuple[int, int, int, float]
) -> Iterator[Row]:
    names = (f"GPUs {pool}", "CPUs", "MB", "W")
    for what, amount in zip(names, amounts, strict=True):
        if amount > 0 and end > start:
            yield (region, what), start, end, float(amount)
    if array and end > start:
        yield ("array " + array, "jobs"), start, end, 1.0


def _region(situation: Situation, name: str) -> Region | None:
    return next((region for region in situation.regions if region.name == name), None)


def _fares(ask: Ask, region: Region, pool: str) -> tuple[float, float] | None:
    """Speed and power of the job in a pool; None where it can never run there."""
    need = ask.need
    if need.cpus > region.cpus or 0 < region.mem_mb < need.mem_mb:
        return None
    if not need.gpus:
        return (1.0, 1.0) if not pool else None
    own = next((each for each in region.pools if each.name == pool), None)
    if own is None or need.gpus > min(own.gpus, own.node_gpus or own.gpus):
        return None
    return ratios(ask, own) if names(need.gpu_kind, own.name) else None
