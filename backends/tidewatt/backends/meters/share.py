"""Who gets a device's energy: GPUs by allocation, CPU and DRAM by CPU time; idle draw kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidewatt.backends.meters.counter import Increment
from tidewatt.backends.meters.excerpt import Record


@dataclass(frozen=True, slots=True)
class Piece:
    """Energy of one device in `[start_ms, end_ms)`: all of it, and how much of that is idle draw."""

    start_ms: int
    end_ms: int
    energy_uj: int
    idle_uj: int


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU milliseconds by record, never decreasing: of the host, and of each attempt."""

    host_ms: tuple[int, ...]
    attempts_ms: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, records: Sequence[Record]) -> "CpuTime":
        """From the readings; an attempt has 0 before it was registered, and afterwards keeps its last."""
        names = {name for record in records for name in record.reading.cpu_ms} - {"host"}
        columns = {name: _column(records, name) for name in sorted(names)}
        return cls(_column(records, "host"), columns)


def _column(records: Sequence[Record], name: str) -> tuple[int, ...]:
    column: list[int] = []
    boot = ""
    for record in records:
        if record.reading.boot_id != boot and name == "host":
            column.append(record.reading.cpu_ms.get(name, 0))
        else:
            last = column[-1] if column else 0
            column.append(max(last, record.reading.cpu_ms.get(name, last)))
        boot = record.reading.boot_id
    return tuple(column)


def clip(
    records: Sequence[Record], part: Increment, idle_mw: int, start_ms: int, end_ms: int
) -> Piece | None:
    """What of an increment lies in `[start_ms, end_ms)`, taking its draw as even; None for nothing of it.

    Pieces of one increment add up to it exactly, and their idle parts to no more than its idle part.
    """
    first, last = records[part.first], records[part.last]
    start, end = max(start_ms, first.at_ms), min(end_ms, last.at_ms)
    if part.energy_uj is None or start >= end:
        return None
    length_ms, passed_ms = last.at_ms - first.at_ms, last.reading.mono_ms - first.reading.mono_ms

    def until(amount: int, at_ms: int) -> int:
        return amount * (at_ms - first.at_ms) // length_ms

    energy_uj = until(part.energy_uj, end) - until(part.energy_uj, start)
    idle_uj = idle_mw * passed_ms * (end - start) // length_ms
    return Piece(start, end, energy_uj, min(idle_uj, energy_uj))


def by_cpu_time(
    records: Sequence[Record], part: Increment, idle_mw: int, times: CpuTime, attempt_id: str
) -> tuple[int, int]:
    """An attempt's microjoules of an increment: active by its share of busy time, idle of all CPU time."""
    if part.energy_uj is None or attempt_id not in times.attempts_ms:
        return 0, 0
    first, last = records[part.first], records[part.last]
    passed_ms = last.reading.mono_ms - first.reading.mono_ms
    idle_uj = min(part.energy_uj, idle_mw * passed_ms)

    def spent(column: Sequence[int]) -> int:
        return max(0, column[part.last] - column[part.first])

    ours_ms = spent(times.attempts_ms[attempt_id])
    all_ms = sum(spent(column) for column in times.attempts_ms.values())
    # Ticks are sampled: attempts may seem to have used more than the host, but never get more than there was.
    busy_ms = max(1, spent(times.host_ms), all_ms)
    capacity_ms = max(1, last.header.cpus * passed_ms, all_ms)
    return (part.energy_uj - idle_uj) * ours_ms // busy_ms, idle_uj * ours_ms // capacity_ms
