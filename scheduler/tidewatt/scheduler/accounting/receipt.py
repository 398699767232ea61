"""A settled job: its energy, emissions, baselines and savings, and where each of them came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.grade import disagree
from tidewatt.scheduler.accounting.levers import Exposure, Levers
from tidewatt.scheduler.accounting.pairs import Efficiency
from tidewatt.scheduler.accounting.pauses import PauseUse
from tidewatt.scheduler.accounting.phases import Phase, PhaseUse
from tidewatt.scheduler.accounting.profile import Cell, cell_records, restored_cells
from tidewatt.scheduler.accounting.receipt_view import settlement_view
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.schemas import SettlementView

Record = dict[str, Any]
"""Integers, strings, and lists and objects of them; what is not known is left out."""

_EXACT = 2**53 - 1  # larger integers travel as strings: JSON's readers round them


@dataclass(frozen=True, slots=True)
class Component:
    """Energy of one component, PUE not applied; None where it was not metered, which is not zero."""

    component: str
    how: How
    source: str
    energy_uj: int | None
    active_uj: int | None  # the draw above idle
    coverage_ppm: int  # share of the job's run that was metered
    modelled_uj: int = 0  # of the energy, what is a model's


@dataclass(frozen=True, slots=True)
class Ledger:
    """One signal's account in micrograms, PUE applied. Ledgers of different signals are never added.

    `emissions_ug` is all energy attributed to the job, and data moved for it; actual and baselines hold only
    the draw above idle, since a machine that stays on draws its idle power anyway. Baselines are None where
    they cannot be known, `levers` where home's intensity at the time of the run is not. `forecast_saved_ug`
    is what the plan at launch promised against starting at once.
    """

    signal: str
    source: str
    kind: str
    emissions_ug: int
    actual_ug: int
    feasible_ug: int | None
    hypothetical_ug: int | None
    levers: Levers | None = None
    exposures: tuple[Exposure, ...] = ()
    forecast_saved_ug: int | None = None

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
    waiting. `digests` are those of the readings, by attempt. `profile` is the energy in cells, of which all
    emissions are sums; while nothing is settled they are cut at phases and hours only. `counts` are what the
    training script reported; `boundary` says what was metered; `efficiency` compares, by attempt, the
    hardware with home's where that differs; `overdue_ms` is how long starts were late by their own plan
    (`accounting.runs.overdue_ms`), `pauses` what each of them took. Records of method
    1 have neither cells nor phases nor levers.
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
    profile: tuple[Cell, ...] = ()
    phases: tuple[PhaseUse, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    boundary: str = ""
    efficiency: Mapping[str, Efficiency] = field(default_factory=dict)
    overdue_ms: int = 0
    pauses: tuple[PauseUse, ...] = ()

    @property
    def ran(self) -> bool:
        """False for a job that ended before any attempt of it ran."""
        return bool(self.digests)

    @property
    def signals_disagree(self) -> bool:
        """True where by one signal carbon was saved in its turn and by another lost."""
        return disagree((ledger.signal, ledger.saved_feasible_ug) for ledger in self.ledgers)

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
            ledgers=[_ledger_record(ledger) for ledger in self.ledgers],
            waited_ms=self.waited_ms,
            held_back_ms=self.held_back_ms,
            idle_gpu_ms=self.idle_gpu_ms,
            feasible_start_ms=None if start is None else time_ms(start),
            digests=dict(self.digests),
            notes=list(self.notes),
            profile=cell_records(self.profile) or None,
            phases=[_phase_record(use) for use in self.phases] or None,
            counts={name: _exact(count) for name, count in self.counts.items()} or None,
            boundary=self.boundary or None,
            efficiency={name: each.record() for name, each in self.efficiency.items()} or None,
            overdue_ms=self.overdue_ms or None,
            pauses=[each.record() for each in self.pauses] or None,
        )

    @classmethod
    def restored(cls, record: Mapping[str, Any], *, cells: bool = True) -> "Settlement":
        """The settlement that `record` wrote; without `cells` it has no profile, and is read sooner."""
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
            profile=restored_cells(record.get("profile", ())) if cells else (),
            phases=tuple(_phase(each) for each in record.get("phases", ())),
            counts={name: int(count) for name, count in record.get("counts", {}).items()},
            boundary=record.get("boundary", ""),
            efficiency={
                name: Efficiency.restored(each) for name, each in record.get("efficiency", {}).items()
            },
            overdue_ms=record.get("overdue_ms", 0),
            pauses=tuple(PauseUse.restored(each) for each in record.get("pauses", ())),
        )

    def view(self) -> SettlementView:
        """The settlement as clients see it, in joules, grams and seconds."""
        return settlement_view(self)


def _known(**values: Any) -> Record:
    return {name: value for name, value in values.items() if value is not None}


def _fields(part: Any) -> Record:
    values = {name: getattr(part, name) for name in part.__dataclass_fields__}
    return {name: str(value) if isinstance(value, str) else value for name, value in values.items()}


def _exact(count: int) -> int | str:
    return count if abs(count) <= _EXACT else str(count)


def _ledger_record(ledger: Ledger) -> Record:
    values = _fields(ledger)
    levers = values.pop("levers")
    values["levers"] = None if levers is None else _known(**_fields(levers))
    values["exposures"] = [list(_fields(each).values()) for each in ledger.exposures] or None
    return _known(**values)


def _phase_record(use: PhaseUse) -> Record:
    values = _fields(use)
    values["lost"] = 1 if use.lost else None
    values["label"] = use.label or None
    return _known(**values)


def productive_ms_of(phases: Iterable[Mapping[str, Any]]) -> int | None:
    """The running time that counts, from the phases of a record; None of a job that has none."""
    running = [each for each in phases if each["phase"] == str(Phase.RUNNING)]
    return sum(each["ms"] for each in running if not each.get("lost")) if running else None


def _component(record: Record) -> Component:
    unknown = {"energy_uj": None, "active_uj": None}
    return Component(**{**unknown, **record, "how": How(record["how"])})


def _ledger(record: Record) -> Ledger:
    levers, exposures = record.get("levers"), record.get("exposures", ())
    parts = {
        "feasible_ug": None,
        "hypothetical_ug": None,
        **record,
        "levers": None if levers is None else _levers(levers),
        "exposures": tuple(Exposure(*each) for each in exposures),
    }
    return Ledger(**parts)


def _levers(record: Record) -> Levers:
    return Levers(**{"time_feasible_ug": None, "time_hypothetical_ug": None, **record})


def _phase(record: Record) -> PhaseUse:
    values = {"label": "", **record, "phase": Phase(record["phase"]), "lost": bool(record.get("lost", 0))}
    return PhaseUse(**values)
