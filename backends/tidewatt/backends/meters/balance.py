"""The whole of a host's energy: what attempts got, what was idle, what was somebody else's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.meters.counter import increments
from tidewatt.backends.meters.draw import idle_mw
from tidewatt.backends.meters.energy import allocated, devices
from tidewatt.backends.meters.excerpt import Excerpt, excerpt
from tidewatt.backends.meters.share import CpuTime, by_cpu_time, clip


@dataclass(frozen=True, slots=True)
class Allocation:
    """An attempt's GPUs from start to end; allocations of one GPU never overlap."""

    attempt_id: str
    gpu_uuids: tuple[str, ...]
    start_ms: int
    end_ms: int


@dataclass(slots=True)
class Balance:
    """Microjoules by component: `total` is the devices', and always jobs + idle + rest, to the microjoule."""

    total: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, dict[str, int]] = field(default_factory=dict)  # by attempt, then component
    idle: dict[str, int] = field(default_factory=dict)
    rest: dict[str, int] = field(default_factory=dict)

    def book(self, component: str, energy_uj: int, idle_uj: int, given: dict[str, tuple[int, int]]) -> None:
        """Books one increment of a device; `given` holds each attempt's active and idle part of it."""
        active = sum(part[0] for part in given.values())
        idle = idle_uj - sum(part[1] for part in given.values())
        for attempt_id, part in given.items():
            _add(self.jobs.setdefault(attempt_id, {}), component, sum(part))
        _add(self.total, component, energy_uj)
        _add(self.idle, component, idle)
        _add(self.rest, component, energy_uj - idle_uj - active)


def _add(amounts: dict[str, int], component: str, amount_uj: int) -> None:
    amounts[component] = amounts.get(component, 0) + amount_uj


def account(folder: Path, allocations: Sequence[Allocation], start_ms: int, end_ms: int) -> Balance:
    """Divides all that the host's devices used between the readings around start and end."""
    taken = excerpt(folder, start_ms, end_ms)
    balance = Balance()
    for key in devices(taken, "gpu"):
        _book_gpu(balance, taken, key, idle_mw(folder, key, end_ms), allocations)
    times = CpuTime.of(taken.records)
    for component in ("cpu", "dram"):
        for key, device in devices(taken, component).items():
            idle = idle_mw(folder, key, end_ms) if device.idle_w is None else round(device.idle_w * 1000)
            for part in increments(taken.records, key):
                if part.energy_uj is None:
                    continue
                passed_ms = _passed_ms(taken, part.first, part.last)
                given = {
                    one.attempt_id: by_cpu_time(taken.records, part, idle, times, one.attempt_id)
                    for one in allocations
                }
                balance.book(component, part.energy_uj, min(part.energy_uj, idle * passed_ms), given)
    return balance


def _book_gpu(
    balance: Balance, taken: Excerpt, key: str, idle: int, allocations: Sequence[Allocation]
) -> None:
    for part in increments(taken.records, key):
        if part.energy_uj is None:
            continue
        given: dict[str, tuple[int, int]] = {}
        for one in allocations:
            for uuid in one.gpu_uuids:
                metered, slices, of = allocated(taken, uuid)
                piece = clip(taken.records, part, idle, one.start_ms, one.end_ms)
                if metered == key and piece:
                    before = given.get(one.attempt_id, (0, 0))
                    ours_uj = piece.idle_uj * slices // of
                    active_uj = piece.energy_uj * slices // of - ours_uj
                    given[one.attempt_id] = (before[0] + active_uj, before[1] + ours_uj)
        idle_uj = min(part.energy_uj, idle * _passed_ms(taken, part.first, part.last))
        balance.book("gpu", part.energy_uj, idle_uj, given)


def _passed_ms(taken: Excerpt, first: int, last: int) -> int:
    return taken.records[last].reading.mono_ms - taken.records[first].reading.mono_ms
