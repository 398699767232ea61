"""Settles an ended job: energy times the intensity that really happened, against immediate execution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting import metered
from tidewatt.scheduler.accounting.account import Account, account
from tidewatt.scheduler.accounting.cells import Borders, cut
from tidewatt.scheduler.accounting.frozen import METHOD_VERSION, MICRO, Frozen
from tidewatt.scheduler.accounting.home import at_one_home
from tidewatt.scheduler.accounting.metered import AttemptRun, Move
from tidewatt.scheduler.accounting.observed import Observations, Observed
from tidewatt.scheduler.accounting.pause_uses import pause_uses
from tidewatt.scheduler.accounting.phase_uses import phase_uses
from tidewatt.scheduler.accounting.quantity import span
from tidewatt.scheduler.accounting.receipt import Component, Settlement
from tidewatt.scheduler.accounting.units import UJ_PER_KWH
from tidewatt.scheduler.jobs import SettlementState

__all__ = ["METHOD_VERSION", "AttemptRun", "Frozen", "Observations", "Settlement", "settle"]


@dataclass(frozen=True, slots=True)
class _Case:
    """What an account is made from."""

    frozen: Frozen
    runs: Sequence[AttemptRun]
    feasible_start: datetime | None
    forecast_saved_ug: Mapping[str, int]
    parts: tuple[Component, ...]
    edited: tuple[str, ...]  # what the operator changed of home, in sentences
    overdue_ms: int


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
    forecast_saved_ug: Mapping[str, int] | None = None,
    overdue_ms: int = 0,
) -> Settlement:
    """The account of a job that has ended, as far as it can be known at `now`.

    `feasible_start` is the job's start in the first-in-first-out replay of the home region, None where that
    could never hold it; `predecessors_ended` tells whether it can still move. `forecast_saved_ug` is what the
    plan at launch promised, by signal, `overdue_ms` how much later than planned it started. A
    provisional account becomes final `final_after` the job's end, one without observations is closed as
    unverified after `unverified_after`. A job that never ran has nothing to account for and is final at once;
    one whose energy, zone or baseline can never be known is unverified at once.
    """
    in_order = sorted(runs, key=lambda run: (run.usage.start_ms, run.attempt_id))
    frozen, runs, edited = at_one_home(frozen, in_order)
    parts = metered.components(runs)
    case = _Case(
        frozen, runs, feasible_start, forecast_saved_ug or {}, parts, tuple(edited), overdue_ms if runs else 0
    )
    found = _observed(case, observations)
    cells = cut(runs, _borders(case, found))
    accounts = {each.signal: account(each, frozen, runs, cells) for each in found}
    if not runs:
        state = SettlementState.FINAL
    elif not accounts:
        state = SettlementState.UNVERIFIED
    else:
        age = now - moment(runs[-1].usage.end_ms)
        state = _state(accounts, frozen.signal, age >= unverified_after)
        if state is SettlementState.PROVISIONAL and predecessors_ended and age >= final_after:
            state = SettlementState.FINAL
    settlement = _settlement(state, case, now, accounts)
    if state is SettlementState.NONE:  # or it would say something new with every step that comes in
        cells = cut(runs, _borders(case, ()))
    uses, pauses = phase_uses(frozen, runs, cells), pause_uses(runs, cells)
    return replace(settlement, profile=cells, phases=uses, pauses=pauses)


def _observed(case: _Case, observations: Observations) -> list[Observed]:
    """What was observed, by signal; nothing where no energy is known or no zone is configured."""
    if all(part.energy_uj is None for part in case.parts):
        return []
    zones = [case.frozen.home_zones, *(run.zones for run in case.runs)]
    signals = sorted({str(signal) for each in zones for signal in each})
    start = case.feasible_start
    return [Observed(signal, case.frozen, case.runs, start, observations) for signal in signals]


def _borders(case: _Case, found: Sequence[Observed]) -> Borders:
    """The borders of all steps that may price a cell, by all signals."""
    nothing = np.empty(0, np.int64)
    there = {
        run.attempt_id: np.concatenate(
            [
                nothing,
                *(each.borders_ms(run.zones[each.signal]) for each in found if each.signal in run.zones),
            ]
        )
        for run in case.runs
    }
    home = np.concatenate([nothing, *(each.borders_ms(each.home_zone) for each in found)])
    begins = {needed.start_ms for each in found for needed in each.baselines.values()}
    return Borders(there, home, tuple(sorted(begins)))


def _state(accounts: Mapping[str, Account], deciding: str, overdue: bool) -> SettlementState:
    """Never final. The deciding signal is waited for; where it is hopeless or overdue, another will do."""
    waiting = [signal for signal, each in accounts.items() if not (each.complete or each.hopeless)]
    complete = any(each.complete for each in accounts.values())
    if not overdue and (deciding in waiting or (waiting and not complete)):
        return SettlementState.NONE
    return SettlementState.PROVISIONAL if complete else SettlementState.UNVERIFIED


def _settlement(
    state: SettlementState, case: _Case, now: datetime, accounts: Mapping[str, Account]
) -> Settlement:
    frozen, runs, feasible_start = case.frozen, case.runs, case.feasible_start
    parts = case.parts
    known_uj = [part.energy_uj for part in parts if part.energy_uj is not None]
    held_back_ms = None
    if runs and feasible_start is not None:
        held_back_ms = runs[0].usage.start_ms - time_ms(feasible_start)
    ledgers = [
        replace(each.ledger, forecast_saved_ug=case.forecast_saved_ug.get(each.signal))
        for each in accounts.values()
        if each.ledger is not None
    ]
    return Settlement(
        state=state,
        settled_at=now,
        method_version=METHOD_VERSION,
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
        notes=_notes(case, accounts),
        counts=_counts(runs),
        boundary=metered.boundary(parts) if runs else "",
        efficiency={run.attempt_id: run.efficiency for run in runs if run.efficiency is not None},
        overdue_ms=case.overdue_ms,
    )


def _counts(runs: Sequence[AttemptRun]) -> dict[str, int]:
    """What the attempts reported, added up; parameters are the model's, so their highest number."""
    found: dict[str, int] = {}
    for run in runs:
        for name, count in run.progress.counts.items():
            both = (found.get(name, 0), count)
            found[name] = max(both) if name == "parameters" else sum(both)
    return dict(sorted(found.items()))


