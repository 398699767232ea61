"""An independent check of timetables, before anybody acts on them: what is wrong, in sentences.

Capacity, power and groups are checked in continuous time, by the events of all runs and of all slots.
"""

from collections.abc import Iterator

import numpy as np

from tidewatt.scheduler.planning.instants import utc
from tidewatt.scheduler.planning.timetable.interrupted import stints_faults
from tidewatt.scheduler.planning.timetable.packing import fits_on_nodes, taken_from
from tidewatt.scheduler.planning.timetable.problem import (
    NOWHERE,
    Amounts,
    Certificate,
    Flags,
    Ints,
    Problem,
    Timetable,
)
from tidewatt.scheduler.planning.timetable.reckoning import (
    Meter,
    Runs,
    durations,
    earliest_ms,
    grams,
    runs,
)
from tidewatt.scheduler.planning.timetable.reference import reference_second
from tidewatt.scheduler.planning.timetable.sweep import Breach, Events, breaches

ROUNDING_MS = 1  # of durations to whole milliseconds
TIE = 1e-9
SHARE_OFF = 1e-6  # of a certificate's sums
_NAMED = 3  # jobs of one fault


def faults(problem: Problem, timetable: Timetable, certificate: Certificate | None = None) -> list[str]:
    """What is wrong with a timetable, and with what is claimed of it; empty for a sound one.

    A job without a place is no fault. Node packing: a packing that the search does not find is told, though
    one may exist; units that bookings hold are taken to lie wherever that suits best.
    """
    misshapen = list(_misshapen(problem, timetable))
    if misshapen:
        return misshapen
    stretches = runs(problem, timetable)
    found = [
        *_places(problem, timetable, stretches),
        *_times(problem, timetable, stretches),
        *_orders(problem, stretches),
        *_groups(problem, stretches),
        *_interrupted(problem, timetable),
    ]
    if not found:  # sums over runs that are nowhere, or not in time, would say nothing
        found = [
            *_units(problem, stretches),
            *_nodes(problem, stretches),
            *_power(problem, stretches),
            *_other_signal(problem, timetable),
            *_sums(problem, timetable, certificate),
        ]
    return found


def _misshapen(problem: Problem, timetable: Timetable) -> Iterator[str]:
    """Arrays of the wrong length, places that do not exist."""
    n, places = len(problem.jobs.ids), len(problem.places.names)
    for name, array in (("place", timetable.place), ("start_ms", timetable.start_ms)):
        if array.shape != (n,) or array.dtype.kind not in "iu":
            yield f"`{name}` has shape {array.shape} of {array.dtype}: not one integer for each of {n} jobs"
            return
    wrong = (timetable.place < NOWHERE) | (timetable.place >= places)
    yield from _told(problem, wrong, f"are at a place that does not exist (there are {places})")
    for index, stints in timetable.stints.items():
        if not 0 <= index < n:
            yield f"stints are of a job with the index {index}, of {n}"
        elif not stints or any(len(each) != 3 or not 0 <= each[0] < places for each in stints):
            yield f"job {problem.jobs.ids[index]} has stints at places that do not exist"


def _places(problem: Problem, timetable: Timetable, stretches: Runs) -> Iterator[str]:
    jobs, menus = problem.jobs, problem.menus
    wrong = np.zeros(len(jobs.ids), np.bool_)
    wrong[stretches.job[~menus.allowed[jobs.menu[stretches.job], stretches.place]]] = True
    yield from _told(problem, wrong, "are at a place that does not suit them")


