"""Sums of many jobs' ledgers, by signal and kind, with levers, interval and grade."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from tidewatt.scheduler.accounting.grade import NEEDED_PPM, disagree, grade, metered_ppm, observed_ppm
from tidewatt.scheduler.accounting.levers import Levers
from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.accounting.report_schema import SignalTotal
from tidewatt.scheduler.accounting.standing import saved_ug
from tidewatt.scheduler.accounting.uncertainty import Baseline, Interval, interval
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.schemas import LeversView

SETTLED = frozenset({SettlementState.PROVISIONAL, SettlementState.FINAL})
_UG_PER_G = 1_000_000
_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """One ledger of a sum; it `counts` in savings where its job is settled and both baselines are known."""

    receipt: Settlement
    ledger: Ledger
    counts: bool


@dataclass(frozen=True, slots=True)
class _Sum:
    """The ledgers of one signal and kind, and what else is on their actual side."""

    signal: str
    kind: str
    entries: Sequence[_Entry]
    own_ug: int = 0

    @property
    def counting(self) -> list[_Entry]:
        return [each for each in self.entries if each.counts]

    def saved_ug(self, baseline: Baseline) -> int | None:
        """The saving of all together; None where none is known."""
        known = [saved_ug(each.ledger, baseline) for each in self.counting]
        return sum(each for each in known if each is not None) - self.own_ug if known else None


def signal_totals(
    receipts: Iterable[Settlement], baseline: Baseline, own_ug: Mapping[str, int] | None = None
) -> tuple[SignalTotal, ...]:
    """By signal and kind, since a sum over different kinds would be no quantity.

    `own_ug` is what the scheduler itself emitted by signal: on the actual side of the kind of that signal in
    which most jobs are settled.
    """
    entries: dict[tuple[str, str], list[_Entry]] = defaultdict(list)
    for receipt in receipts:
        for ledger in receipt.ledgers:
            counts = receipt.state in SETTLED and ledger.complete
            entries[ledger.signal, ledger.kind].append(_Entry(receipt, ledger, counts))
    sums = [_Sum(*key, entries[key]) for key in sorted(entries)]
    for signal, emitted_ug in (own_ug or {}).items():
        sums = _with_own(sums, signal, emitted_ug)
    differ = disagree((each.signal, each.saved_ug(baseline)) for each in sums)
    return tuple(_total(each, baseline, agree=not differ) for each in sums)


def differing(totals: Iterable[SignalTotal], baseline: Baseline) -> bool:
    """True where one signal says that carbon was saved and another that it was lost."""
    known = [(each.signal, getattr(each, f"saved_{baseline}_g")) for each in totals]
    return disagree((signal, None if g is None else round(g * _UG_PER_G)) for signal, g in known)


def scaled_sum(values: Iterable[int | None], per_unit: int) -> float | None:
    """None where nothing is known; not zero, which would be a number."""
    known = [value for value in values if value is not None]
    return sum(known) / per_unit if known else None


def _with_own(sums: Sequence[_Sum], signal: str, emitted_ug: int) -> list[_Sum]:
    alike = [each for each in sums if each.signal == signal]
    chosen = max(alike, key=lambda each: len(each.counting), default=None)
    return [replace(each, own_ug=emitted_ug) if each is chosen else each for each in sums]


def _total(found: _Sum, baseline: Baseline, *, agree: bool) -> SignalTotal:
    counting = found.counting
    ledgers = [each.ledger for each in counting]
    promised = [each for each in ledgers if each.forecast_saved_ug is not None]
    band = _interval(found, baseline) if counting else None
    saved = {kind: found.saved_ug(kind) for kind in ("feasible", "hypothetical")}
    return SignalTotal(
        signal=found.signal,
        kind=found.kind,
        sources=tuple(dict.fromkeys(each.ledger.source for each in found.entries)),
        jobs=len(found.entries),
        settled=len(counting),
        emissions_g=sum(each.ledger.emissions_ug for each in found.entries) / _UG_PER_G,
        actual_g=scaled_sum([*(each.actual_ug for each in ledgers), *_own(found, counting)], _UG_PER_G),
        feasible_g=scaled_sum([each.feasible_ug for each in ledgers], _UG_PER_G),
        hypothetical_g=scaled_sum([each.hypothetical_ug for each in ledgers], _UG_PER_G),
        saved_feasible_g=scaled_sum([saved["feasible"]], _UG_PER_G),
        saved_hypothetical_g=scaled_sum([saved["hypothetical"]], _UG_PER_G),
        forecast_saved_g=scaled_sum([each.forecast_saved_ug for each in promised], _UG_PER_G),
        forecast_jobs=len(promised),
        forecast_realised_g=scaled_sum([each.saved_feasible_ug for each in promised], _UG_PER_G),
        levers=_levers(ledgers),
        interval=None if band is None or not (band.known or band.not_quantified) else band.view(),
        grade=_grade(found, baseline, band, agree=agree),
    )


def _own(found: _Sum, counting: Sequence[_Entry]) -> list[int]:
    return [found.own_ug] if counting else []


def _interval(found: _Sum, baseline: Baseline) -> Interval:
    """The interval of the sum; what has no exposures is in it without any error, and named."""
    known = [each.ledger for each in found.counting if each.ledger.exposures]
    plain = [each.ledger for each in found.counting if not each.ledger.exposures]
    band = interval((part for ledger in known for part in ledger.exposures), baseline)
    aside = sum(saved_ug(ledger, baseline) or 0 for ledger in plain) - found.own_ug
    beside = []
    if plain:
        beside.append(f"{len(plain)} jobs settled by an earlier method")
    if found.own_ug:
        beside.append("what Tidewatt itself used")
    return replace(
        band,
        low_ug=band.low_ug + aside,
        high_ug=band.high_ug + aside,
        not_quantified=(*band.not_quantified, *beside),
    )


def _grade(found: _Sum, baseline: Baseline, band: Interval | None, *, agree: bool) -> str:
    """Of a total: the share of its energy that belongs to jobs which are metered, and observed."""
    weights = metered = observed = 0
    for each in found.counting:
        weight = each.receipt.energy_uj or 0
        weights += weight
        if metered_ppm(each.receipt.components) >= NEEDED_PPM and each.ledger.exposures:
            metered += weight
        if observed_ppm(each.ledger.signal, each.ledger.source) >= NEEDED_PPM:
            observed += weight
    shares = (metered * _PPM // weights, observed * _PPM // weights) if weights else (0, 0)
    return grade(found.saved_ug(baseline), band, *shares, agree=agree)


def _levers(ledgers: Sequence[Ledger]) -> LeversView | None:
    """The sums of all levers; None where one of the jobs does not have them, since they would not add up."""
    parts = [each.levers for each in ledgers]
    known = [each for each in parts if each is not None]
    if not known or len(known) < len(parts):
        return None
    sums = {field.name: [getattr(each, field.name) for each in known] for field in fields(Levers)}
    grams = {name.removesuffix("_ug") + "_g": scaled_sum(values, _UG_PER_G) for name, values in sums.items()}
    return LeversView.model_validate(grams)
