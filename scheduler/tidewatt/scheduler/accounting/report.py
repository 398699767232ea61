"""Sums receipts into reports, in integers until the last step."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.accounting.experiment import experiment_of
from tidewatt.scheduler.accounting.holdout import Arm, Outcome, compare
from tidewatt.scheduler.accounting.own import latest
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.report_schema import (
    HoldOut,
    NotOver,
    OwnUse,
    Report,
    ReportGroup,
    SignalTotal,
)
from tidewatt.scheduler.accounting.totals import (
    SETTLED,
    Tallies,
    scaled_sum,
    signal_totals,
    tallies,
    together,
)
from tidewatt.scheduler.accounting.uncertainty import Baseline
from tidewatt.scheduler.accounting.units import HOUR_MS, UG_PER_G, UJ_PER_KWH
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import SettlementState

__all__ = ["BASELINES", "BY", "Report", "ReportGroup", "ReportRow", "SignalTotal", "report"]

BASELINES: tuple[Baseline, ...] = ("feasible", "hypothetical")


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A job that has ended; `settlement` is None until the first attempt to settle it.

    `array` is the number of its array, 0 for none. `arm`, `stratum` are its lot, "" where none was drawn, and
    `signal` the one that decided.
    """

    job_id: int
    user: str
    project: str
    region: str
    ended: datetime
    settlement: Settlement | None
    labels: Mapping[str, str] = field(default_factory=dict)
    array: int = 0
    arm: str = ""
    stratum: str = ""
    signal: str = ""


BY: dict[str, Callable[[ReportRow], str]] = {
    "none": lambda row: "all",
    "project": lambda row: row.project or "(none)",
    "user": lambda row: row.user,
    "region": lambda row: row.region,
    "experiment": lambda row: experiment_of(row.labels, row.array) or "(none)",
    "day": lambda row: f"{row.ended.astimezone(UTC):%Y-%m-%d}",
    "month": lambda row: f"{row.ended.astimezone(UTC):%Y-%m}",
    "job": lambda row: str(row.job_id),
}


def report(
    rows: Sequence[ReportRow],
    since: datetime | None,
    by: str = "none",
    *,
    baseline: str = "feasible",
    until: datetime | None = None,
    own: Iterable[Mapping[str, Any]] = (),
    hold_out_share_ppm: int = 0,
    not_over: NotOver | None = None,
) -> Report:
    """Totals of the jobs that ran and ended at or after `since`, grouped by a word of `BY`.

    One kind of baseline holds for the whole of it. `own` are the payloads of events "own", in their order: of
    each hour the last counts. What Tidewatt used is on the actual side of the total, and in no group.
    `not_over` counts the jobs that ran and have not ended: they are told, and in no sum.
    """
    if by not in BY:
        raise BadInput(f"reports are not grouped by {by!r}: choose one of {', '.join(BY)}")
    kind = next((each for each in BASELINES if each == baseline), None)
    if kind is None:
        raise BadInput(f"there is no baseline {baseline!r}: choose feasible or hypothetical")
    ended = [row for row in rows if since is None or row.ended >= since]
    ran = [row for row in ended if _ran(row)]
    groups: dict[str, list[ReportRow]] = defaultdict(list)
    for row in sorted(ran, key=lambda row: (row.ended, row.job_id)):
        groups[BY[by](row)].append(row)
    order = sorted(groups, key=int) if by == "job" else sorted(groups)
    sums = {key: tallies(_receipts(groups[key]), kind) for key in order}
    used = _Own(latest(own, 0 if since is None else time_ms(since)))
    return Report(
        since=since,
        until=until,
        by=by,
        baseline=kind,
        groups=tuple(_group(key, groups[key], sums[key]) for key in order),
        total=_group("total", ran, together(sums.values(), kind, used.actual_ug)),
        own=used.view() if used.hours else None,
        hold_out=_hold_out(ended, hold_out_share_ppm / 1e6),
        not_over=not_over,
    )


def _ran(row: ReportRow) -> bool:
    return row.settlement is None or row.settlement.ran