def _notes(case: _Case, accounts: Mapping[str, Account]) -> tuple[str, ...]:
    runs, frozen = case.runs, case.frozen
    parts = case.parts
    found = metered.notes(runs, parts)
    if not runs:
        found.append("it never ran: nothing was used")
    elif all(part.energy_uj is None for part in parts):
        found.append("nothing was metered: energy and carbon are unknown")
    elif not accounts:
        found.append("no zone is configured: energy is shown, carbon is not (`tidewatt zones` finds yours)")
    for each in accounts.values():
        if each.signal == frozen.signal or each.ledger is not None:  # nobody asked for one that no source has
            found += each.lacks
    found += case.edited
    if case.overdue_ms:
        found.append(
            f"it started {span(case.overdue_ms)} after its plan said: that delay was nobody's plan, "
            "and is in the saving"
        )
    found += [_moved(run.move) for run in runs if run.move is not None]
    found += [f"hardware: {run.efficiency.source}" for run in runs if run.efficiency is not None]
    if frozen.method_version != METHOD_VERSION:
        found.append(
            f"settled by method {METHOD_VERSION}; method {frozen.method_version} was current at submit"
        )
    return tuple(dict.fromkeys(found))


def _moved(move: Move) -> str:
    return (
        f"data moved from {move.origin}: {move.energy_uj / UJ_PER_KWH:.3g} kWh ({move.source}), in the "
        "emissions and on the actual side, not in the energy metered here"
    )


def _pue_micro(frozen: Frozen, runs: Sequence[AttemptRun]) -> int:
    """The PUE of all attempts, weighted by their energy."""
    pues = {run.pue_micro for run in runs} or {round(frozen.home_pue * MICRO)}
    energy_uj = sum(run.energy_uj for run in runs)
    if len(pues) == 1 or not energy_uj:
        return max(pues)
    return round(metered.facility_uj(runs) * MICRO / energy_uj)
