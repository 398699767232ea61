"""Equal slots of time, and what each place costs and has free in them."""

from collections.abc import Sequence

import numpy as np

from tidewatt.scheduler.plan import Ask, Booking, Plan, Stint
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms
from tidewatt.scheduler.planning.intensity import CostCurve, curve_of
from tidewatt.scheduler.planning.kinds import ratios
from tidewatt.scheduler.planning.money import money_of
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.problem import Amounts, Ints
from tidewatt.scheduler.region import Region

SLOT_LENGTHS_MS = tuple(minutes * 60_000 for minutes in (5, 10, 15, 30, 60))
MOST_SLOTS = 800  # finer slots are taken while the horizon fits into so many
FINE_ENOUGH = 24  # slots in a typical job


def is_due(ask: Ask, situation: Situation) -> bool:
    """True for a job whose planned start has come: it is about to be launched."""
    kept = situation.keep.get(ask.job_id)
    return kept is not None and kept.window.start <= situation.now


def _touched(edges: Ints, start_ms: int, end_ms: int) -> slice:
    first = int(np.searchsorted(edges, start_ms, "right")) - 1
    return slice(max(0, first), int(np.searchsorted(edges, end_ms, "left")))


def edges_from(now_ms: int, end_ms: int, durations_ms: Sequence[int]) -> Ints:
    """Slots from now on: fine enough for a typical job, but not too many."""
    wanted = np.median(durations_ms) / FINE_ENOUGH
    slot = next(
        (each for each in SLOT_LENGTHS_MS if (end_ms - now_ms) / each <= MOST_SLOTS and each >= wanted),
        SLOT_LENGTHS_MS[-1],
    )
    first = (now_ms // slot + 1) * slot
    rest = np.arange(first, max(end_ms, first) + slot, slot, dtype=np.int64)
    return np.concatenate((np.array([now_ms], np.int64), rest))


def rates(curve: CostCurve, edges: Ints, *, lowest: bool = False) -> Amounts:
    """Mean (or `lowest`) gCO2/kWh of each slot; inf where not all of it is known."""
    starts, ends = edges[:-1], edges[1:]
    known = (starts >= curve.start_ms) & (ends <= curve.end_ms)
    found = np.full(len(starts), np.inf)
    if not known.any():
        return found
    if lowest:
        first = np.searchsorted(curve.edges_ms, starts[known], "right") - 1
        last = np.searchsorted(curve.edges_ms, ends[known], "left")
        values = np.append(curve.outlook.steps.gco2_per_kwh[: len(curve.edges_ms) - 1], np.inf)
        found[known] = np.minimum.reduceat(values, np.stack((first, last), axis=1).ravel())[::2]
    else:
        hours = (ends[known] - starts[known]) / 3_600_000
        found[known] = curve.integral(starts[known], ends[known]) / hours
    return found


def cost(
    region: Region, curve: CostCurve, edges: Ints, situation: Situation, *, lowest: bool = False
) -> Amounts:
    """Grams per kWh of IT draw in each slot: PUE and the weight of money in; inf where not known."""
    curve_of_money = money_of(region)
    price = region.price_per_kwh if curve_of_money is None else curve_of_money.of_slots(edges, lowest=lowest)
    found: Amounts = region.pue * (rates(curve, edges, lowest=lowest) + price * situation.policy.g_per_price)
    return found


def second(regions: Sequence[Region], edges: Ints, situation: Situation) -> Amounts | None:
    if situation.policy.signal != "both":
        return None
    curves = [curve_of(situation.beside.get(region.name)) for region in regions]
    if all(curve is None for curve in curves):
        return None
    unknown = np.full(len(edges) - 1, np.inf)
    return np.array(
        [
            unknown if curve is None else region.pue * rates(curve, edges)
            for region, curve in zip(regions, curves, strict=True)
        ]
    )


def units(region: Region, pool: str, edges: Ints, situation: Situation, asks: Sequence[Ask]) -> Ints:
    """GPUs of a pool, or CPUs for jobs without GPUs, that are surely free during the whole of each slot.

    CPUs are shared by all pools of a host: each GPU keeps as many CPUs back as any job of the queue wants
    for one. Memory is left to the exact check of the plans.
    """
    own, cpus = np.zeros((2, len(edges) - 1), np.int64)
    for booking in [*_bookings(region, situation), *_changing(region, situation)]:
        touched = _touched(edges, *_span(booking))
        own[touched] += booking.gpus if booking.pool == pool else 0
        cpus[touched] += booking.cpus
    gpus = {each.name: each.gpus for each in region.pools}
    each_cpus = max((-(-ask.need.cpus // ask.need.gpus) for ask in asks if ask.need.gpus), default=0)
    if pool:
        free = np.minimum(gpus[pool] - own, (region.cpus - cpus) // max(each_cpus, 1))
    else:
        free = region.cpus - cpus - each_cpus * sum(gpus.values())
    for window in region.closed:
        free[_touched(edges, floor_ms(window.start), ceil_ms(window.end))] = 0
    found: Ints = np.maximum(free, 0)
    return found


def most_units(region: Region, pool: str, edges: Ints, situation: Situation) -> Amounts:
    """The same as an upper bound: what is free on average over each slot; no CPUs are kept back."""
    total = region.cpus if not pool else next(each.gpus for each in region.pools if each.name == pool)
    free = np.full(len(edges) - 1, float(total))
    for booking in _bookings(region, situation):
        amount = booking.cpus if not pool else booking.gpus if booking.pool == pool else 0
        free -= amount * _share(edges, *_span(booking))
    for window in region.closed:
        free *= 1 - _share(edges, floor_ms(window.start), ceil_ms(window.end))
    most: Amounts = np.maximum(free, 0.0)
    return most


def _share(edges: Ints, start_ms: int, end_ms: int) -> Amounts:
    """Which share of each slot lies in `[start_ms, end_ms)`."""
    overlap = np.minimum(edges[1:], end_ms) - np.maximum(edges[:-1], start_ms)
    share: Amounts = np.maximum(overlap, 0) / np.diff(edges)
    return share


def _bookings(region: Region, situation: Situation) -> list[Booking]:
    """What occupies the region: what runs, and what is about to be launched."""
    due = [
        (ask, situation.keep[ask.job_id])
        for ask in situation.asks
        if not ask.power_steps and is_due(ask, situation)
    ]
    held = [*situation.bookings, *(_booking(ask, plan) for ask, plan in due)]
    return [booking for booking in held if booking.region == region.name]


def _changing(region: Region, situation: Situation) -> list[Booking]:
    """What the plans of jobs occupy here whose draw changes, each at its highest."""
    pools = {pool.name: pool for pool in region.pools}
    found = []
    for ask in situation.asks:
        kept = situation.keep.get(ask.job_id) if ask.power_steps else None
        for part in () if kept is None else kept.stints or (kept,):
            if part.region == region.name:
                fares = ratios(ask, pools[part.pool]) if part.pool in pools else None
                power_w = ask.peak_w * (1.0 if fares is None else fares[1])
                found.append(_booking(ask, part, power_w))
    return found


def _booking(ask: Ask, part: Plan | Stint, power_w: float = 0.0) -> Booking:
    need = ask.need
    return Booking(part.region, part.pool, part.window, need.gpus, need.cpus, need.mem_mb, power_w=power_w)


def _span(booking: Booking) -> tuple[int, int]:
    return floor_ms(booking.window.start), ceil_ms(booking.window.end)


def node_units(region: Region, pool: str) -> int:
    """GPUs on one node of a pool; 0: all are on one."""
    return next((each.node_gpus for each in region.pools if each.name == pool), 0)


def sites(
    regions: Sequence[Region], edges: Ints, situation: Situation, *, relaxed: bool = False
) -> tuple[Ints, Amounts]:
    """Of each place which power limit holds, and the kW left under each; the first is no limit at all."""
    limited = list({each.name: each for each in regions if each.power_limit_kw > 0}.values())
    rows = [np.full(len(edges) - 1, np.inf)]
    for region in limited:
        left = np.full(len(edges) - 1, region.power_limit_kw)
        changing = () if relaxed else _changing(region, situation)
        for booking in [*_bookings(region, situation), *changing]:
            share = _share(edges, *_span(booking))
            left -= booking.power_w / 1000 * (share if relaxed else share > 0)
        rows.append(np.maximum(left, 0.0))
    names = [region.name for region in limited]
    site = [1 + names.index(each.name) if each.name in names else 0 for each in regions]
    return np.array(site, np.int64), np.array(rows)