def _receipts(rows: Iterable[ReportRow]) -> list[Settlement]:
    return [row.settlement for row in rows if row.settlement is not None]


def _group(key: str, rows: Sequence[ReportRow], sums: Tallies) -> ReportGroup:
    receipts = _receipts(rows)
    states = Counter(receipt.state for receipt in receipts)
    settled = [receipt for receipt in receipts if receipt.state in SETTLED]
    signals, differ = signal_totals(sums)
    return ReportGroup(
        key=key,
        jobs=len(rows),
        provisional=states[SettlementState.PROVISIONAL],
        final=states[SettlementState.FINAL],
        unverified=states[SettlementState.UNVERIFIED],
        unsettled=len(rows) - len(receipts) + states[SettlementState.NONE],
        unmetered=sum(receipt.energy_uj is None for receipt in receipts),
        energy_kwh=scaled_sum([receipt.energy_uj for receipt in receipts], UJ_PER_KWH),
        facility_kwh=scaled_sum([receipt.facility_uj for receipt in receipts], UJ_PER_KWH),
        signals=signals,
        signals_disagree=differ,
        waited_h=sum(receipt.waited_ms for receipt in settled) / HOUR_MS,
        held_back_h=sum(receipt.held_back_ms or 0 for receipt in settled) / HOUR_MS,
        idle_gpu_h=sum(receipt.idle_gpu_ms for receipt in settled) / HOUR_MS,
    )


@dataclass(frozen=True, slots=True)
class _Own:
    """What Tidewatt itself used and emitted, hour by hour."""

    hours: tuple[Mapping[str, Any], ...]

    @property
    def actual_ug(self) -> dict[str, int]:
        """Emissions by signal that would not have been without it: of its draw above idle, where told."""
        return self._emitted("actual_ug")

    def view(self) -> OwnUse:
        energy = [sum(each["energy_uj"].values()) for each in self.hours if each.get("energy_uj")]
        hows = dict.fromkeys(_how(each) for each in self.hours)
        return OwnUse(
            energy_kwh=scaled_sum(energy, UJ_PER_KWH),
            emissions_g={signal: ug / UG_PER_G for signal, ug in self._emitted("emissions_ug").items()},
            how="; ".join(each for each in hows if each),
        )

    def _emitted(self, name: str) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for each in self.hours:
            sums.update(each.get(name) or each.get("emissions_ug") or {})
        return dict(sorted(sums.items()))


def _how(payload: Mapping[str, Any]) -> str:
    how = payload.get("how", "")
    return ", ".join(f"{name} {word}" for name, word in how.items()) if isinstance(how, Mapping) else str(how)


def _hold_out(rows: Iterable[ReportRow], share: float) -> HoldOut | None:
    """The comparison of the two arms; None where no lot was ever drawn.

    It is by the deciding signal, or where no job has an account of that, by the one that most have.
    """
    drawn = sorted((row for row in rows if row.arm), key=lambda row: row.job_id)
    if not drawn:
        return None
    deciding = Counter(row.signal for row in drawn).most_common(1)[0][0]
    had = Counter(ledger.signal for row in drawn if row.settlement for ledger in row.settlement.ledgers)
    signal = deciding if had[deciding] or not had else max(sorted(had), key=had.__getitem__)
    outcomes = [_outcome(row, signal) for row in drawn]
    known = [each for each in outcomes if each is not None]
    return compare(share, signal, known, without=len(drawn) - len(known))


def _outcome(row: ReportRow, signal: str) -> Outcome | None:
    """Grams per kWh above idle, whatever became of the job; None where it has no account, or drew nothing."""
    receipt = row.settlement
    if receipt is None or receipt.state not in SETTLED:
        return None
    active_uj = sum(part.active_uj or 0 for part in receipt.components)
    ledger = next((each for each in receipt.ledgers if each.signal == signal), None)
    if ledger is None or not active_uj:
        return None
    grams_per_kwh = ledger.actual_ug / UG_PER_G / (active_uj / UJ_PER_KWH)
    return Outcome(Arm(row.arm), row.stratum, grams_per_kwh)
