"""A saving taken apart: what each means contributed, in micrograms of the one signal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Levers:
    """Contributions to a saving, positive where emissions were avoided; they sum to it exactly.

    In this order, each on top of those before it: the productive work moved in time at home (`time_*`, one
    for each kind of baseline), moved to the region where it ran (`region`), run there with another energy
    than home's hardware would have needed (`efficiency`, only where a measured pair says so); then what only
    the actual side has: pauses and restarts, attempts whose work was lost, data moved.
    `unverified_efficiency_ug` is what ratios of speed and power suggest without a measured pair: in no sum.
    """

    time_feasible_ug: int | None
    time_hypothetical_ug: int | None
    region_ug: int
    efficiency_ug: int
    pauses_ug: int
    lost_work_ug: int
    transfer_ug: int
    unverified_efficiency_ug: int | None = None

    @property
    def beyond_time_ug(self) -> int:
        """All but time."""
        return self.region_ug + self.efficiency_ug + self.pauses_ug + self.lost_work_ug + self.transfer_ug


@dataclass(frozen=True, slots=True)
class Exposure:
    """A part of an account that has its errors in common: one sort of meter, one PUE, one grid source.

    `meter` is "component how: source, model" ("gpu measured: NVML energy counter, NVIDIA A100"), `pue` the
    region and the source of its PUE, `grid` "source zone". Micrograms above idle; the sums over all exposures
    of an account are its actual and its baselines. `low_permille` to `high_permille` is the range that the
    source of a figure itself declares, in thousandths of it, as for data moved; 1000 to 1000 where there is
    none.
    """

    meter: str
    pue: str
    grid: str
    actual_ug: int
    feasible_ug: int
    hypothetical_ug: int
    low_permille: int = 1000
    high_permille: int = 1000
