"""When a job does not run, or does not start, in a region that has room for it: dear hours, and freezes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.capacity import Stretch
from tidewatt.scheduler.planning.instants import FAR_MS, ceil_ms, floor_ms, utc
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.region import Freeze, PriceStep, Region


def ceiling(ask: Ask, region: Region) -> float | None:
    """The price above which the job does not run there; None where there is none, or it does not hold for it.

    It does not for a job that starts as soon as it fits by anybody's word, nor for one that would be late.
    """
    if ask.dear or ask.at_once or ask.unshifted or ask.fixed:
        return None
    own = [price for name, price in ask.ceilings if name == region.name]
    own += [] if region.max_price_per_kwh is None else [region.max_price_per_kwh]
    return min(own, default=None)


def dear(ask: Ask, region: Region) -> tuple[Stretch, ...]:
    """Stretches in which electricity is known to cost more there than the job may run at; ascending."""
    most = ceiling(ask, region)
    if most is None:
        return ()
    if not region.prices:
        return ((0, FAR_MS),) if region.price_per_kwh > most else ()
    return _above(region.prices, most)


def frozen(ask: Ask, region: Region) -> tuple[Stretch, ...]:
    """Stretches in which the job does not start there; ascending and disjoint."""
    return _frozen(region.freezes, region.name != ask.home) if region.freezes else ()


def cut(free: list[Stretch], ask: Ask, region: Region, duration_ms: int) -> list[Stretch]:
    """The free stretches in which a run of that length may lie, as far as the job may run and start there.

    They may overlap where starts are frozen: a run that begins before may go on meanwhile.
    """
    if closed := dear(ask, region):
        free = _without(free, closed)
    if windows := frozen(ask, region):
        if ask.pausing is not None:
            return _without(free, windows)  # it may start again after any pause
        free = sorted(_started_outside(free, windows, duration_ms))
    return free


def barred(ask: Ask, region: Region, start_ms: int, end_ms: int) -> bool:
    """True where a run over `[start_ms, end_ms)` is dear, or starts in a freeze."""
    if any(a < end_ms and start_ms < b for a, b in dear(ask, region)):
        return True
    return any(a <= start_ms < b for a, b in frozen(ask, region))


def first_start(ask: Ask, region: Region, start_ms: int, length_ms: int) -> int | None:
    """The first start from then on that is not barred; None where there is none."""
    closed, windows = dear(ask, region), frozen(ask, region)
    at: int | None = start_ms
    while at is not None and at < FAR_MS:
        later = [b for a, b in closed if a < at + length_ms and at < b]
        later += [b for a, b in windows if a <= at < b]
        if not later:
            return at
        at = max(later)
    return None


def note(ask: Ask, region: Region) -> str:
    """What a reader must know of the ceiling and the freezes that hold for a job there; "" for nothing."""
    if not (ask.ceilings or region.freezes or region.max_price_per_kwh is not None):
        return ""
    said, most = [], ceiling(replace(ask, dear=False), region)
    if most is not None:
        unit = f" {region.currency}" if region.currency else ""
        above = f"above {most:g}{unit} a kWh"
        said.append(f"{above} only since it would be late otherwise" if ask.dear else f"nothing runs {above}")
    ahead = [each for each in region.freezes if not each.moves or region.name != ask.home]
    if ahead:
        first = min(ahead, key=lambda each: each.window.start)
        start, end = (utc(floor_ms(each)) for each in (first.window.start, first.window.end))
        said.append(f"nothing starts in {region.name} from {start} to {end}: {first.because}")
    return "; ".join(said)


def is_ceiled(ask: Ask, regions: Iterable[Region]) -> bool:
    """True where some price keeps the job from running in some region that is open to it."""
    return any(allowed(ask, region.name) and dear(ask, region) for region in regions)


def is_singular(ask: Ask, regions: Sequence[Region]) -> bool:
    """True for a job that arrays over slots do not know: barred somewhere, or with weights of its own."""
    if ask.weights is not None:
        return True
    return any(allowed(ask, region.name) and (frozen(ask, region) or dear(ask, region)) for region in regions)


@lru_cache(maxsize=256)
def _above(steps: tuple[PriceStep, ...], most: float) -> tuple[Stretch, ...]:
    """Joined stretches above a price; what nobody knows is not above anything."""
    found: list[Stretch] = []
    for step in steps:
        if step.known and step.per_kwh > most:
            if found and found[-1][1] == step.start_ms:
                found[-1] = found[-1][0], step.end_ms
            else:
                found.append((step.start_ms, step.end_ms))
    return tuple(found)


@lru_cache(maxsize=256)
def _frozen(freezes: tuple[Freeze, ...], away: bool) -> tuple[Stretch, ...]:
    spans = sorted(
        (floor_ms(each.window.start), ceil_ms(each.window.end)) for each in freezes if away or not each.moves
    )
    joined: list[Stretch] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return tuple(joined)


def _without(free: Sequence[Stretch], closed: Sequence[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for low, high in free:
        at = low
        for a, b in closed:
            if a >= high:
                break
            if b > at:
                if a > at:
                    found.append((at, a))
                at = max(at, b)
        if at < high:
            found.append((at, high))
    return found


def _started_outside(
    free: Sequence[Stretch], windows: Sequence[Stretch], duration_ms: int
) -> Iterable[Stretch]:
    """Stretches whose possible starts are those of `free`, less the windows."""
    for low, high in free:
        if high - low < duration_ms:
            continue
        for first, last in _without([(low, high - duration_ms + 1)], windows):
            yield first, last - 1 + duration_ms
