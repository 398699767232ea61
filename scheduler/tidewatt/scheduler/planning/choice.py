"""Where a job could run, a start there, and what such starts are weighed by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tidewatt.scheduler.plan import PowerStep
from tidewatt.scheduler.planning import draw
from tidewatt.scheduler.planning.capacity import Stretch
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR, Amounts, CostCurve, Times
from tidewatt.scheduler.planning.money import MoneyCurve

TIE = 1e-9  # relative: windows that differ by less are equally clean


@dataclass(frozen=True, slots=True)
class Option:
    """One pool of one region in which a job could run, with the stretches in which it is free there.

    `free` is ascending by start, in Unix milliseconds, from the earliest start on. An option that is not
    `allowed` is only what others are compared with. Of `latest_ms`, `last_ms` and `shift_ms` see `Terms`.
    Grams, prices and delays are per kW that the job draws at power 1: `moved_g` (by the signal of `curve`)
    and `moved_second_g` are of bringing its data here, `price` is of electricity and data in the operator's
    currency, `g_per_price` the weight of a unit of that in grams, `delay_g_per_h` that of an hour. `second`
    is the other signal where it is known, and `binds` where it may not get worse. `steps` are of a draw that
    changes.
    """

    region: str
    pool: str
    curve: CostCurve | None
    pue: float
    free: Sequence[Stretch]
    home: bool = False
    allowed: bool = True
    duration_ms: int = 0
    latest_ms: int | None = None
    last_ms: int | None = None
    shift_ms: int | None = None
    first_ms: int | None = None  # the first instant from which the job could run to its end
    speed: float = 1.0
    power: float = 1.0
    second: CostCurve | None = None
    binds: bool = False
    moved_g: float = 0.0
    moved_second_g: float = 0.0
    price: float = 0.0
    money: MoneyCurve | None = None  # of electricity, where its price changes: `price` is of data alone then
    g_per_price: float = 0.0
    delay_g_per_h: float = 0.0
    delay_from_ms: int = 0  # the same for all options of a job
    steps: tuple[PowerStep, ...] = ()
    note: str = ""  # on the hours in which the job does not run or start there
    wait_ms: int = 0  # 95 of 100 jobs wait no longer in the engine's queue there

    @property
    def factor(self) -> float:
        """What the job draws here, PUE included, for each kW at power 1."""
        return self.pue * self.power

    @property
    def rough(self) -> float:
        """How many times a curve's rounding error its grams may have."""
        return self.factor * draw.roughness(self.steps)

    def grams_per_kw(self, curve: CostCurve, start_ms: int, end_ms: int) -> float:
        """Grams by a curve of a run in `[start_ms, end_ms)` that draws 1 kW on average."""
        if self.steps:
            return draw.grams_per_kw(curve, start_ms, end_ms, self.steps)
        return curve.grams_per_kw(start_ms, end_ms)

    def integral(self, curve: CostCurve, starts_ms: Times) -> Amounts:
        """The same of many starts of the whole run."""
        if self.steps:
            return draw.integral(curve, starts_ms, self.duration_ms, self.steps)
        return curve.integral(starts_ms, starts_ms + self.duration_ms)

    def mean(self, curve: CostCurve, start_ms: int, end_ms: int) -> float:
        """Mean gCO2/kWh of a run in `[start_ms, end_ms)`, by what it draws when."""
        if self.steps:
            return self.grams_per_kw(curve, start_ms, end_ms) * MS_PER_HOUR / (end_ms - start_ms)
        return curve.mean(start_ms, end_ms)

    def price_at(self, start_ms: int, end_ms: int) -> float:
        """What a run over `[start_ms, end_ms)` costs, by its mean draw."""
        if self.money is None:
            return self.price
        return self.price + self.factor * self.money.cost(start_ms, end_ms)

    def prices_at(self, starts_ms: Times) -> Amounts:
        """The same of many starts of the whole run."""
        if self.money is None:
            return np.full(len(starts_ms), self.price)
        return self.price + self.factor * self.money.costs(starts_ms, starts_ms + self.duration_ms)

    def turned(self) -> "Option":
        """The option with its signals the other way round."""
        return replace(
            self,
            curve=self.second,
            second=self.curve,
            moved_g=self.moved_second_g,
            moved_second_g=self.moved_g,
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A start in an option; grams per kW of draw, PUE and moved data included; None: not known.

    `cost` is by the option's own signal, `second` by the other one. `extra` is what price and delay weigh.
    """

    option: Option
    start_ms: int
    cost: float | None = None
    second: float | None = None
    extra: float = 0.0

    @property
    def end_ms(self) -> int:
        """When the job would be done."""
        return self.start_ms + self.option.duration_ms


@dataclass(frozen=True, slots=True)
class Scale:
    """The reference's grams per kW by each signal, to weigh others by; `second` None: one decides."""

    first: float
    second: float | None


ABSOLUTE = Scale(0.0, None)


def first_start(free: Sequence[Stretch], duration_ms: int) -> int | None:
    """The first instant from which the job could run to its end."""
    return next((start for start, end in free if end - start >= duration_ms), None)


def choice_at(option: Option, start_ms: int, duration_ms: int | None = None) -> Choice:
    """The choice of one given start."""
    end_ms = start_ms + (option.duration_ms if duration_ms is None else duration_ms)
    curve, second = option.curve, option.second
    if curve is None or not curve.covers(start_ms, end_ms):
        return Choice(option, start_ms)
    cost = option.factor * option.grams_per_kw(curve, start_ms, end_ms) + option.moved_g
    other = None
    if second is not None and second.covers(start_ms, end_ms):
        other = option.factor * option.grams_per_kw(second, start_ms, end_ms) + option.moved_second_g
    extra = option.delay_g_per_h * (end_ms - option.delay_from_ms) / MS_PER_HOUR
    if option.g_per_price:
        extra += option.g_per_price * option.price_at(start_ms, end_ms)
    return Choice(option, start_ms, cost, other, extra)


def earliest(choices: Sequence[Choice]) -> Choice:
    """The first to start of at least one; at the same instant home, then who ends first, then as given."""
    return min(choices, key=lambda choice: (choice.start_ms, not choice.option.home, choice.end_ms))


def soonest(choices: Sequence[Choice]) -> Choice:
    """The first to end of at least one; at the same instant the first to start, then home."""
    return min(choices, key=lambda choice: (choice.end_ms, choice.start_ms, not choice.option.home))


def surest(choices: Sequence[Choice]) -> Choice:
    """The first to end of at least one, should each wait in its engine's queue as long as it may."""
    return min(
        choices, key=lambda each: (each.end_ms + each.option.wait_ms, each.start_ms, not each.option.home)
    )


def weight(choice: Choice, scale: Scale) -> float:
    """What is least for the best choice: grams per kW, or costs relative to the reference by both signals."""
    assert choice.cost is not None  # noqa: S101 - only choices whose costs are known are compared
    own = choice.cost + choice.extra
    if scale.second is None:
        return own
    if choice.second is None or not choice.option.binds:
        return 2 * own * inverse(scale.first)
    return own * inverse(scale.first) + (choice.second + choice.extra) * inverse(scale.second)


def bearable(choice: Choice, scale: Scale) -> bool:
    """True where neither signal is worse than the reference's, or only one decides."""
    if scale.second is None:
        return True
    assert choice.cost is not None  # noqa: S101 - as above
    worse = choice.option.binds and choice.second is not None and choice.second > most(scale.second)
    return choice.cost <= most(scale.first) and not worse


def inverse(reference: float) -> float:
    """What makes grams relative to the reference's; without any there, the signal only binds."""
    return 1 / abs(reference) if reference else 0.0


def most(reference: float) -> float:
    """What is still as good as the reference."""
    return reference + abs(reference) * TIE
