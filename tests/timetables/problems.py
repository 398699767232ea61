"""Small problems of the whole queue: made by hand, or drawn from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.planning.timetable.problem import (
    NOWHERE,
    Amounts,
    Jobs,
    Menus,
    Places,
    Problem,
    Timetable,
)

T0_MS = 1_772_323_200_000  # 2026-03-01 00:00 UTC
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Task:
    """One job; times in hours from the first edge."""

    hours: float = 1.0
    due: float = 24.0
    release: float = 0.0
    units: int = 1
    kw: float = 1.0
    home: int = 0
    menu: int = 0
    group: int = -1
    after: tuple[int, ...] = ()
    moved_g: float = 0.0
    moved_h: float = 0.0
    delay_g_per_h: float = 0.0
    priority: int = 0
    pausing: Pausing | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """One place: grams per kWh in each hour, free units (one number, or one for each hour)."""

    cost: Sequence[float]
    units: int | Sequence[int] = 1
    region: str = ""
    pool: str = "gpu"
    node_units: int = 0
    limit_kw: float = np.inf
    second: Sequence[float] | None = None
    speed: float = 1.0
    power: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for several jobs."""

    group_limit: tuple[int, ...] = field(default=())


def problem(sites: Sequence[Site], tasks: Sequence[Task], limits: Limits | None = None) -> Problem:
    """The problem of these places and jobs, in hourly slots; every job may run anywhere."""
    slots, n = len(sites[0].cost), len(tasks)
    seconds = [site.second for site in sites]
    places = Places(
        names=tuple((site.region or f"r{i}", site.pool) for i, site in enumerate(sites)),
        edges_ms=T0_MS + HOUR_MS * np.arange(slots + 1, dtype=np.int64),
        cost=np.array([site.cost for site in sites], float),
        units=np.array([np.broadcast_to(site.units, slots) for site in sites], np.int64),
        node_units=np.array([site.node_units for site in sites], np.int64),
        site=np.arange(len(sites), dtype=np.int64),
        site_kw=np.array([np.full(slots, site.limit_kw) for site in sites]),
        second=np.array([np.full(slots, np.inf) if each is None else each for each in seconds], float)
        if any(each is not None for each in seconds)
        else None,
    )
    menus = Menus(
        allowed=np.ones((1, len(sites)), np.bool_),
        speed=np.array([[site.speed for site in sites]]),
        power=np.array([[site.power for site in sites]]),
    )
    pairs = [(a, b) for b, task in enumerate(tasks) for a in task.after]
    jobs = Jobs(
        ids=np.arange(1, n + 1, dtype=np.int64),
        release_ms=_ms([task.release for task in tasks]),
        due_ms=_ms([task.due for task in tasks]),
        work_ms=_ms([task.hours for task in tasks]) - T0_MS,
        units=np.array([task.units for task in tasks], np.int64),
        kw=np.array([task.kw for task in tasks], float),
        menu=np.array([task.menu for task in tasks], np.int64),
        home=np.array([task.home for task in tasks], np.int64),
        priority=np.array([task.priority for task in tasks], np.int64),
        moved_g=np.array([task.moved_g for task in tasks], float),
        moved_ms=_ms([task.moved_h for task in tasks]) - T0_MS,
        delay_g_per_h=np.array([task.delay_g_per_h for task in tasks], float),
        before=np.array(pairs, np.int64).reshape(-1, 2),
        group=np.array([task.group for task in tasks], np.int64),
        group_limit=np.array((limits or Limits()).group_limit, np.int64),
        pausing={i: task.pausing for i, task in enumerate(tasks) if task.pausing is not None},
    )
    return Problem(places, menus, jobs)


def timetable(
    starts: Sequence[tuple[int, float] | None],
    stints: dict[int, Sequence[tuple[int, float, float]]] | None = None,
) -> Timetable:
    """The place and the start, in hours, of each job; None: nowhere."""
    place = np.array([NOWHERE if each is None else each[0] for each in starts], np.int64)
    start = _ms([0.0 if each is None else each[1] for each in starts])
    held = {
        index: tuple((at, _at(since), _at(until)) for at, since, until in parts)
        for index, parts in (stints or {}).items()
    }
    return Timetable(place, start, held)


def drawn(
    seed: int,
    jobs: int = 8,
    sites: int = 2,
    slots: int = 24,
    units: int = 2,
    *,
    aligned: bool = True,
    extras: bool = False,
) -> Problem:
    """A contended problem. `aligned`: whole hours; `extras`: groups, orders, power limits, moves."""
    rng = np.random.default_rng(seed)
    hour = np.arange(slots, dtype=float)
    made = [
        Site(
            cost=np.maximum(_day(hour + float(rng.uniform(0, 24))) + rng.normal(0, 30, slots), 5.0).tolist(),
            units=units,
            limit_kw=float(units) * 0.9 if extras and i == 0 else np.inf,
        )
        for i in range(sites)
    ]
    tasks = []
    for index in range(jobs):
        hours = float(rng.integers(1, 7)) if aligned else float(rng.uniform(0.3, 6))
        release = float(rng.integers(0, slots // 3)) if aligned else float(rng.uniform(0, slots / 3))
        slack = float(rng.integers(2, slots // 2)) if aligned else float(rng.uniform(2, slots / 2))
        tasks.append(
            Task(
                hours=hours,
                release=release,
                due=min(release + hours + slack, slots),
                units=int(rng.integers(1, units + 1)) if rng.random() < 0.4 else 1,
                kw=float(rng.uniform(0.2, 1.0)),
                home=int(rng.integers(0, sites)),
                group=0 if extras and index % 3 == 0 else -1,
                after=(index - 1,) if extras and index % 4 == 3 else (),
                moved_g=50.0 if extras else 0.0,
                moved_h=0.5 if extras and not aligned else 0.0,
            )
        )
    return problem(made, tasks, Limits((2,)))


def _ms(hours: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([_at(each) for each in hours], np.int64)


def _at(hours: float) -> int:
    return round(T0_MS + hours * HOUR_MS)


def _day(hour: Amounts) -> Amounts:
    shape: Amounts = 300 + 150 * np.sin(hour * 2 * np.pi / 24)
    return shape
