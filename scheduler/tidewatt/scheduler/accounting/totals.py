"""Sums of many jobs' ledgers, by signal and kind, with levers, interval and grade."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from tidewatt.scheduler.accounting.grade import (
    NEEDED_PPM,
    UNPLANNED_PERCENT,
    disagree,
    grade,
    metered_ppm,
    observed_ppm,
)
from tidewatt.scheduler.accounting.levers import Levers
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.accounting.report_schema import SignalTotal
from tidewatt.scheduler.accounting.standing import saved_ug
from tidewatt.scheduler.accounting.uncertainty import Baseline, Interval, Sums, drawn, summed
from tidewatt.scheduler.accounting.units import UG_PER_G
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.schemas import LeversView

SETTLED = frozenset({SettlementState.PROVISIONAL, SettlementState.FINAL})
_PPM = 1_000_000
_LEVERS = tuple(each.name for each in fields(Levers))


@dataclass(slots=True)
class Tally:
    """The ledgers of one signal and kind, added up, in micrograms and microjoules.

    `jobs` and `emissions` are of all of them, all else of the `settled` ones, of which both baselines are
    known. `plain` of these have no exposures, so that nothing is known of the errors in `plain_saved`, of
    `plain_at_stake` on both sides.
    `metered` and `observed` are the energy, out of `energy`, of jobs that pass for that,
    `unplanned` the savings, or losses, of those that started later than planned.
    """

    baseline: Baseline
    sources: dict[str, None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    levers: Counter[str] = field(default_factory=Counter)
    parts: Sums = field(default_factory=dict)

    def add(self, receipt: Settlement, ledger: Ledger, *, metered: bool) -> None:
        """Adds a job's ledger."""
        counts = self.counts
        self.sources[ledger.source] = None
        counts["jobs"] += 1
        counts["emissions"] += ledger.emissions_ug
        if receipt.state not in SETTLED or ledger.feasible_ug is None or ledger.hypothetical_ug is None:
            return
        energy = receipt.energy_uj or 0
        saved = saved_ug(ledger, self.baseline) or 0
        counts["settled"] += 1
        counts["actual"] += ledger.actual_ug
        counts["feasible"] += ledger.feasible_ug
        counts["hypothetical"] += ledger.hypothetical_ug
        counts["energy"] += energy
        counts["unplanned"] += abs(saved) * bool(receipt.overdue_ms)
        at_stake = ledger.actual_ug or ledger.feasible_ug or ledger.hypothetical_ug
        if ledger.exposures or not at_stake:
            summed(ledger.exposures, self.baseline, self.parts)
            counts["metered"] += energy * metered
        else:
            counts["plain"] += 1
            counts["plain_saved"] += saved
            counts["plain_at_stake"] += 2 * ledger.actual_ug + saved
        if observed_ppm(ledger.signal, ledger.source) >= NEEDED_PPM:
            counts["observed"] += energy
        if ledger.forecast_saved_ug is not None:
            counts["forecast"] += 1
            counts["promised"] += ledger.forecast_saved_ug
            counts["came_true"] += ledger.saved_feasible_ug or 0
        if ledger.levers is not None:
            counts["levers"] += 1
            for name in _LEVERS:
                value = getattr(ledger.levers, name)
                if value is not None:
                    self.levers[name] += value

    def merge(self, other: "Tally") -> None:
        """Adds what another has added."""
        self.sources.update(other.sources)
        for mine, others in ((self.counts, other.counts), (self.levers, other.levers)):
            for name, value in others.items():
                mine[name] += value
        for kind, (saved, at_stake) in other.parts.items():
            before = self.parts.get(kind, (0, 0))
            self.parts[kind] = before[0] + saved, before[1] + at_stake

    @property
    def saved_ug(self) -> int | None:
        """The saving of all together; None where none is known."""
        return self.counts[self.baseline] - self.counts["actual"] if self.counts["settled"] else None

    @property
    def planned(self) -> bool:
        """False where too much of the saving is of jobs that started later than planned."""
        return self.counts["unplanned"] * 100 <= max(0, self.saved_ug or 0) * UNPLANNED_PERCENT

    def interval(self) -> Interval:
        """The interval of the saving; what has no exposures is in it without error, uncovered, and named."""
        counts, own = self.counts, self.counts["own"]
        aside = [(counts["plain_saved"], counts["plain_at_stake"]), (-own, own)]
        band = drawn(self.parts, aside=aside)
        beside = []
        if self.counts["plain"]:
            beside.append(f"{counted(self.counts['plain'], 'job')} settled by an earlier method")
        if self.counts["own"]:
            beside.append("what Tidewatt itself used")
        return replace(band, not_quantified=(*band.not_quantified, *beside))

    def share_ppm(self, name: str) -> int:
        """The share of the energy that is of jobs which are `metered`, or `observed`."""
        energy = self.counts["energy"]
        return self.counts[name] * _PPM // energy if energy else 0


