"""How a problem is digested for placing: cells, choices, releases and dues along `before`."""

from dataclasses import replace

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Flags, Ints, Problem
from tidewatt.scheduler.planning.timetable.windows import CELL_MS, FINE_MS, SMALL, Choice, Ground, summed

ROUNDS = 1000  # of tightening along `before`: as many as a chain is long


def ground_of(problem: Problem, cell_ms: int | None = None) -> Ground:
    """Digests a problem; cells are about `cell_ms` long (five minutes, one for small queues)."""
    places, jobs = problem.places, problem.jobs
    edges = places.edges_ms
    slot_ms = int(edges[-1] - edges[-2])
    wanted = cell_ms or (FINE_MS if len(jobs.ids) <= SMALL else CELL_MS)
    per_slot = _divisor(slot_ms, wanted)
    slots = len(edges) - 1
    origin = int(edges[-1]) - slots * slot_ms
    known = np.isfinite(places.cost)
    cost = np.where(known, places.cost, 0.0)
    shortest = _shortest_ms(problem)
    release, due, rank = _tightened(problem, shortest)
    cell = slot_ms // per_slot
    regions = _numbered([region for region, _ in places.names])
    ground = Ground(
        problem=problem,
        origin_ms=origin,
        cell_ms=cell,
        cells=slots * per_slot,
        per_slot=per_slot,
        first_ms=int(edges[0]),
        last_ms=int(edges[-1]),
        cost=cost,
        open=known & (places.units > 0),
        total=summed(np.repeat(cost, per_slot, axis=1) * (cell / 3_600_000)),
        choices=tuple(_choices(problem, menu) for menu in range(len(problem.menus.allowed))),
        regions=regions,
        release_ms=release,
        due_ms=due,
        shortest_ms=shortest,
        rank=rank,
        away=(jobs.moved_ms > 0) | (jobs.moved_g > 0),
        limited=np.asarray(np.isfinite(places.site_kw).any(axis=1)),
        reference_g=np.full(len(jobs.ids), np.inf),
        second=None,
        dark=np.zeros((0, 0), np.int64),
    )
    return ground if places.second is None else _with_second(ground, places.second)


def _with_second(ground: Ground, second: Amounts) -> Ground:
    """The same with the other signal, and what each job would emit by it if it started at home at once."""
    known = np.isfinite(second)
    total = ground.running_total(np.where(known, second, 0.0))
    dark = np.zeros(total.shape, np.int64)
    np.cumsum(np.repeat(~known, ground.per_slot, axis=1), axis=1, out=dark[:, 1:])
    ground = replace(ground, second=total, dark=dark)
    return replace(ground, reference_g=_references_g(ground, total))


def _references_g(ground: Ground, second: Amounts) -> Amounts:
    problem = ground.problem
    jobs, menus = problem.jobs, problem.menus
    found: Amounts = np.full(len(jobs.ids), np.inf)
    for home in np.unique(jobs.home[jobs.home != NOWHERE]).tolist():
        free = np.where(np.isfinite(problem.places.cost[home]), problem.places.units[home], 0)
        for units in np.unique(jobs.units[jobs.home == home]).tolist():
            which = np.flatnonzero((jobs.home == home) & (jobs.units == units))
            at = np.full(len(which), home, np.int64)
            duration = ground.durations_ms(which, at)
            start = first_free_ms(free >= units, problem.places.edges_ms, jobs.release_ms[which], duration)
            end = start + duration
            intime = (start >= 0) & (end <= jobs.due_ms[which])
            start, end = np.where(intime, start, ground.first_ms), np.where(intime, end, ground.first_ms)
            power = jobs.kw[which] * menus.power[jobs.menu[which], home]
            cell = np.clip((end - 1 - ground.origin_ms) // ground.cell_ms + 1, 0, ground.cells)
            begun = np.clip((start - ground.origin_ms) // ground.cell_ms, 0, ground.cells)
            lit = ground.dark[home, cell] == ground.dark[home, begun]
            grams = ground.integral(second, at, start, end) * power
            found[which] = np.where(intime & lit, grams, np.inf)
    return found


def first_free_ms(free: Flags, edges_ms: Ints, release_ms: Ints, duration_ms: Ints) -> Ints:
    """The first start from the release on at which all slots touched are free; -1 for none."""
    padded = np.concatenate(([False], free, [False])).astype(np.int8)
    change = np.diff(padded)
    found = np.full(len(release_ms), -1, np.int64)
    opens, closes = edges_ms[np.flatnonzero(change == 1)], edges_ms[np.flatnonzero(change == -1)]
    for since, until in zip(opens.tolist(), closes.tolist(), strict=True):
        start = np.maximum(release_ms, since)
        fits = (found < 0) & (start + duration_ms <= until)
        found[fits] = start[fits]
    return found


def _divisor(slot_ms: int, wanted_ms: int) -> int:
    """Into how many equal whole-millisecond cells of at least about `wanted_ms` a slot is cut."""
    for count in range(max(1, slot_ms // wanted_ms), 0, -1):
        if slot_ms % count == 0:
            return count
    return 1


def _numbered(names: list[str]) -> Ints:
    index = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([index[name] for name in names], np.int64)


def _choices(problem: Problem, menu: int) -> tuple[Choice, ...]:
    """The places of a menu, those of equal speed together."""
    menus = problem.menus
    rows = np.flatnonzero(menus.allowed[menu])
    made = []
    for speed in np.unique(menus.speed[menu, rows]).tolist():
        here = rows[menus.speed[menu, rows] == speed]
        power = menus.power[menu, here][:, None]
        made.append(Choice(here, speed, power, bool((power == 1.0).all())))
    return tuple(made)


def _shortest_ms(problem: Problem) -> Ints:
    """How long each job runs where it is fastest."""
    jobs, menus = problem.jobs, problem.menus
    fastest = np.where(menus.allowed, menus.speed, 0.0).max(axis=1, initial=0.0)[jobs.menu]
    fastest[fastest <= 0] = 1.0
    shortest: Ints = np.maximum(np.ceil(jobs.work_ms / fastest - 1e-6), 1).astype(np.int64)
    return shortest


def _tightened(problem: Problem, shortest: Ints) -> tuple[Ints, Ints, Ints]:
    """Releases, dues and ranks that follow from `before`; who cannot be in time itself hastens nobody."""
    jobs = problem.jobs
    release = np.maximum(jobs.release_ms, problem.places.edges_ms[0])
    due = np.minimum(jobs.due_ms, problem.places.edges_ms[-1])
    rank = np.zeros(len(jobs.ids), np.int64)
    before = jobs.before.reshape(-1, 2)
    first, then = before[:, 0], before[:, 1]
    for _ in range(min(ROUNDS, len(jobs.ids)) if len(before) else 0):
        old = rank.copy()
        np.maximum.at(release, then, release[first] + shortest[first])
        np.maximum.at(rank, then, rank[first] + 1)
        if (rank == old).all():
            break
    can = release[then] + shortest[then] <= due[then]
    first, then = first[can], then[can]
    for _ in range(int(rank.max(initial=0))):
        np.minimum.at(due, first, due[then] - shortest[then])
    return release, due, rank
