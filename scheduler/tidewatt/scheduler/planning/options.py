"""Where one job could run, and when there is room for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.barring import cut, note
from tidewatt.scheduler.planning.capacity import Stretch, Timeline, overlap
from tidewatt.scheduler.planning.choice import Option, first_start
from tidewatt.scheduler.planning.instants import length_ms
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR, CostCurve, curve_of
from tidewatt.scheduler.planning.kinds import Ratios, suitable
from tidewatt.scheduler.planning.money import money_of
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.signals import BOTH
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import FREE, Bounds, Terms, allowed, terms_of
from tidewatt.scheduler.planning.transfer import Transfer, mean_on_the_way, transfer_of
from tidewatt.scheduler.region import Region


@dataclass(frozen=True, slots=True)
class Ground:
    """A region as it is known at a moment: what is free there, and its grid by the signal that decides.

    `second` is the other signal where it is known. `binds`: both were asked to decide.
    """

    timeline: Timeline
    curve: CostCurve | None
    second: CostCurve | None = None
    binds: bool = False

    @property
    def region(self) -> Region:
        """The region itself."""
        return self.timeline.region


def ground(region: Region, situation: Situation) -> Ground:
    """The region in the situation; nothing of the queue is booked yet."""
    curves = [curve_of(ahead.get(region.name)) for ahead in (situation.outlooks, situation.beside)]
    first, other = (curve for curve in curves)
    wanted = region.signal or situation.policy.signal
    if first is None or (other is not None and first.kind.signal != wanted == other.kind.signal):
        first, other = other, first
    if first is not None and other is not None and first.kind.signal == other.kind.signal:
        other = None
    return Ground(Timeline(region), first, other, wanted == BOTH)


def options_of(
    ask: Ask,
    grounds: Mapping[str, Ground],
    now: datetime,
    policy: Policy,
    bounds: Bounds = FREE,
    within: Sequence[Stretch] | None = None,
) -> list[Option]:
    """Every pool that could hold the job, in the order of the regions; home even if only for comparison.

    `within` are the stretches to which something else limits it: its array.
    """
    policy = policy.of(ask)
    terms: dict[tuple[float, int], Terms] = {}
    found = []
    for name, place in grounds.items():
        if name != ask.home and not allowed(ask, name):
            continue
        transfer, wait_ms = transfer_of(ask, name, policy.link), place.region.queue_wait_ms
        for pool, fares in suitable(ask, place.timeline):
            own = terms.get((fares[0], wait_ms))
            if own is None:
                own = terms[fares[0], wait_ms] = terms_of(
                    ask, now, policy.default_slack, speed=fares[0], bounds=bounds, wait_ms=wait_ms
                )
            earliest_ms = own.earliest_ms + transfer.ms
            room = place.timeline.free(ask.need, pool, earliest_ms, power_w=ask.peak_w * fares[1])
            free = cut(room, ask, place.region, own.duration_ms)
            if within is not None:
                free = overlap(free, within)
            found.append(_option(ask, grounds, place, pool, fares, own, transfer, free, policy))
    return found


def option_of(
    ask: Ask,
    grounds: Mapping[str, Ground],
    region: str,
    pool: str,
    fares: Ratios,
    now: datetime,
    policy: Policy,
) -> Option:
    """One pool as an option to price starts by; nothing is said of what is free."""
    policy = policy.of(ask)
    wait_ms = grounds[region].region.queue_wait_ms
    terms = terms_of(ask, now, policy.default_slack, speed=fares[0], wait_ms=wait_ms)
    transfer = transfer_of(ask, region, policy.link)
    return _option(ask, grounds, grounds[region], pool, fares, terms, transfer, (), policy)


def _option(
    ask: Ask,
    grounds: Mapping[str, Ground],
    place: Ground,
    pool: str,
    fares: Ratios,
    terms: Terms,
    transfer: Transfer,
    free: Sequence[Stretch],
    policy: Policy,
) -> Option:
    region = place.region
    speed, power = fares
    moved_g = moved_second_g = price = 0.0
    money = money_of(region)
    if transfer.kwh or transfer.price or region.price_per_kwh:
        kw = ask.power_w / 1000 or 1.0
        if money is None:
            price = region.price_per_kwh * region.pue * power * terms.duration_ms / MS_PER_HOUR
        price += transfer.price / kw
        if transfer.kwh:
            window = terms.earliest_ms, terms.earliest_ms + transfer.ms
            moved_g, moved_second_g = (
                transfer.kwh / kw * (_on_the_way(at_home, there, window) or 0.0)
                for at_home, there in _ends(grounds.get(ask.home), place)
            )
    return Option(
        region.name,
        pool,
        place.curve,
        region.pue,
        free,
        home=region.name == ask.home,
        allowed=allowed(ask, region.name),
        duration_ms=terms.duration_ms,
        latest_ms=terms.latest_ms,
        last_ms=terms.last_ms,
        shift_ms=terms.shift_ms,
        first_ms=first_start(free, terms.duration_ms),
        speed=speed,
        power=power,
        second=place.second,
        binds=place.binds,
        moved_g=moved_g,
        moved_second_g=moved_second_g,
        price=price,
        money=money,
        g_per_price=policy.g_per_price,
        delay_g_per_h=policy.g_per_hour / (ask.power_w / 1000 or 1.0),
        delay_from_ms=terms.earliest_ms + length_ms(ask.duration),
        steps=ask.power_steps,
        note=note(ask, region),
        wait_ms=region.queue_wait_ms,
    )


def _ends(home: Ground | None, place: Ground) -> Iterable[tuple[CostCurve | None, CostCurve | None]]:
    """The curves of both ends of a transfer, by the deciding signal and by the other one."""
    yield (home.curve if home else None), place.curve
    yield (home.second if home else None), place.second


def _on_the_way(home: CostCurve | None, there: CostCurve | None, window: tuple[int, int]) -> float | None:
    """The mean of both ends; of the far one alone where home's number means something else."""
    if home is not None and there is not None and not home.kind.continues(there.kind):
        home = None
    return mean_on_the_way(home, there, *window)