Tallies = dict[tuple[str, str], Tally]


def tallies(receipts: Iterable[Settlement], baseline: Baseline) -> Tallies:
    """By signal and kind, since a sum over different kinds would be no quantity."""
    found: Tallies = {}
    for receipt in receipts:
        metered = bool(receipt.ledgers) and metered_ppm(receipt.components) >= NEEDED_PPM
        for ledger in receipt.ledgers:
            key = ledger.signal, ledger.kind
            tally = found.get(key) or found.setdefault(key, Tally(baseline))
            tally.add(receipt, ledger, metered=metered)
    return found


def together(parts: Iterable[Tallies], baseline: Baseline, own_ug: Mapping[str, int]) -> Tallies:
    """The sums of all; what the scheduler emitted itself is on the actual side, by signal.

    Of several kinds of a signal it is on that of the kind in which most jobs are settled.
    """
    found: Tallies = {}
    for part in parts:
        for key, tally in part.items():
            found.setdefault(key, Tally(baseline)).merge(tally)
    for signal, emitted_ug in own_ug.items():
        alike = [key for key in sorted(found) if key[0] == signal and found[key].counts["settled"]]
        if alike:
            counts = found[max(alike, key=lambda key: found[key].counts["settled"])].counts
            counts["actual"] += emitted_ug
            counts["own"] += emitted_ug
    return found


def signal_totals(found: Tallies) -> tuple[tuple[SignalTotal, ...], bool]:
    """The totals as clients see them, and whether the signals disagree."""
    order = sorted(found)
    differ = disagree((key[0], found[key].saved_ug) for key in order)
    return tuple(_total(*key, found[key], agree=not differ) for key in order), differ


def scaled_sum(values: Iterable[int | None], per_unit: int) -> float | None:
    """None where nothing is known; not zero, which would be a number."""
    known = [value for value in values if value is not None]
    return sum(known) / per_unit if known else None


def _total(signal: str, kind: str, found: Tally, *, agree: bool) -> SignalTotal:
    counts = found.counts
    band = found.interval() if counts["settled"] else None
    metered, observed = found.share_ppm("metered"), found.share_ppm("observed")
    graded = grade(
        found.saved_ug,
        counts[found.baseline],
        band,
        metered,
        observed,
        agree=agree,
        planned=found.planned,
    )
    actual, feasible, hypothetical = _grams(counts, ("actual", "feasible", "hypothetical"), "settled")
    promised, came_true = _grams(counts, ("promised", "came_true"), "forecast")
    return SignalTotal(
        signal=signal,
        kind=kind,
        sources=tuple(found.sources),
        jobs=counts["jobs"],
        settled=counts["settled"],
        emissions_g=counts["emissions"] / UG_PER_G,
        actual_g=actual,
        feasible_g=feasible,
        hypothetical_g=hypothetical,
        saved_feasible_g=_saved(counts, "feasible"),
        saved_hypothetical_g=_saved(counts, "hypothetical"),
        forecast_saved_g=promised,
        forecast_jobs=counts["forecast"],
        forecast_realised_g=came_true,
        levers=_levers(found),
        interval=None if band is None else band.view(),
        grade=graded,
    )


def _grams(counts: Counter[str], names: Sequence[str], of: str) -> list[float | None]:
    """Sums in grams; None where there is nothing to sum."""
    return [counts[name] / UG_PER_G if counts[of] else None for name in names]


def _saved(counts: Counter[str], baseline: Baseline) -> float | None:
    return (counts[baseline] - counts["actual"]) / UG_PER_G if counts["settled"] else None


def _levers(found: Tally) -> LeversView | None:
    """The sums of all levers; None where one of the jobs does not have them, since they would not add up."""
    if not found.counts["levers"] or found.counts["levers"] < found.counts["settled"]:
        return None
    known = {f"{name.removesuffix('_ug')}_g": value / UG_PER_G for name, value in found.levers.items()}
    unknown = {"time_feasible_g": None, "time_hypothetical_g": None}
    return LeversView.model_validate({**unknown, **known})
