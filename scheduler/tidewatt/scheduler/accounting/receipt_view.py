"""A receipt as clients see it, in joules, grams and seconds."""

from typing import TYPE_CHECKING

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.grade import of_all
from tidewatt.scheduler.accounting.levers import Levers
from tidewatt.scheduler.accounting.pauses import PauseUse
from tidewatt.scheduler.accounting.phases import PhaseUse
from tidewatt.scheduler.accounting.standing import Standing, standings
from tidewatt.scheduler.schemas import (
    ComponentView,
    LedgerView,
    LeversView,
    PauseView,
    PhaseView,
    SettlementView,
)

if TYPE_CHECKING:
    from tidewatt.scheduler.accounting.receipt import Component, Ledger, Settlement


def settlement_view(settlement: "Settlement") -> SettlementView:
    """The message; what is not known is None in it, never zero."""
    held_back_ms, found = settlement.held_back_ms, standings(settlement)
    return SettlementView(
        state=settlement.state,
        settled_at=settlement.settled_at,
        energy_j=_scaled(settlement.energy_uj),
        facility_j=_scaled(settlement.facility_uj),
        pue=settlement.pue_micro / 1e6,
        pue_source=settlement.pue_source,
        components=tuple(_component(part) for part in settlement.components),
        ledgers=tuple(_ledger(ledger, found[ledger.signal]) for ledger in settlement.ledgers),
        waited_s=settlement.waited_ms / 1e3,
        held_back_s=None if held_back_ms is None else held_back_ms / 1e3,
        idle_gpu_s=settlement.idle_gpu_ms / 1e3,
        feasible_start=settlement.feasible_start,
        notes=settlement.notes,
        phases=tuple(_phase(each) for each in settlement.phases),
        counts=dict(settlement.counts),
        grade=of_all({signal: each.grade for signal, each in found.items()}),
        signals_disagree=settlement.signals_disagree,
        boundary=settlement.boundary,
        method_version=settlement.method_version,
        pauses=tuple(map(_pause, settlement.pauses)),
    )


def _component(part: "Component") -> ComponentView:
    return ComponentView(
        component=part.component,
        how=part.how,
        source=part.source,
        energy_j=_scaled(part.energy_uj),
        active_j=_scaled(part.active_uj),
        coverage=part.coverage_ppm / 1e6,
    )


def _phase(use: PhaseUse) -> PhaseView:
    return PhaseView(
        phase=use.phase,
        label=use.label,
        lost=use.lost,
        seconds=use.ms / 1e3,
        energy_j=_scaled(use.energy_uj),
        active_j=_scaled(use.active_uj),
    )


def _pause(use: PauseUse) -> PauseView:
    back_ms = use.coming_back_ms
    return PauseView(
        attempt_id=use.attempt_id,
        by=use.by,
        at=moment(use.at_ms),
        region=use.region,
        next_region=use.next_region,
        saving_s=use.saving_ms / 1e3,
        saving_j=_scaled(use.saving_uj),
        standing_s=use.standing_ms / 1e3,
        standing_j=_scaled(use.standing_uj),
        coming_back_s=None if back_ms is None else back_ms / 1e3,
        coming_back_j=_scaled(use.coming_back_uj),
        lost_s=use.lost_ms / 1e3,
        lost_j=_scaled(use.lost_uj),
        moved_j=_scaled(use.moved_uj),
    )


def _ledger(ledger: "Ledger", standing: Standing) -> LedgerView:
    return LedgerView(
        signal=ledger.signal,
        source=ledger.source,
        kind=ledger.kind,
        g=ledger.emissions_ug / 1e6,
        actual_g=ledger.actual_ug / 1e6,
        feasible_g=_scaled(ledger.feasible_ug),
        hypothetical_g=_scaled(ledger.hypothetical_ug),
        saved_feasible_g=_scaled(ledger.saved_feasible_ug),
        saved_hypothetical_g=_scaled(ledger.saved_hypothetical_ug),
        forecast_saved_g=_scaled(ledger.forecast_saved_ug),
        levers=None if ledger.levers is None else _levers(ledger.levers),
        interval=None if standing.interval is None else standing.interval.view(),
        grade=standing.grade,
    )


def _levers(levers: Levers) -> LeversView:
    return LeversView(
        time_feasible_g=_scaled(levers.time_feasible_ug),
        time_hypothetical_g=_scaled(levers.time_hypothetical_ug),
        region_g=levers.region_ug / 1e6,
        efficiency_g=levers.efficiency_ug / 1e6,
        pauses_g=levers.pauses_ug / 1e6,
        lost_work_g=levers.lost_work_ug / 1e6,
        transfer_g=levers.transfer_ug / 1e6,
        unverified_efficiency_g=_scaled(levers.unverified_efficiency_ug),
    )


def _scaled(millionths: int | None) -> float | None:
    return None if millionths is None else millionths / 1e6