def _times(problem: Problem, timetable: Timetable, stretches: Runs) -> Iterator[str]:
    jobs, places = problem.jobs, problem.places
    starts, ends = _spans(problem, stretches)
    at = np.where(timetable.place == NOWHERE, NOWHERE, timetable.place)
    placed = at != NOWHERE
    whole = placed.copy()
    whole[np.fromiter(timetable.stints, np.int64, len(timetable.stints))] = False
    early = whole & (starts < earliest_ms(problem, at)) | placed & (starts < jobs.release_ms)
    yield from _told(problem, early, "start before they may")
    yield from _told(problem, placed & (ends > jobs.due_ms + ROUNDING_MS), "end after their deadline")
    outside = placed & ((starts < places.edges_ms[0]) | (ends > places.edges_ms[-1] + ROUNDING_MS))
    yield from _told(problem, outside, "run outside of the hours that are planned")
    meter = Meter(places.edges_ms, places.cost)
    last = np.minimum(stretches.end_ms, places.edges_ms[-1])
    dark = np.zeros(len(jobs.ids), np.bool_)
    dark[stretches.job[meter.unknown(stretches.place, stretches.start_ms, last)]] = True
    yield from _told(problem, dark & ~outside, "run in hours whose cost is not known")


def _orders(problem: Problem, stretches: Runs) -> Iterator[str]:
    """Jobs that start before those that they wait for have ended."""
    before = problem.jobs.before.reshape(-1, 2)
    starts, ends = _spans(problem, stretches)
    first, then = before[:, 0], before[:, 1]
    running = starts[then] >= 0
    wrong = running & ((starts[first] < 0) | (starts[then] < ends[first] - ROUNDING_MS))
    early = np.zeros(len(problem.jobs.ids), np.bool_)
    early[then[wrong]] = True
    yield from _told(problem, early, "start before a job that they wait for has ended")


def _groups(problem: Problem, stretches: Runs) -> Iterator[str]:
    group = problem.jobs.group[stretches.job]
    grouped = group >= 0
    limits = problem.jobs.group_limit
    if not grouped.any():
        return
    events = _held(stretches, group, np.ones(len(group)), grouped)
    level = np.repeat(limits[:, None].astype(float), len(problem.places.edges_ms) - 1, axis=1)
    for breach in breaches(events, problem.places.edges_ms, level):
        allowed = f"of group {breach.key} at most {limits[breach.key]} jobs may run at a time"
        yield f"{allowed}, but {breach.used:g} do {_when(breach)}"


def _units(problem: Problem, stretches: Runs) -> Iterator[str]:
    places = problem.places
    amount = problem.jobs.units[stretches.job].astype(float)
    events = _held(stretches, stretches.place, amount)
    for breach in breaches(events, places.edges_ms, np.maximum(places.units, 0).astype(float)):
        used = f"{breach.used:g} units are used and {breach.limit:g} are free"
        yield f"{_place(problem, breach.key)}: {used} {_when(breach)}"


def _power(problem: Problem, stretches: Runs) -> Iterator[str]:
    jobs, places = problem.jobs, problem.places
    draw = jobs.kw[stretches.job] * problem.menus.power[jobs.menu[stretches.job], stretches.place]
    limited: Flags = np.any(np.isfinite(places.site_kw), axis=1)
    site = places.site[stretches.place]
    if not limited.any():
        return
    events = _held(stretches, site, draw, limited[site])
    ample = float(draw.sum()) + 1.0
    level = np.where(np.isfinite(places.site_kw), places.site_kw, ample)
    for breach in breaches(events, places.edges_ms, level):
        used = f"{breach.used:.3f} kW are drawn and {breach.limit:.3f} kW are left"
        yield f"under power limit {breach.key} {used} {_when(breach)}"


