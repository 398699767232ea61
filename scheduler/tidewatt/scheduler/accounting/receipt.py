"""A settled job: its energy, emissions, baselines and savings, and where each of them came from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.schemas import ComponentView, LedgerView, SettlementView

Record = dict[str, Any]
"""Integers, strings, and lists and objects of them; what is not known is left out."""


@dataclass(frozen=True, slots=True)
class Component:
    """Energy of one component, PUE not applied; None where it was not metered, which is not zero."""

    component: str
    how: How
    source: str
    energy_uj: int | None
    active_uj: int | None  # the draw above idle
    coverage_ppm: int  # share of the job's run that was metered


@dataclass(frozen=True, slots=True)
class Ledger:
    """One signal's account in micrograms, PUE applied. Ledgers of different signals are never added.

    `emissions_ug` is all energy attributed to the job; actual and baselines hold only the draw above idle,
    since a machine that stays on draws its idle power anyway. Baselines are None where they cannot be known.
    """

    signal: str
    source: str
    kind: str
    emissions_ug: int
    actual_ug: int
    feasible_ug: int | None
    hypothetical_ug: int | None

    @property
    def saved_feasible_ug(self) -> int | None:
        """Feasible baseline minus actual; negative where waiting made it worse."""
        return None if self.feasible_ug is None else self.feasible_ug - self.actual_ug

    @property
    def saved_hypothetical_ug(self) -> int | None:
        """Hypothetical baseline minus actual; negative where waiting made it worse."""
        return None if self.hypothetical_ug is None else self.hypothetical_ug - self.actual_ug

    @property
    def complete(self) -> bool:
        """True where both savings are known."""
        return self.feasible_ug is not None and self.hypothetical_ug is not None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a job used, emitted and saved, in integers.

    `energy_uj` sums the metered components (None: none was), `facility_uj` has PUE applied; `pue_micro` is
    their ratio in millionths. `waited_ms` is real start minus submission, `held_back_ms` real start minus
    feasible start (negative where it ran before its turn), `idle_gpu_ms` the GPU time left idle by that
    waiting. `digests` are those of the readings, by attempt.
    """

    state: SettlementState
    settled_at: datetime
    method_version: str
    energy_uj: int | None
    facility_uj: int | None
    pue_micro: int
    pue_source: str
    components: tuple[Component, ...]
    ledgers: tuple[Ledger, ...]
    waited_ms: int
    held_back_ms: int | None
    idle_gpu_ms: int
    feasible_start: datetime | None
    digests: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def ran(self) -> bool:
        """False for a job that ended before any attempt of it ran."""
        return bool(self.digests)

    def restates(self, earlier: "Settlement") -> bool:
        """True where anything but the moment of settling differs."""
        return replace(self, settled_at=earlier.settled_at) != earlier

    def record(self) -> Record:
        """The settlement for the event table; `restored` reads it."""
        start = self.feasible_start
        return _known(
            settled_at_ms=time_ms(self.settled_at),
            state=str(self.state),
            method_version=self.method_version,
            energy_uj=self.energy_uj,
            facility_uj=self.facility_uj,
            pue_micro=self.pue_micro,
            pue_source=self.pue_source,
            components=[_known(**_fields(component)) for component in self.components],
            ledgers=[_known(**_fields(ledger)) for ledger in self.ledgers],
            waited_ms=self.waited_ms,
            held_back_ms=self.held_back_ms,
            idle_gpu_ms=self.idle_gpu_ms,
            feasible_start_ms=None if start is None else time_ms(start),
            digests=dict(self.digests),
            notes=list(self.notes),
        )

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> "Settlement":
        """The settlement that `record` wrote."""
        start_ms = record.get("feasible_start_ms")
        return cls(
            state=SettlementState(record["state"]),
            settled_at=moment(record["settled_at_ms"]),
            method_version=record["method_version"],
            energy_uj=record.get("energy_uj"),
            facility_uj=record.get("facility_uj"),
            pue_micro=record["pue_micro"],
            pue_source=record["pue_source"],
            components=tuple(_component(each) for each in record["components"]),
            ledgers=tuple(_ledger(each) for each in record["ledgers"]),
            waited_ms=record["waited_ms"],
            held_back_ms=record.get("held_back_ms"),
            idle_gpu_ms=record["idle_gpu_ms"],
            feasible_start=None if start_ms is None else moment(start_ms),
            digests=tuple(record["digests"].items()),
            notes=tuple(record["notes"]),
        )

    def view(self) -> SettlementView:
        """The settlement as clients see it, in joules, grams and seconds."""
        return SettlementView(
            state=self.state,
            settled_at=self.settled_at,
            energy_j=_scaled(self.energy_uj),
            facility_j=_scaled(self.facility_uj),
            pue=self.pue_micro / 1e6,
            pue_source=self.pue_source,
            components=tuple(_component_view(component) for component in self.components),
            ledgers=tuple(_ledger_view(ledger) for ledger in self.ledgers),
            waited_s=self.waited_ms / 1e3,
            held_back_s=None if self.held_back_ms is None else self.held_back_ms / 1e3,
            idle_gpu_s=self.idle_gpu_ms / 1e3,
            feasible_start=self.feasible_start,
            notes=self.notes,
        )


def _component_view(part: Component) -> ComponentView:
    return ComponentView(
        component=part.component,
        how=part.how,
        source=part.source,
        energy_j=_scaled(part.energy_uj),
        active_j=_scaled(part.active_uj),
        coverage=part.coverage_ppm / 1e6,
    )


def _ledger_view(ledger: Ledger) -> LedgerView:
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
    )


def _scaled(millionths: int | None) -> float | None:
    return None if millionths is None else millionths / 1e6


def _known(**values: Any) -> Record:
    return {name: value for name, value in values.items() if value is not None}


def _fields(part: Component | Ledger) -> Record:
    values = {name: getattr(part, name) for name in part.__dataclass_fields__}
    return {name: str(value) if isinstance(value, str) else value for name, value in values.items()}


def _component(record: Record) -> Component:
    unknown = {"energy_uj": None, "active_uj": None}
    return Component(**{**unknown, **record, "how": How(record["how"])})


def _ledger(record: Record) -> Ledger:
    return Ledger(**{"feasible_ug": None, "hypothetical_ug": None, **record})
