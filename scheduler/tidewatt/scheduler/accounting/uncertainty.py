"""How far a saving may be off: 90 % intervals from draws of the errors that somebody published.

Each error is drawn once for everything that has it in common: all GPUs read by the same kind of counter, all
energy with the same PUE, all hours of one grid source. So the interval of a sum does not shrink as its jobs
get more.

The draws are no random numbers but digests of the errors' names (SHAKE-256), so that anybody gets the same
ones, on any machine and with any library.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.accounting.levers import Exposure
from tidewatt.scheduler.accounting.published import GRIDS, METERS, PUES, Error, Row, published
from tidewatt.scheduler.accounting.units import UG_PER_G
from tidewatt.scheduler.schemas import IntervalView

Baseline = Literal["feasible", "hypothetical"]
Factors = NDArray[np.float64]

DRAWS = 2000
NO_PUE = "none"  # of energy that no region's PUE applies to, such as that of moving data
_OUTSIDE_PERCENT = 5  # of the draws, on either side of a 90 % interval
_SEED = "tidewatt interval 1"
_WHOLE = 1000  # permille


@dataclass(frozen=True, slots=True)
class Interval:
    """Where 90 % of the draws of a saving lie, in micrograms, the saving itself always within.

    It covers the errors `quantified`, in words with their sources, and none of those `not_quantified`. With
    none quantified, both ends are the saving: nothing is known of its error.
    """

    low_ug: int
    high_ug: int
    draws: int
    quantified: tuple[str, ...]
    not_quantified: tuple[str, ...]

    @property
    def known(self) -> bool:
        """True where it says anything."""
        return bool(self.quantified)

    def view(self) -> IntervalView:
        """The interval as clients see it, in grams."""
        return IntervalView(
            low_g=self.low_ug / UG_PER_G,
            high_g=self.high_ug / UG_PER_G,
            draws=self.draws,
            quantified=self.quantified,
            not_quantified=self.not_quantified,
        )


Kind = tuple[str, str, str, int, int]
"""What has all its errors in common: meter, PUE, grid, and the range in permille that a figure declares."""

Sums = dict[Kind, int]
"""Savings in micrograms."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One error, or one of which nothing is published."""

    name: str
    error: Error | None
    of_reading: bool  # against the truth, as those of meters are

    def __str__(self) -> str:
        return self.name if self.error is None else f"{self.name}: {self.error}"


def interval(exposures: Iterable[Exposure], baseline: Baseline, draws: int = DRAWS) -> Interval:
    """The 90 % interval of the saving that is the sum of the exposures, baseline minus actual."""
    return drawn(summed(exposures, baseline), draws)


def summed(exposures: Iterable[Exposure], baseline: Baseline, sums: Sums | None = None) -> Sums:
    """Savings in micrograms by what has its errors in common, added to `sums` where that is given."""
    sums = {} if sums is None else sums
    feasible = baseline == "feasible"
    for each in exposures:
        if not (each.actual_ug or each.feasible_ug or each.hypothetical_ug):
            continue  # its errors touch nothing
        kind = each.meter, each.pue, each.grid, each.low_permille, each.high_permille
        saved_ug = (each.feasible_ug if feasible else each.hypothetical_ug) - each.actual_ug
        sums[kind] = sums.get(kind, 0) + saved_ug
    return sums


def drawn(sums: Sums, draws: int = DRAWS) -> Interval:
    """The interval of a sum of savings, of which each may be off in its own way."""
    total = np.zeros(draws)
    quantified: dict[str, None] = {}
    not_quantified: dict[str, None] = {}
    for kind in sorted(sums):  # in one order, since sums of fractions depend on it
        known, unknown, factor = _errors(kind, draws)
        quantified.update(known)
        not_quantified.update(unknown)
        total += sums[kind] * factor
    saved = sum(sums.values())
    ordered = np.sort(total)
    outside = draws * _OUTSIDE_PERCENT // 100
    ends = (round(float(ordered[outside])), round(float(ordered[draws - 1 - outside])))
    low, high = ends if quantified else (saved, saved)
    return Interval(min(low, saved), max(high, saved), draws, tuple(quantified), tuple(not_quantified))


@lru_cache(maxsize=512)
def _errors(kind: Kind, draws: int) -> tuple[dict[str, None], dict[str, None], Factors]:
    """The errors of a kind that are known and those that are not, in words, and the factor of each draw."""
    sources = _sources(kind)
    factor = np.ones(draws)
    for source in sources:
        if source.error is not None:
            factor *= _factors(source, draws)
    factor.flags.writeable = False
    known = {str(source): None for source in sources if source.error is not None}
    return known, {str(source): None for source in sources if source.error is None}, factor


def _sources(kind: Kind) -> Sequence[_Source]:
    """All that may be wrong with energy of a kind, and its emissions."""
    meter, pue, grid, low_permille, high_permille = kind
    metered = _source(meter, METERS, of_reading=True)
    if (low_permille, high_permille) != (_WHOLE, _WHOLE):
        stated = Error(low_permille - _WHOLE, high_permille - _WHOLE, "as stated")
        metered = _Source(meter, stated, of_reading=False)
    found = [metered, _source(f"grid data of {grid}", GRIDS)]
    if pue != NO_PUE:
        found.insert(1, _source(f"PUE of {pue}", PUES))
    return tuple(found)


def _source(name: str, rows: Sequence[Row], *, of_reading: bool = False) -> _Source:
    return _Source(name, published(name, rows), of_reading)


@lru_cache(maxsize=512)
def _factors(source: _Source, draws: int) -> Factors:
    """What the stated value is to be multiplied with, by draw."""
    assert source.error is not None  # noqa: S101 - only those are drawn
    low, high = source.error.low_permille / _WHOLE, source.error.high_permille / _WHOLE
    truth = 1 + low + _uniform(source.name, draws) * (high - low)
    factors: Factors = 1 / truth if source.of_reading else truth
    factors.flags.writeable = False
    return factors


def _uniform(name: str, draws: int) -> Factors:
    """Numbers in [0, 1) that belong to the name: 53 bits of each eight bytes of its digest."""
    digest = hashlib.shake_256(f"{_SEED}: {name}".encode()).digest(8 * draws)
    return (np.frombuffer(digest, "<u8") >> np.uint64(11)).astype(np.float64) * 2.0**-53
