"""A settled job: its energy, emissions, baselines and savings, and where each of them came from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.jobs import SettlementState

Record = dict[str, int | str]


@dataclass(frozen=True, slots=True)
class Component:
    """Energy of one component of the machine, PUE not applied; None where it was not metered, which is not zero."""

    component: str
    how: How
    source: str
    energy_uj: int | None
    active_uj: int | None  # the draw above idle
    coverage_ppm: int  # share of the job's run that was metered


@dataclass(frozen=True, slots=True)
class Ledger:
    """One signal's account in micrograms, PUE applied. Ledgers of different signals are never added.

    `emissions_ug` is all energy attributed to the job; actual and baselines hold only the draw above idle, since a
    machine that stays on draws its idle power anyway. Baselines are None where they cannot be known.
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


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a job used, emitted and saved, in integers.

    `energy_uj` sums the metered components (None: none was), `facility_uj` has PUE applied; `pue_micro` is their
    ratio. `waited_ms` is real start minus submission, `held_back_ms` real start minus feasible start (negative where
    it ran earlier than its turn), `idle_gpu_ms` the GPU time left idle by that waiting. `digests` are those of the
    readings by attempt.
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

    def restates(self, earlier: "Settlement") -> bool:
        """True where anything but the moment of settling differs."""
        return replace(self, settled_at=earlier.settled_at) != earlier

    def record(self) -> Record:
        """Flat integers and strings for the event table; `restored` reads them."""
        raise NotImplementedError

    @classmethod
    def restored(cls, record: Mapping[str, int | str]) -> "Settlement":
        """The settlement that `record` wrote."""
        raise NotImplementedError
