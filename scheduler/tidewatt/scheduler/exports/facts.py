"""What exports tell of one job, read off its receipt."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from tidewatt.forecasting.zones import keyed
from tidewatt.scheduler.accounting.experiment import Fate, experiment_of, fate_of
from tidewatt.scheduler.accounting.quantity import counted, mass
from tidewatt.scheduler.accounting.units import J_PER_KWH
from tidewatt.scheduler.schemas import AttemptView, ComponentView, JobView, LedgerView, SettlementView


@dataclass(frozen=True)
class Facts:
    """A job that has an account, and what follows from it. What is not known is None or ""."""

    job: JobView
    account: SettlementView

    @property
    def key(self) -> str:
        """What the job is called: "12", or "12_3" for a task."""
        return self.job.key or str(self.job.id)

    @property
    def experiment(self) -> str:
        """Its experiment, else its array, else ""."""
        return experiment_of(self.job.labels, self.job.array)

    @property
    def fate(self) -> Fate:
        """What became of the run: kept, failed or discarded."""
        return fate_of(self.job.state, self.job.labels, self.key)

    @cached_property
    def attempts(self) -> tuple[AttemptView, ...]:
        """Those that ran, in order."""
        ran = [attempt for attempt in self.job.attempts if attempt.started is not None]
        return tuple(sorted(ran, key=lambda attempt: (attempt.started, attempt.attempt_id)))

    @property
    def last(self) -> AttemptView | None:
        """The last attempt that ran."""
        return self.attempts[-1] if self.attempts else None

    @property
    def started(self) -> datetime | None:
        """When it first ran."""
        return self.attempts[0].started if self.attempts else None

    @property
    def ended(self) -> datetime | None:
        """When it last ran."""
        return max((each.ended for each in self.attempts if each.ended is not None), default=None)

    @property
    def held_s(self) -> float | None:
        """Real seconds for which it held its machine, over all attempts; None where one has not ended."""
        lengths = [
            (each.ended - each.started).total_seconds() / each.replay_factor
            for each in self.attempts
            if each.started is not None and each.ended is not None
        ]
        return sum(lengths) if lengths and len(lengths) == len(self.attempts) else None

    @property
    def regions(self) -> tuple[str, ...]:
        """Where it ran, each region once."""
        return _once(each.region for each in self.attempts)

    def zones(self, signal: str) -> tuple[str, ...]:
        """The grid zones it ran in, by that signal."""
        return _once(each.zones.get(signal, "") for each in self.attempts)

    @property
    def countries(self) -> tuple[str, ...]:
        """Two-letter codes of the countries it ran in, as far as the average signal's zones tell."""
        zones = [keyed(zone) for zone in self.zones("average") or self.zones("marginal")]
        return _once("" if zone is None else zone.country for zone in zones)

    @property
    def gpu_model(self) -> str:
        """The models of the GPUs it ran on."""
        return "; ".join(_once(each.gpu_model for each in self.attempts))

    @property
    def cpu_model(self) -> str:
        """The models of the processors it ran on."""
        return "; ".join(_once(each.cpu_model for each in self.attempts))

    @property
    def site(self) -> str:
        """Where its machines stand, in the operator's words."""
        return "; ".join(_once(each.site for each in self.attempts))

    @property
    def cloud(self) -> str | None:
        """The provider that it ran at, "" for own hardware; None where not known or with several."""
        found = {each.cloud for each in self.attempts}
        return found.pop() if len(found) == 1 else None

    def ledger(self, signal: str) -> LedgerView | None:
        """Its account by one signal."""
        return next((each for each in self.account.ledgers if each.signal == signal), None)

    def component(self, name: str) -> ComponentView | None:
        """One component, where it was metered at all."""
        parts = self.account.components
        return next((each for each in parts if each.component == name and each.energy_j is not None), None)

    def component_kwh(self, name: str) -> float | None:
        """Energy of one component at the machine, PUE not applied."""
        part = self.component(name)
        return None if part is None or part.energy_j is None else part.energy_j / J_PER_KWH

    @property
    def energy_kwh(self) -> float | None:
        """All of its energy at the machine."""
        return _kwh(self.account.energy_j)

    @property
    def facility_kwh(self) -> float | None:
        """All of its energy with PUE."""
        return _kwh(self.account.facility_j)

    @property
    def hows(self) -> str:
        """How each component's energy was got: "gpu measured, cpu modelled"."""
        return ", ".join(f"{each.component} {each.how}" for each in self.account.components)

    @property
    def settled(self) -> bool:
        """True where its savings are in totals."""
        return self.account.state in ("provisional", "final")


def embodied(receipts: Iterable[Facts]) -> str:
    """The share of what making the hardware emitted, in words; "" where it is known of no job."""
    known = [each.account.embodied for each in receipts if each.account.embodied is not None]
    if not known:
        return ""
    low, central, high = (
        mass(sum(getattr(each, f"{bound}_g") for each in known)) for bound in ("low", "central", "high")
    )
    share = f"the share of {counted(len(known), 'job')} in making the hardware"
    range_ = "no range was published" if low == high else f"{low} to {high}"
    return f"{share}: {central} ({range_}), in no total"


def facts(jobs: Iterable[JobView]) -> list[Facts]:
    """Of the jobs that ran and have an account, in the order given; arrays' and others are left out."""
    found = [Facts(job, job.settlement) for job in jobs if job.settlement is not None]
    return [each for each in found if each.attempts]


def _kwh(joules: float | None) -> float | None:
    return None if joules is None else joules / J_PER_KWH


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word))
