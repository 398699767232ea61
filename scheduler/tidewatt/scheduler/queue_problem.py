"""A queue from files as a problem in arrays: which place suits whom, and what it costs and has free when."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tidewatt.forecasting.kind import Kind
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import GpuKind
from tidewatt.scheduler.planning.capacity import names
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms
from tidewatt.scheduler.planning.intensity import CostCurve
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.timetable.problem import (
    NOWHERE,
    Amounts,
    Flags,
    Ints,
    Jobs,
    Menus,
    Places,
    Problem,
)
from tidewatt.scheduler.planning.timetable.slots import rates
from tidewatt.scheduler.queue_changing import Given, given
from tidewatt.scheduler.queue_files import JobTable
from tidewatt.scheduler.queue_mistakes import check_kinds, check_lengths, check_regions
from tidewatt.scheduler.region import Region

Curves = Mapping[str, CostCurve | None]
SLOTS_MS = tuple(minutes * 60_000 for minutes in (60, 30, 15, 10, 5, 1))
FINER_UP_TO = 3_000_000  # jobs x places x slots: so many may be finer than the grid's steps
FINEST_MS = 5 * 60_000  # shorter only where the grid's own steps are
FINE_ENOUGH = 6  # slots in a typical job


@dataclass(frozen=True, slots=True, eq=False)
class QueueProblem:
    """The problem, and what it was made of: the region, the curve and the grams per kWh of each place."""

    problem: Problem
    table: JobTable
    regions: tuple[Region, ...]  # (P,)
    curves: tuple[CostCurve | None, ...]  # (P,)
    grams: Amounts  # (P, T) grams per kWh of IT draw with PUE, without the weight of money
    moved_g: Amounts  # (n,) grams of bringing a job's data to another region
    slot_ms: int
    policy: Policy
    given: Given  # where jobs run that are placed before the others


def problem_of(
    table: JobTable, regions: Sequence[Region], curves: Curves, beside: Curves, now: datetime, policy: Policy
) -> QueueProblem:
    """The problem of placing all jobs in regions of which `curves` tell the deciding signal from `now` on.

    `beside` is the other signal, by which nothing may get worse, where it is known.

    Raises:
        BadInput: a job names a region that is not there.
    """
    check_regions(table, regions)
    places = _places(table, regions)
    if not places:
        raise BadInput("no region has a GPU or core for any job: give pools, or cpus, with the regions")
    own = [curves.get(region.name) for region, _ in places]
    check_kinds(table, places)
    end_ms = _end_ms(own, table, now)
    edges = edges_of(own, ceil_ms(now), end_ms, table, len(places))
    grams = _grams(places, own, edges)
    moved_g = _moved_g(table, grams, policy)
    menus, menu, home = _menus(table, places, own, regions)
    check_lengths(table, menus, menu)
    jobs = _jobs(table, menu, home, np.clip(table.release_ms, ceil_ms(now), end_ms), end_ms, moved_g, policy)
    open_places = _open_places(
        places, grams, [beside.get(region.name) for region, _ in places], edges, policy
    )
    problem = Problem(open_places, menus, jobs)
    return QueueProblem(
        problem,
        table,
        tuple(region for region, _ in places),
        tuple(own),
        grams,
        moved_g,
        int(np.diff(edges).max()),
        policy,
        given(table, problem, regions, curves, beside, now, policy),
    )


def _open_places(
    places: Sequence[tuple[Region, str]],
    grams: Amounts,
    others: Sequence[CostCurve | None],
    edges: Ints,
    policy: Policy,
) -> Places:
    """What places cost and have free; `others` are their curves by the signal that must not get worse."""
    money = np.array([region.price_per_kwh * region.pue for region, _ in places]) * policy.g_per_price
    site, site_kw = _sites(places, len(edges) - 1)
    return Places(
        names=tuple((region.name, pool) for region, pool in places),
        edges_ms=edges,
        cost=grams + money[:, None],
        units=np.array([_units(region, pool, edges) for region, pool in places], np.int64),
        node_units=np.array([_node_units(region, pool) for region, pool in places], np.int64),
        site=site,
        site_kw=site_kw,
        second=_grams(places, others, edges) if any(curve is not None for curve in others) else None,
    )


def edges_of(
    curves: Sequence[CostCurve | None], now_ms: int, end_ms: int, table: JobTable, places: int
) -> Ints:
    """Slots from now on to the end: the grid's own steps, an hour at most, so that none has to be averaged.

    Small queues have finer ones, for jobs that are shorter than a step.
    """
    work = (end_ms - now_ms) * len(table) * places
    step = _step_ms(curves, now_ms, end_ms)
    least = min(step, max(np.median(table.work_ms) / FINE_ENOUGH, work / FINER_UP_TO, FINEST_MS))
    slot = next(each for each in reversed(SLOTS_MS) if each >= least and step % each == 0)
    first = (now_ms // slot + 1) * slot
    rest = np.arange(first, max(end_ms, first) + slot, slot, dtype=np.int64)
    return np.concatenate((np.array([now_ms], np.int64), rest))


def _end_ms(curves: Sequence[CostCurve | None], table: JobTable, now: datetime) -> int:
    """Where planning ends: at the last deadline, or where intensity is known nowhere any more."""
    known = max((curve.end_ms for curve in curves if curve is not None), default=0)
    return max(min(int(table.due_ms.max()), known), ceil_ms(now))


def _step_ms(curves: Sequence[CostCurve | None], start_ms: int, end_ms: int) -> int:
    """The longest slot into which all steps of the grid divide."""
    edges = [curve.edges_ms for curve in curves if curve is not None]
    if not edges:
        return SLOTS_MS[0]
    inside = np.concatenate([part[(part > start_ms) & (part < end_ms)] for part in edges])
    return next((slot for slot in SLOTS_MS if not (inside % slot).any()), SLOTS_MS[-1])


def _places(table: JobTable, regions: Sequence[Region]) -> list[tuple[Region, str]]:
    """Pools, and cores where a job needs no GPU."""
    on_cores = bool((table.gpus == 0).any())
    return [
        (region, pool)
        for region in regions
        for pool in (*(each.name for each in region.pools), *([""] if on_cores and region.cpus else []))
    ]


def _grams(places: Sequence[tuple[Region, str]], curves: Sequence[CostCurve | None], edges: Ints) -> Amounts:
    """Grams per kWh of IT draw, PUE included, by place and slot; inf where nothing is known."""
    unknown = np.full(len(edges) - 1, np.inf)
    return np.array(
        [
            unknown if curve is None else region.pue * rates(curve, edges)
            for (region, _), curve in zip(places, curves, strict=True)
        ]
    )


def _units(region: Region, pool: str, edges: Ints) -> Ints:
    count = region.cpus if not pool else next(each.gpus for each in region.pools if each.name == pool)
    units = np.full(len(edges) - 1, count, np.int64)
    for window in region.closed:
        touched = (edges[:-1] < ceil_ms(window.end)) & (edges[1:] > floor_ms(window.start))
        units[touched] = 0
    return units


def _node_units(region: Region, pool: str) -> int:
    return next((each.node_gpus for each in region.pools if each.name == pool), 0)


def _sites(places: Sequence[tuple[Region, str]], slots: int) -> tuple[Ints, Amounts]:
    """Of each place which power limit holds; the first is none at all."""
    limits = {region.name: region.power_limit_kw for region, _ in places if region.power_limit_kw > 0}
    at = {name: index + 1 for index, name in enumerate(limits)}
    site = np.array([at.get(region.name, 0) for region, _ in places], np.int64)
    return site, np.repeat(np.array([[np.inf], *([kw] for kw in limits.values())]), slots, axis=1)


def _menus(
    table: JobTable,
    places: Sequence[tuple[Region, str]],
    curves: Sequence[CostCurve | None],
    regions: Sequence[Region],
) -> tuple[Menus, Ints, Ints]:
    """What suits whom, each job's menu, and its place at home."""
    usual = next(region.name for region in regions if region.home)
    series = {region.name: curve.kind for (region, _), curve in zip(places, curves, strict=True) if curve}
    found: dict[Hashable, int] = {}
    rows: list[tuple[Flags, Amounts, Amounts]] = []
    homes: list[int] = []
    menu = np.empty(len(table), np.int64)
    wishes = zip(
        table.kinds, table.regions, table.exclude_regions, table.home, table.gpus.tolist(), strict=True
    )
    for index, wish in enumerate(wishes):
        if wish not in found:
            kinds, allowed, excluded, home, gpus = wish
            suits, speed, power = _ratios(places, kinds, gpus)
            at_home = np.array([region.name == (home or usual) for region, _ in places])
            homes.append(int(np.flatnonzero(suits & at_home)[0]) if (suits & at_home).any() else NOWHERE)
            suits &= _open_to(places, allowed, excluded) & _comparable(places, series, home or usual)
            found[wish] = len(rows)
            rows.append((suits, speed, power))
        menu[index] = found[wish]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Menus(columns[0], columns[1], columns[2]), menu, np.array(homes, np.int64)[menu]


