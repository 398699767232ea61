"""How far a saving may be off: 90 % intervals from draws of the errors that somebody published.

Each error is drawn once for everything that has it in common: all GPUs read by the same kind of counter, all
energy with the same PUE, all hours of one grid source. So the interval of a sum does not shrink as its jobs
get more.

An interval is `known` only where the error of the meter is quantified for nearly all that is at stake: beside
the rest, a sliver with a published error would make it look narrow.

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
from tidewatt.scheduler.accounting.published import GRIDS, KNOWN_PPM, METERS, PUES, Error, Row, published
from tidewatt.scheduler.accounting.units import UG_PER_G
from tidewatt.scheduler.schemas import IntervalView

Baseline = Literal["feasible", "hypothetical"]
Factors = NDArray[np.float64]

DRAWS = 2000
NO_PUE = "none"  # of energy that no region's PUE applies to, such as that of moving data
IDLE = "idle draw (lowest seen in seven days, or the model's)"  # it divides what is at stake from what is not
_UNDIVIDED = "transfer "  # data moved have no idle draw
_OUTSIDE_PERCENT = 5  # of the draws, on either side of a 90 % interval
_SEED = "tidewatt interval 1"
_WHOLE = 1000  # permille
_ALL_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Where 90 % of the draws of a saving lie, in micrograms, the saving itself always within.

    It covers the errors `quantified`, in words with their sources, and none of those `not_quantified`. With
    none quantified, both ends are the saving: nothing is known of its error. `covered_ppm` is the share of
    what is at stake whose meter has a quantified error.
    """

    low_ug: int
    high_ug: int
    draws: int
    quantified: tuple[str, ...]
    not_quantified: tuple[str, ...]
    covered_ppm: int

    @property
    def known(self) -> bool:
        """True where it says anything of nearly all that is at stake, and not of a part of it alone."""
        return bool(self.quantified) and self.covered_ppm >= KNOWN_PPM

    def view(self) -> IntervalView:
        """The interval as clients see it, in grams."""
        return IntervalView(
            low_g=self.low_ug / UG_PER_G,
            high_g=self.high_ug / UG_PER_G,
            draws=self.draws,
            quantified=self.quantified,
            not_quantified=self.not_quantified,
            covered=self.covered_ppm / _ALL_PPM,
        )


Kind = tuple[str, str, str, int, int]
"""What has all its errors in common: meter, PUE, grid, and the range in permille that a figure declares."""

Sum = tuple[int, int]
"""A saving, and what is at stake in it: its actual and its baseline side together. Both in micrograms."""

Sums = dict[Kind, Sum]


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
    """Savings by what has its errors in common, added to `sums` where that is given."""
    sums = {} if sums is None else sums
    feasible = baseline == "feasible"
    for each in exposures:
        if not (each.actual_ug or each.feasible_ug or each.hypothetical_ug):
            continue  # its errors touch nothing
        kind = each.meter, each.pue, each.grid, each.low_permille, each.high_permille
        actual_ug, baseline_ug = each.actual_ug, each.feasible_ug if feasible else each.hypothetical_ug
        saved, at_stake = sums.get(kind, (0, 0))
        sums[kind] = saved + baseline_ug - actual_ug, at_stake + abs(baseline_ug) + abs(actual_ug)
    return sums


def drawn(sums: Sums, draws: int = DRAWS, aside: Sequence[Sum] = ()) -> Interval:
    """The interval of a sum of savings, of which each may be off in its own way.

    Nothing is known of the errors of those `aside`: they are in the saving, and not covered.
    """
    total = np.zeros(draws)
    quantified: dict[str, None] = {}
    not_quantified: dict[str, None] = {}
    for kind in sorted(sums):  # in one order, since sums of fractions depend on it
        known, unknown, factor = _errors(kind, draws)
        quantified.update(known)
        not_quantified.update(unknown)
        total += sums[kind][0] * factor
    beside = sum(saved for saved, _ in aside)
    saved = sum(saved for saved, _ in sums.values()) + beside
    ordered = np.sort(total)
    outside = draws * _OUTSIDE_PERCENT // 100
    ends = [round(float(ordered[place])) + beside for place in (outside, draws - 1 - outside)]
    low, high = ends if quantified else (saved, saved)
    return Interval(
        min(low, saved),
        max(high, saved),
        draws,
        tuple(quantified),
        tuple(not_quantified),
        _covered_ppm(sums, aside),
    )


def _covered_ppm(sums: Sums, aside: Iterable[Sum]) -> int:
    """The share of what is at stake whose meter has a quantified error.

    The lesser of two: of both sides' emissions, and of the savings, those by each meter summed first, since
    its gain is common to them. So neither much energy that saved nothing nor a large saving of little energy
    speaks for the rest.
    """
    by_meter: dict[tuple[str, int, int], Sum] = {}
    for (meter, _, _, low, high), (saved, at_stake) in sums.items():
        before = by_meter.get((meter, low, high), (0, 0))
        by_meter[meter, low, high] = before[0] + saved, before[1] + at_stake
    meters = [(_metered(*meter).error is not None, each) for meter, each in by_meter.items()]
    meters += [(False, each) for each in aside]
    shares = []
    for place in (0, 1):
        whole = sum(abs(each[place]) for _, each in meters)
        known = sum(abs(each[place]) for quantified, each in meters if quantified)
        shares += [known * _ALL_PPM // whole] if whole else []
    return min(shares, default=0)


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
    found = [_metered(meter, low_permille, high_permille)]
    if pue != NO_PUE:
        found.append(_source(f"PUE of {pue}", PUES))
    found.append(_source(f"grid data of {grid}", GRIDS))
    if not meter.startswith(_UNDIVIDED):
        found.append(_Source(IDLE, None, of_reading=False))
    return tuple(found)


@lru_cache(maxsize=512)
def _metered(meter: str, low_permille: int, high_permille: int) -> _Source:
    """The error of a meter, or of a figure that declares a range; a range without width declares none."""
    if low_permille < high_permille:
        stated = Error(low_permille - _WHOLE, high_permille - _WHOLE, "as stated")
        return _Source(meter, stated, of_reading=False)
    return _source(meter, METERS, of_reading=True)


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
