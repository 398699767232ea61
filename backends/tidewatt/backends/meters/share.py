"""Who gets a device's energy: GPUs by allocation, CPU and DRAM by CPU time; idle draw kept apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.meters.columns import Amounts, Codes
from tidewatt.backends.meters.counter import Increments
from tidewatt.backends.meters.taken import Column, Excerpt

_SAFE = 4e18  # products of 64-bit integers are exact up to here


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Energy of one device in each `[start_ms, end_ms)`: all of it, and how much of that is idle draw."""

    start_ms: Amounts
    end_ms: Amounts
    how: Codes
    energy_uj: Amounts
    idle_uj: Amounts
    part: Increments  # that each is a piece of


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """An attempt's active and idle microjoules of known increments of a device, each in its stretch."""

    part: Increments
    start_ms: Amounts
    end_ms: Amounts
    active_uj: Amounts
    idle_uj: Amounts
    how: Codes


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU milliseconds by reading, never decreasing: of the host, and of each attempt."""

    host_ms: Column
    attempts_ms: dict[str, Column]

    @classmethod
    def of(cls, taken: Excerpt) -> "CpuTime":
        """From the readings; an attempt has 0 before it was registered, and afterwards keeps its last."""
        columns = {name: np.maximum(column, 0) for name, column in sorted(taken.cpu_ms.items())}
        for column in columns.values():
            for boot in taken.boots():
                np.maximum.accumulate(column[boot], out=column[boot])
        host = columns.pop("host", np.zeros(len(taken), dtype=np.int64))
        return cls(host, columns)

    def all_ms(self, part: Increments) -> Amounts:
        """What all attempts together used in each increment."""
        whole = np.zeros(len(part.first), dtype=np.int64)
        for column in self.attempts_ms.values():
            whole += spent(column, part)
        return whole


def spent(column: Column, part: Increments) -> Amounts:
    """How much a growing column grew in each increment."""
    return np.asarray(np.maximum(column[part.last] - column[part.first], 0), dtype=np.int64)


def parted(amount: Amounts, share: Amounts, whole: Amounts) -> Amounts:
    """`amount * share // whole`, exact however large the product is; nothing negative, `whole` above 0."""
    result = np.asarray(amount * share // whole, dtype=np.int64)
    large = amount.astype(np.float64) * share > _SAFE
    for row in np.flatnonzero(large).tolist():
        result[row] = int(amount[row]) * int(share[row]) // int(whole[row])
    return result


def passed_ms(taken: Excerpt, part: Increments) -> Amounts:
    """How long each increment took, by the host's own clock."""
    return np.asarray(taken.mono_ms[part.last] - taken.mono_ms[part.first], dtype=np.int64)


def idle_of(taken: Excerpt, part: Increments, idle_mw: int) -> Amounts:
    """The idle part of the energy of known increments."""
    return np.minimum(part.energy_uj, idle_mw * passed_ms(taken, part))


def touching(taken: Excerpt, part: Increments, start_ms: int, end_ms: int) -> NDArray[np.bool_]:
    """Which increments have a part in `[start_ms, end_ms)`."""
    return np.asarray((taken.at_ms[part.first] < end_ms) & (taken.at_ms[part.last] > start_ms))


def clip(taken: Excerpt, part: Increments, idle_mw: int, start_ms: int, end_ms: int) -> Pieces:
    """What of known increments lies in `[start_ms, end_ms)`, taking their draw as even.

    Pieces of one increment add up to it exactly, and their idle parts to no more than its idle part.
    """
    first, last = taken.at_ms[part.first], taken.at_ms[part.last]
    start, end = np.maximum(first, start_ms), np.minimum(last, end_ms)
    inside = (start < end) & (part.energy_uj >= 0)
    part, first, last, start, end = part.only(inside), first[inside], last[inside], start[inside], end[inside]
    energy_uj, drawn_ms = part.energy_uj.copy(), passed_ms(taken, part)
    idle_uj = idle_mw * drawn_ms
    for row in np.flatnonzero((start > first) | (end < last)).tolist():
        length_ms, before_ms = int(last[row] - first[row]), int(start[row] - first[row])
        until_ms, amount = int(end[row] - first[row]), int(energy_uj[row])
        energy_uj[row] = amount * until_ms // length_ms - amount * before_ms // length_ms
        idle_uj[row] = idle_mw * int(drawn_ms[row]) * (until_ms - before_ms) // length_ms
    return Pieces(start, end, part.how, energy_uj, np.minimum(idle_uj, energy_uj), part)


def by_cpu_time(
    taken: Excerpt, part: Increments, idle_mw: int, times: CpuTime, attempt_id: str
) -> tuple[Amounts, Amounts]:
    """An attempt's microjoules of known increments: active by share of busy time, idle of all CPU time."""
    if attempt_id not in times.attempts_ms:
        nothing = np.zeros(len(part.first), dtype=np.int64)
        return nothing, nothing
    idle_uj = idle_of(taken, part, idle_mw)
    ours_ms, all_ms = spent(times.attempts_ms[attempt_id], part), times.all_ms(part)
    # Ticks are sampled: attempts may seem to have used more than the host, but never get more than there was.
    busy_ms = np.maximum(np.maximum(spent(times.host_ms, part), all_ms), 1)
    cpus = taken.by_header(lambda header: header.cpus)[part.last]
    capacity_ms = np.maximum(np.maximum(cpus * passed_ms(taken, part), all_ms), 1)
    return parted(part.energy_uj - idle_uj, ours_ms, busy_ms), parted(idle_uj, ours_ms, capacity_ms)
