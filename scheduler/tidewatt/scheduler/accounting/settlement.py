"""Settles an ended job: energy times the intensity that really happened, against immediate execution."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting import metered
from tidewatt.scheduler.accounting.account import Account, Observations, account
from tidewatt.scheduler.accounting.frozen import METHOD_VERSION, MICRO, Frozen
from tidewatt.scheduler.accounting.metered import AttemptRun
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.jobs import SettlementState

__all__ = ["METHOD_VERSION", "AttemptRun", "Frozen", "Observations", "Settlement", "settle"]


def settle(
    frozen: Frozen,
    runs: Sequence[AttemptRun],
    feasible_start: datetime | None,
    observations: Observations,
    now: datetime,
    final_after: timedelta = timedelta(hours=24),
    unverified_after: timedelta = timedelta(days=7),
    *,
    predecessors_ended: bool = True,
) -> Settlement:
    """The account of a job that has ended, as far as it can be known at `now`.

    `feasible_start` is the job's start in the first-in-first-out replay of the home region, None where that
    could never hold it; `predecessors_ended` tells whether it can still move. A provisional account becomes
    final `final_after` the job's end, one without observations is closed as unverified after
    `unverified_after`. A job that never ran has nothing to account for and is final at once; one whose
    energy, zone or baseline can never be known is unverified at once.
    """
    runs = sorted(runs, key=lambda run: (run.usage.start_ms, run.attempt_id))
    accounts = _accounts(frozen, runs, feasible_start, observations)
    if not runs:
        state = SettlementState.FINAL
    elif not accounts:
        state = SettlementState.UNVERIFIED
    else:
        age = now - moment(runs[-1].usage.end_ms)
        state = _state(accounts, frozen.signal, age >= unverified_after)
        if state is SettlementState.PROVISIONAL and predecessors_ended and age >= final_after:
            state = SettlementState.FINAL
    return _settlement(state, frozen, runs, feasible_start, now, accounts)


def _accounts(
    frozen: Frozen,
    runs: Sequence[AttemptRun],
    feasible_start: datetime | None,
    observations: Observations,
) -> dict[str, Account]:
    """By signal; none where no energy is known or no zone is configured."""
    if all(part.energy_uj is None for part in metered.components(runs)):
        return {}
    zones = [frozen.home_zones, *(run.zones for run in runs)]
    signals = sorted({str(signal) for each in zones for signal in each})
    return {signal: account(signal, frozen, runs, feasible_start, observations) for signal in signals}


def _state(accounts: Mapping[str, Account], deciding: str, overdue: bool) -> SettlementState:
    """Never final. The deciding signal is waited for; where it is hopeless or overdue, another will do."""
    waiting = [signal for signal, each in accounts.items() if not (each.complete or each.hopeless)]
    complete = any(each.complete for each in accounts.values())
    if not overdue and (deciding in waiting or (waiting and not complete)):
        return SettlementState.NONE
    return SettlementState.PROVISIONAL if complete else SettlementState.UNVERIFIED


def _settlement(
    state: SettlementState,
    frozen: Frozen,
    runs: Sequence[AttemptRun],
    feasible_start: datetime | None,
    now: datetime,
    accounts: Mapping[str, Account],
) -> Settlement:
    parts = metered.components(runs)
    known_uj = [part.energy_uj for part in parts if part.energy_uj is not None]
    held_back_ms = None
    if runs and feasible_start is not None:
        held_back_ms = runs[0].usage.start_ms - time_ms(feasible_start)
    ledgers = [each.ledger for each in accounts.values() if each.ledger is not None]
    return Settlement(
        state=state,
        settled_at=now,
        method_version=frozen.method_version,
        energy_uj=sum(known_uj) if known_uj or not runs else None,
        facility_uj=metered.facility_uj(runs) if known_uj or not runs else None,
        pue_micro=_pue_micro(frozen, runs),
        pue_source="; ".join(dict.fromkeys(run.pue_source for run in runs)) or frozen.home_pue_source,
        components=parts,
        ledgers=() if state is SettlementState.NONE else tuple(ledgers),
        waited_ms=runs[0].usage.start_ms - time_ms(frozen.submitted) if runs else 0,
        held_back_ms=held_back_ms,
        idle_gpu_ms=frozen.gpus * max(held_back_ms or 0, 0),
        feasible_start=feasible_start,
        digests=tuple((run.attempt_id, run.usage.digest) for run in runs),
        notes=_notes(frozen.signal, runs, accounts),
    )


def _notes(deciding: str, runs: Sequence[AttemptRun], accounts: Mapping[str, Account]) -> tuple[str, ...]:
    parts = metered.components(runs)
    found = metered.notes(runs, parts)
    if not runs:
        found.append("it never ran: nothing was used")
    elif all(part.energy_uj is None for part in parts):
        found.append("nothing was metered: energy and carbon are unknown")
    elif not accounts:
        found.append("no zone is configured: energy is shown, carbon is not (`tidewatt zones` finds yours)")
    for each in accounts.values():
        if each.signal == deciding or each.ledger is not None:  # nobody asked for a signal that no source has
            found += each.lacks
    return tuple(dict.fromkeys(found))


def _pue_micro(frozen: Frozen, runs: Sequence[AttemptRun]) -> int:
    """The PUE of all attempts, weighted by their energy."""
    pues = {run.pue for run in runs} or {frozen.home_pue}
    energy_uj = sum(run.energy_uj for run in runs)
    if len(pues) == 1 or not energy_uj:
        return round(max(pues) * MICRO)
    return round(metered.facility_uj(runs) / energy_uj * MICRO)
