"""What a job's baseline depends on, written down at submit before any outcome is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.region import Pool, Region

METHOD_VERSION = "2"
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Frozen:
    """The home region (zones by signal, PUE, capacity), the moment of submission, the deciding signal."""

    home: str
    home_zones: Mapping[str, str]
    home_pue: float
    home_pue_source: str
    submitted: datetime
    signal: str
    gpus: int = 0
    home_pools: Mapping[str, int] = field(default_factory=dict)  # GPUs by kind
    home_cpus: int = 1
    home_mem_mb: int = 0
    method_version: str = METHOD_VERSION

    def __post_init__(self) -> None:
        check_pue(self.home_pue, f"home region {self.home}")

    def region(self) -> Region:
        """The home region as it was at submit, for the replay of its queue."""
        pools = tuple(Pool(name, gpus) for name, gpus in self.home_pools.items())
        return Region(self.home, pools=pools, cpus=self.home_cpus, mem_mb=self.home_mem_mb)

    def record(self) -> dict[str, Any]:
        """Integers, strings and an object of strings; `restored` reads it."""
        return {
            "home": self.home,
            "home_zones": {str(signal): zone for signal, zone in self.home_zones.items()},
            "home_pue_micro": round(self.home_pue * MICRO),
            "home_pue_source": self.home_pue_source,
            "submitted_ms": time_ms(self.submitted),
            "signal": str(self.signal),
            "gpus": self.gpus,
            "home_pools": dict(self.home_pools),
            "home_cpus": self.home_cpus,
            "home_mem_mb": self.home_mem_mb,
            "method_version": self.method_version,
        }

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> "Frozen":
        """What `record` wrote; raises SchedulerError where it is not whole."""
        try:
            return cls(
                home=record["home"],
                home_zones=record["home_zones"],
                home_pue=record["home_pue_micro"] / MICRO,
                home_pue_source=record["home_pue_source"],
                submitted=moment(record["submitted_ms"]),
                signal=record["signal"],
                gpus=record["gpus"],
                home_pools=record["home_pools"],
                home_cpus=record["home_cpus"],
                home_mem_mb=record["home_mem_mb"],
                method_version=record["method_version"],
            )
        except (KeyError, TypeError) as error:
            raise SchedulerError(
                f"the baseline frozen at submit cannot be read ({error}): the job's record is damaged; "
                "restore the database from a backup"
            ) from error


def check_pue(pue: float, whose: str) -> None:
    """Raises SchedulerError unless this can be a PUE: facility over IT energy, 1 or more."""
    if not 1 <= pue < 10:
        raise SchedulerError(f"PUE {pue} of {whose} cannot be: it is facility over IT energy, at least 1")
