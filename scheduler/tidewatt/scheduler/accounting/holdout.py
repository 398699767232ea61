"""The randomised hold-out: a share of the flexible jobs runs at once by lot, to be compared with the others.

Lots are drawn in permuted blocks within strata (hour of day UTC and project), so that both arms are alike in
both: of each block of `size` jobs of a stratum, `held_out` run at once, at places that the seed decides. The
effect is a difference in means within strata, by intention to treat: a job counts by its lot, whatever became
of it.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from statistics import fmean, variance
from typing import Any

from tidewatt.scheduler.accounting.report_schema import HoldOut

LONGEST_BLOCK = 100
FEWEST = 10  # jobs of either arm that say anything about an effect
_LEAST_FREEDOM = 5  # for an arm's own spread
_Z_95 = 1.6448536269514722  # of the normal distribution: 5 % lie above
INTERFERENCE = (
    "Jobs of both arms share the same machines: one that is held out takes its place at once, and may push a "
    "shifted one to later or leave it a cleaner hour. Such effects are in the difference and cannot be told "
    "apart from it."
)


class Arm(StrEnum):
    """What the lot decided."""

    HELD_OUT = "held_out"  # runs at once
    SHIFTED = "shifted"  # is planned as all others

    @property
    def told(self) -> str:
        """What its owner is told."""
        if self is Arm.HELD_OUT:
            return "held out by lot: runs at once, for the comparison"
        return "shifted, as most: drawn by lot for the comparison with jobs that run at once"


@dataclass(frozen=True, slots=True)
class Lot:
    """A job's lot; `place` counts the jobs of its stratum before it, so that it can be drawn again."""

    arm: Arm
    stratum: str
    place: int

    def record(self) -> dict[str, int | str]:
        """The lot in integers and strings."""
        return {"arm": str(self.arm), "stratum": self.stratum, "place": self.place}

    @classmethod
    def of(cls, frozen: Mapping[str, Any]) -> "Lot | None":
        """The lot that was written down with a job's baseline at submit; None where none was drawn."""
        lot = frozen.get("lot")
        return None if lot is None else cls(Arm(lot["arm"]), lot["stratum"], lot["place"])


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job that has a lot and an account: grams per kWh above idle."""

    arm: Arm
    stratum: str
    gco2_per_kwh: float


def stratum(submitted: datetime, project: str) -> str:
    """The stratum of a job, for example `14 UTC, nlp`."""
    return f"{submitted.astimezone(UTC):%H} UTC, {project or 'no project'}"


def draw(seed: str, share: float, stratum: str, place: int) -> Lot:
    """The lot of the job at a place of its stratum, the same for everybody who knows the seed."""
    part = Fraction(share).limit_denominator(LONGEST_BLOCK)
    block, within = divmod(place, part.denominator)
    chosen = _order(f"{seed}: {stratum}: {block}", part.denominator)[: part.numerator]
    return Lot(Arm.HELD_OUT if within in chosen else Arm.SHIFTED, stratum, place)


def _order(seed: str, size: int) -> list[int]:
    """All places of a block in an order that the seed decides."""
    digests = [hashlib.sha256(f"{seed}: {place}".encode()).digest() for place in range(size)]
    return sorted(range(size), key=digests.__getitem__)


def compare(share: float, signal: str, outcomes: Iterable[Outcome], without: int = 0) -> HoldOut:
    """What the hold-out shows; `without` jobs have a lot and no account by this signal."""
    found = list(outcomes)
    strata = _strata(found)
    both = {name: arms for name, arms in strata.items() if arms[Arm.HELD_OUT] and arms[Arm.SHIFTED]}
    arms = {arm: [each.gco2_per_kwh for each in found if each.arm is arm] for arm in Arm}
    used = {arm: [value for own in both.values() for value in own[arm]] for arm in Arm}
    means = {arm: _weighted(both, arm) for arm in Arm}
    width = _half_width(both)
    notes = [f"{without} more without an account by the {signal} signal."] if without else []
    left_out = len(found) - sum(map(len, used.values()))
    if left_out:
        notes.append(f"{left_out} left out: in their hour and project only one arm has jobs yet.")
    if min(map(len, used.values())) < FEWEST or width is None:
        notes.insert(0, f"Too few to say anything: at least {FEWEST} comparable jobs of each arm are needed.")
        means, effect, width = dict.fromkeys(Arm), None, None
    else:
        effect = _difference(means)
    return HoldOut(
        share=share,
        held_out=len(arms[Arm.HELD_OUT]),
        shifted=len(arms[Arm.SHIFTED]),
        signal=signal,
        mean_held_out=means[Arm.HELD_OUT],
        mean_shifted=means[Arm.SHIFTED],
        effect=effect,
        low=None if effect is None or width is None else effect - width,
        high=None if effect is None or width is None else effect + width,
        note=" ".join([*notes, INTERFERENCE]),
    )


_Strata = Mapping[str, Mapping[Arm, Sequence[float]]]


def _strata(outcomes: Iterable[Outcome]) -> _Strata:
    found: dict[str, dict[Arm, list[float]]] = defaultdict(lambda: {arm: [] for arm in Arm})
    for each in sorted(outcomes, key=lambda each: (each.stratum, each.arm, each.gco2_per_kwh)):
        found[each.stratum][each.arm].append(each.gco2_per_kwh)
    return found


def _weights(strata: _Strata) -> dict[str, float]:
    """Each stratum counts as its jobs do."""
    sizes = {name: sum(map(len, arms.values())) for name, arms in strata.items()}
    jobs = sum(sizes.values())
    return {name: size / jobs for name, size in sizes.items()}


def _weighted(strata: _Strata, arm: Arm) -> float | None:
    weights = _weights(strata)
    return sum(weights[name] * fmean(arms[arm]) for name, arms in strata.items()) if strata else None


def _difference(means: Mapping[Arm, float | None]) -> float | None:
    held_out, shifted = means[Arm.HELD_OUT], means[Arm.SHIFTED]
    return None if held_out is None or shifted is None else shifted - held_out


def _half_width(strata: _Strata) -> float | None:
    """Half of the 90 % interval of the difference, from the spread within strata.

    An arm that is nowhere seen often enough is taken to spread as both together do; None where these are not.
    """
    groups = {arm: [arms[arm] for arms in strata.values()] for arm in Arm}
    together = _spread([group for arm in Arm for group in groups[arm]])
    spreads = {arm: _spread(groups[arm]) or together for arm in Arm}
    weights = _weights(strata)
    total, fewest = 0.0, math.inf
    for arm, spread in spreads.items():
        if spread is None:
            return None
        total += sum(weights[name] ** 2 * spread.variance / len(arms[arm]) for name, arms in strata.items())
        fewest = min(fewest, spread.freedom)
    return _t_95(fewest) * math.sqrt(total)


@dataclass(frozen=True, slots=True)
class _Spread:
    """A variance, and the degrees of freedom with which it is known."""

    variance: float
    freedom: int


def _spread(groups: Sequence[Sequence[float]]) -> _Spread | None:
    """The variance within groups, pooled; None where too little is known of it."""
    freedom = sum(len(group) - 1 for group in groups)
    if freedom < _LEAST_FREEDOM:
        return None
    squares = sum((len(group) - 1) * variance(group) for group in groups if len(group) > 1)
    return _Spread(squares / freedom, freedom)


def _t_95(freedom: float) -> float:
    """Student's t that 5 % lie above, from the normal one (Abramowitz & Stegun 26.7.5)."""
    z = _Z_95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))
