"""What the jobs of a queue want, as arrays: where they may run, when, and in which order."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.capacity import Timeline, names
from tidewatt.scheduler.planning.instants import ceil_ms
from tidewatt.scheduler.planning.intensity import CostCurve
from tidewatt.scheduler.planning.kinds import suitable
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import Terms, allowed
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Ints, Jobs, Menus
from tidewatt.scheduler.planning.transfer import transfer_of
from tidewatt.scheduler.region import Region

ELSEWHERE = ""  # no region's name
UNKNOWN_KW = 0.1  # of a job whose draw nobody knows: it still prefers clean hours


def kw_of(ask: Ask) -> float:
    """What the job is expected to draw, in kW."""
    return ask.power_w / 1000 or UNKNOWN_KW


def menus_of(
    asks: Sequence[Ask], places: Sequence[tuple[Region, str]], curves: Sequence[CostCurve]
) -> tuple[Menus, Ints]:
    """What suits whom; jobs with the same wishes share a menu."""
    found: dict[Hashable, int] = {}
    rows: list[tuple[list[bool], list[float], list[float]]] = []
    menu = np.zeros(len(asks), np.int64)
    timelines = {region.name: Timeline(region) for region, _ in places}
    for index, ask in enumerate(asks):
        key = (ask.need, ask.regions, ask.exclude_regions, ask.home, ask.kinds)
        if key not in found:
            found[key] = len(rows)
            rows.append(_row(ask, places, curves, timelines))
        menu[index] = found[key]
    suits, speed, power = zip(*rows, strict=True)
    return Menus(np.array(suits, np.bool_), np.array(speed), np.array(power)), menu


def _row(
    ask: Ask,
    places: Sequence[tuple[Region, str]],
    curves: Sequence[CostCurve],
    timelines: Mapping[str, Timeline],
) -> tuple[list[bool], list[float], list[float]]:
    kind = next(
        (curve.kind for (region, _), curve in zip(places, curves, strict=True) if region.name == ask.home),
        curves[0].kind,
    )
    row: tuple[list[bool], list[float], list[float]] = [], [], []
    suited = {name: dict(suitable(ask, timeline)) for name, timeline in timelines.items()}
    for (region, pool), curve in zip(places, curves, strict=True):
        fares = suited[region.name].get(pool)
        row[0].append(fares is not None and allowed(ask, region.name) and curve.kind.continues(kind))
        row[1].append(1.0 if fares is None else fares[0])
        row[2].append(1.0 if fares is None else fares[1])
    return row


def jobs_of(
    asks: Sequence[Ask],
    terms: Sequence[Terms],
    ends: Sequence[int],
    menu: Ints,
    places: Sequence[tuple[str, str]],
    usual_g: float,
    situation: Situation,
) -> Jobs:
    """The jobs; a kWh that moves data is charged `usual_g` grams, wherever it moves."""
    moves = [transfer_of(ask, ELSEWHERE, situation.policy.link) for ask in asks]
    at = {ask.job_id: index for index, ask in enumerate(asks)}
    arrays = [name for name in dict.fromkeys(a.array for a in asks) if name]
    arrays = [name for name in arrays if any(a.array == name and a.array_limit for a in asks)]
    limits = [max(a.array_limit for a in asks if a.array == name) for name in arrays]
    shares = situation.shares
    fair = {who: rank for rank, who in enumerate(sorted(shares, key=lambda who: -shares[who]))}
    return Jobs(
        ids=np.array([ask.job_id for ask in asks], np.int64),
        release_ms=np.array(
            [
                max([each.earliest_ms, *([ceil_ms(ask.release)] if ask.release else [])])
                for ask, each in zip(asks, terms, strict=True)
            ],
            np.int64,
        ),
        due_ms=np.array(ends, np.int64),
        work_ms=np.array([each.duration_ms for each in terms], np.int64),
        units=np.array([ask.need.gpus or ask.need.cpus for ask in asks], np.int64),
        kw=np.array([kw_of(ask) for ask in asks]),
        menu=menu,
        home=np.array([_home(ask, places) for ask in asks], np.int64),
        priority=np.array(
            [
                ask.priority * (len(fair) + 1) + max(fair.get(ask.user, 0), fair.get(ask.project, 0))
                for ask in asks
            ],
            np.int64,
        ),
        moved_g=np.array([each.kwh * usual_g + each.price * situation.policy.g_per_price for each in moves]),
        moved_ms=np.array([each.ms for each in moves], np.int64),
        delay_g_per_h=np.full(len(asks), situation.policy.g_per_hour),
        before=np.array(
            [(at[first], index) for index, ask in enumerate(asks) for first in ask.after if first in at],
            np.int64,
        ).reshape(-1, 2),
        group=np.array([arrays.index(ask.array) if ask.array in arrays else -1 for ask in asks], np.int64),
        group_limit=np.array(limits, np.int64),
        pausing={index: ask.pausing for index, ask in enumerate(asks) if ask.pausing is not None},
    )


def _home(ask: Ask, places: Sequence[tuple[str, str]]) -> int:
    wanted = [
        index
        for index, (region, pool) in enumerate(places)
        if region == ask.home
        and bool(pool) == bool(ask.need.gpus)
        and (not pool or names(ask.need.gpu_kind, pool))
    ]
    return wanted[0] if wanted else NOWHERE
