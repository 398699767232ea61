"""Sums receipts into reports, in integers until the last step."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.accounting.report_schema import Report, ReportGroup, SignalTotal
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import SettlementState

__all__ = ["BY", "Report", "ReportGroup", "ReportRow", "SignalTotal", "report"]

_SETTLED = frozenset({SettlementState.PROVISIONAL, SettlementState.FINAL})
_UJ_PER_KWH = 3_600_000_000_000
_UG_PER_G = 1_000_000
_MS_PER_H = 3_600_000


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A job that has ended; `settlement` is None until the first attempt to settle it."""

    job_id: int
    user: str
    project: str
    region: str
    ended: datetime
    settlement: Settlement | None


BY: dict[str, Callable[[ReportRow], str]] = {
    "none": lambda row: "all",
    "project": lambda row: row.project or "(none)",
    "user": lambda row: row.user,
    "region": lambda row: row.region,
    "day": lambda row: f"{row.ended.astimezone(UTC):%Y-%m-%d}",
    "month": lambda row: f"{row.ended.astimezone(UTC):%Y-%m}",
    "job": lambda row: str(row.job_id),
}


def report(rows: Sequence[ReportRow], since: datetime | None, by: str = "none") -> Report:
    """Totals of the jobs that ran and ended at or after `since`, grouped by a word of `BY`."""
    if by not in BY:
        raise BadInput(f"reports are not grouped by {by!r}: choose one of {', '.join(BY)}")
    ran = [row for row in rows if _ran(row) and (since is None or row.ended >= since)]
    groups: dict[str, list[ReportRow]] = defaultdict(list)
    for row in sorted(ran, key=lambda row: (row.ended, row.job_id)):
        groups[BY[by](row)].append(row)
    order = sorted(groups, key=int) if by == "job" else sorted(groups)
    return Report(
        since=since,
        by=by,
        groups=tuple(_group(key, groups[key]) for key in order),
        total=_group("total", ran),
    )


def _ran(row: ReportRow) -> bool:
    return row.settlement is None or row.settlement.ran


def _group(key: str, rows: Sequence[ReportRow]) -> ReportGroup:
    receipts = [row.settlement for row in rows if row.settlement is not None]
    states = [receipt.state for receipt in receipts]
    settled = [receipt for receipt in receipts if receipt.state in _SETTLED]
    signals = _signals(receipts)
    return ReportGroup(
        key=key,
        jobs=len(rows),
        provisional=states.count(SettlementState.PROVISIONAL),
        final=states.count(SettlementState.FINAL),
        unverified=states.count(SettlementState.UNVERIFIED),
        unsettled=len(rows) - len(receipts) + states.count(SettlementState.NONE),
        unmetered=sum(receipt.energy_uj is None for receipt in receipts),
        energy_kwh=_sum([receipt.energy_uj for receipt in receipts], _UJ_PER_KWH),
        facility_kwh=_sum([receipt.facility_uj for receipt in receipts], _UJ_PER_KWH),
        signals=signals,
        signals_disagree=_disagree(signals),
        waited_h=sum(receipt.waited_ms for receipt in settled) / _MS_PER_H,
        held_back_h=sum(receipt.held_back_ms or 0 for receipt in settled) / _MS_PER_H,
        idle_gpu_h=sum(receipt.idle_gpu_ms for receipt in settled) / _MS_PER_H,
    )


def _signals(receipts: Iterable[Settlement]) -> tuple[SignalTotal, ...]:
    """By signal and kind: a sum over different kinds would be no quantity."""
    ledgers: dict[tuple[str, str], list[tuple[bool, Ledger]]] = defaultdict(list)
    for receipt in receipts:
        for ledger in receipt.ledgers:
            counts = receipt.state in _SETTLED and ledger.complete
            ledgers[ledger.signal, ledger.kind].append((counts, ledger))
    return tuple(_signal(*key, ledgers[key]) for key in sorted(ledgers))


def _signal(signal: str, kind: str, ledgers: Sequence[tuple[bool, Ledger]]) -> SignalTotal:
    counting = [ledger for counts, ledger in ledgers if counts]
    return SignalTotal(
        signal=signal,
        kind=kind,
        sources=tuple(dict.fromkeys(ledger.source for _, ledger in ledgers)),
        jobs=len(ledgers),
        settled=len(counting),
        emissions_g=sum(ledger.emissions_ug for _, ledger in ledgers) / _UG_PER_G,
        actual_g=_sum([ledger.actual_ug for ledger in counting], _UG_PER_G),
        feasible_g=_sum([ledger.feasible_ug for ledger in counting], _UG_PER_G),
        hypothetical_g=_sum([ledger.hypothetical_ug for ledger in counting], _UG_PER_G),
        saved_feasible_g=_sum([ledger.saved_feasible_ug for ledger in counting], _UG_PER_G),
        saved_hypothetical_g=_sum([ledger.saved_hypothetical_ug for ledger in counting], _UG_PER_G),
    )


def _sum(values: Iterable[int | None], per_unit: int) -> float | None:
    """None where nothing is known; not zero, which would be a number."""
    known = [value for value in values if value is not None]
    return sum(known) / per_unit if known else None


def _disagree(signals: Sequence[SignalTotal]) -> bool:
    """True where one signal says that carbon was saved and another that it was lost."""
    gained = {each.signal for each in signals if (each.saved_feasible_g or 0) > 0}
    lost = {each.signal for each in signals if (each.saved_feasible_g or 0) < 0}
    return any(one != other for one in gained for other in lost)