def _ratios(
    places: Sequence[tuple[Region, str]], kinds: Sequence[GpuKind], gpus: int
) -> tuple[Flags, Amounts, Amounts]:
    """Which places could ever hold the job, and its speed and power there."""
    suits, speed, power = np.zeros(len(places), np.bool_), np.ones(len(places)), np.ones(len(places))
    for index, (region, pool) in enumerate(places):
        if not pool or not gpus:
            suits[index] = not pool and not gpus
            continue
        found = next(each for each in region.pools if each.name == pool)
        ratio = next((kind for kind in kinds if names(kind.kind, pool)), None) if kinds else found
        if ratio is None:
            continue
        suits[index] = gpus <= (found.node_gpus or found.gpus) and gpus <= found.gpus
        stated = ratio is found or (ratio.speed, ratio.power) != (1.0, 1.0)
        speed[index], power[index] = (ratio if stated else found).speed, (ratio if stated else found).power
    return suits, speed, power


def _open_to(places: Sequence[tuple[Region, str]], allowed: Sequence[str], excluded: Sequence[str]) -> Flags:
    return np.array(
        [(not allowed or region.name in allowed) and region.name not in excluded for region, _ in places]
    )


def _comparable(places: Sequence[tuple[Region, str]], series: Mapping[str, Kind], home: str) -> Flags:
    """Only regions whose series is of home's kind are compared with it."""
    kind = series.get(home) or next(iter(series.values()), None)
    return np.array(
        [
            kind is not None and region.name in series and series[region.name].continues(kind)
            for region, _ in places
        ]
    )