def _nodes(problem: Problem, stretches: Runs) -> Iterator[str]:
    """Places whose runs were not found to fit on their nodes."""
    places = problem.places
    units = problem.jobs.units[stretches.job]
    for place in np.flatnonzero(places.node_units > 0).tolist():
        size, free = int(places.node_units[place]), np.maximum(places.units[place], 0).astype(np.int64)
        here = (stretches.place == place) & (units > 0)
        if not here.any() or (units[here] == 1).all():
            continue
        columns = (stretches.start_ms[here], stretches.end_ms[here] - ROUNDING_MS, units[here])
        held = list(zip(*(column.tolist() for column in columns), strict=True))
        nodes = -(-int(free.max()) // size)
        if not fits_on_nodes(held, taken_from(places.edges_ms, free), size, nodes):
            said = f"no way was found to put its {len(held)} runs on {nodes} nodes of {size} units"
            yield f"{_place(problem, place)}: {said}"


def _interrupted(problem: Problem, timetable: Timetable) -> Iterator[str]:
    for index, stints in timetable.stints.items():
        if timetable.place[index] != NOWHERE:
            for fault in stints_faults(problem, index, stints):
                yield f"job {problem.jobs.ids[index]}: {fault}"


def _other_signal(problem: Problem, timetable: Timetable) -> Iterator[str]:
    """Jobs that are worse by the other signal than at their first start at home, where both are known."""
    places, jobs = problem.places, problem.jobs
    if places.second is None:
        return
    at, start = timetable.place, timetable.start_ms
    draw = jobs.kw * problem.menus.power[jobs.menu, at]
    theirs = draw * Meter(places.edges_ms, places.second).over(at, start, start + durations(problem, at))
    worse = np.isfinite(theirs) & (theirs > reference_second(problem) * (1 + 1e-6) + TIE)
    worse[np.fromiter(timetable.stints, np.int64, len(timetable.stints))] = False
    yield from _told(problem, worse & (at != NOWHERE), "are worse by the other signal than at home at once")


def _sums(problem: Problem, timetable: Timetable, certificate: Certificate | None) -> Iterator[str]:
    cost = grams(problem, timetable)
    if not np.isfinite(cost).all():
        yield from _told(problem, ~np.isfinite(cost), "have a cost that is not a number")
        return
    if certificate is None:
        return
    total, unplaced = float(cost.sum()), int((timetable.place == NOWHERE).sum())
    claimed = (certificate.cost_g, certificate.bound_g, certificate.immediate_g)
    if not np.isfinite(claimed).all():
        yield f"the certificate claims {claimed[0]} g, a bound of {claimed[1]} g and {claimed[2]} g at once"
        return
    if abs(total - certificate.cost_g) > SHARE_OFF * max(abs(total), 1.0):
        yield f"the certificate claims {certificate.cost_g:.6g} g, but it is {total:.6g} g"
    if certificate.bound_g > total + SHARE_OFF * max(abs(total), 1.0):
        yield f"the bound of {certificate.bound_g:.6g} g is above what is emitted, {total:.6g} g"
    if certificate.unplaced != unplaced:
        yield f"the certificate claims {certificate.unplaced} jobs without a place, but there are {unplaced}"


def _spans(problem: Problem, stretches: Runs) -> tuple[Ints, Ints]:
    """First start and last end of each job; -1 for one without a place."""
    n = len(problem.jobs.ids)
    starts, ends = np.full(n, np.iinfo(np.int64).max), np.full(n, -1, np.int64)
    np.minimum.at(starts, stretches.job, stretches.start_ms)
    np.maximum.at(ends, stretches.job, stretches.end_ms)
    starts[ends < 0] = -1
    return starts, ends


def _held(stretches: Runs, key: Ints, amount: Amounts, chosen: Flags | None = None) -> Events:
    """What runs hold of the thing `key`; rounding is given in the runs' favour."""
    which = np.ones(len(key), np.bool_) if chosen is None else chosen
    ends = np.maximum(stretches.end_ms[which] - ROUNDING_MS, stretches.start_ms[which])
    return Events(key[which], stretches.start_ms[which], ends, amount[which])


def _told(problem: Problem, wrong: Flags, what: str) -> Iterator[str]:
    ids = problem.jobs.ids[wrong]
    if len(ids):
        named = ", ".join(map(str, ids[:_NAMED].tolist())) + (", ..." if len(ids) > _NAMED else "")
        yield f"{len(ids)} of {len(wrong)} jobs {what}: {named}"


def _place(problem: Problem, place: int) -> str:
    return " ".join(name for name in problem.places.names[place] if name)


def _when(breach: Breach) -> str:
    more = f" (and at {breach.others} other moments)" if breach.others else ""
    return f"at {utc(breach.at_ms)}{more}"
