"""Raw readings as they are kept, and energy as it is got from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidewatt.backends.meters.columns import Columns


class How(StrEnum):
    """How a number was got."""

    MEASURED = "measured"  # by a counter of the device, or by an instrument that averages its power
    MODELLED = "modelled"  # computed from utilisation, or from samples of its power
    MISSING = "missing"  # not known: never taken as zero


HOWS = (How.MEASURED, How.MODELLED, How.MISSING)  # as columns number them


@dataclass(frozen=True, slots=True)
class Device:
    """One metered device. Its counter wraps at `range_uj` (0: never); `limit_w` is its highest draw."""

    key: str  # "gpu:GPU-1b2c...", "rapl:package-0", "rapl:package-0/dram", "cpu-model"
    component: str  # "gpu", "cpu", "dram", "node"
    how: How
    source: str  # for people: "NVML energy counter", "RAPL", "utilisation x 120 W (assumed)"
    range_uj: int = 0
    limit_w: int = 0
    idle_w: float | None = (
        None  # where the device's model knows it; measured devices show it in their readings
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """All devices of a host at one instant; integers only.

    `energy_uj`: cumulative counter by device key. `power_mw`: momentary draw by device key, where the
    device tells it (fallback without a counter, else cross-check). `cpu_ms`: CPU time since start by
    attempt id, plus `host` (busy time of all CPUs since boot). `time_ms` is the meter's clock, `mono_ms`
    the host's real monotonic clock (CLOCK_BOOTTIME: it goes on while the machine sleeps), `slept_ms` how
    much of that the machine has slept.
    """

    time_ms: int
    mono_ms: int
    boot_id: str
    cause: str  # "tick", "start 12.1", "end 12.1"
    energy_uj: dict[str, int] = field(default_factory=dict)
    power_mw: dict[str, int] = field(default_factory=dict)
    cpu_ms: dict[str, int] = field(default_factory=dict)
    slept_ms: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """Energy of one attempt in one component between two readings, clipped to the attempt's run.

    `active_uj` is the draw above idle, `idle_uj` the idle draw attributed to the attempt; never negative.
    """

    start_ms: int
    end_ms: int
    component: str
    how: How
    active_uj: int
    idle_uj: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What one attempt used. `coverage`: by component, the share of its run that `spans` cover (0 to 1).

    `notes` says what was flagged and how it was filled ("gpu:GPU-1b: counter reset ..., filled from power").
    `idle_mw`: by device key, the idle draws by which active and idle energy were parted.
    """

    attempt_id: str
    start_ms: int
    end_ms: int
    spans: Sequence[Span]
    coverage: dict[str, float]
    sources: dict[str, str]  # component -> Device.source
    digest: str  # sha256 of the readings used, in their stored form
    notes: tuple[str, ...] = ()
    idle_mw: Mapping[str, int] = field(default_factory=dict)

    @property
    def components(self) -> tuple[str, ...]:
        """The components that `spans` tell of."""
        return tuple(dict.fromkeys((*self.coverage, *self._by_component())))

    def columns(self, component: str) -> "Columns":
        """The spans of a component as arrays; empty for a component that they do not tell of."""
        from tidewatt.backends.meters.columns import Columns  # only here: a meter does without numpy

        return self._by_component().get(component) or Columns.of(())

    def _by_component(self) -> "Mapping[str, Columns]":
        from tidewatt.backends.meters.columns import Spans

        spans = self.spans if isinstance(self.spans, Spans) else Spans.of(self.spans)
        return spans.columns