def _moved_g(table: JobTable, grams: Amounts, policy: Policy) -> Amounts:
    """Grams of bringing a job's data to another region, at the mean intensity of all.

    Half of the way lies in one grid and half in the other, and which the other will be is not known here.
    """
    known = grams[np.isfinite(grams)]
    mean = float(known.mean()) if known.size else 0.0
    moved: Amounts = table.data_gb * policy.link.kwh_per_gb * mean
    return moved


def _jobs(
    table: JobTable,
    menu: Ints,
    home: Ints,
    release_ms: Ints,
    end_ms: int,
    moved_g: Amounts,
    policy: Policy,
) -> Jobs:
    group, group_limit = _groups(table)
    return Jobs(
        ids=table.ids,
        release_ms=release_ms,
        due_ms=np.minimum(table.due_ms, end_ms),
        work_ms=table.work_ms,
        units=np.where(table.gpus > 0, table.gpus, table.cpus),
        kw=table.kw,
        menu=menu,
        home=home,
        priority=table.priority,
        moved_g=moved_g + table.data_gb * policy.link.price_per_gb * policy.g_per_price,
        moved_ms=np.ceil(table.data_gb * 8000 / policy.link.gbit_per_s).astype(np.int64),
        delay_g_per_h=np.full(len(table), policy.g_per_hour),
        before=table.before,
        group=group,
        group_limit=group_limit,
        pausing=table.pausing,
    )


def _groups(table: JobTable) -> tuple[Ints, Ints]:
    """Arrays of which only some tasks may run at a time: each job's, and how many."""
    limits: dict[str, int] = {}
    for name, limit in zip(table.array, table.array_limit.tolist(), strict=True):
        if name and limit:
            limits[name] = max(limit, limits.get(name, 0))
    at = {name: index for index, name in enumerate(limits)}
    group = np.array([at.get(name, -1) for name in table.array], np.int64)
    return group, np.array(list(limits.values()), np.int64)
