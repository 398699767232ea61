"""The whole of a host's energy: what attempts got, what was idle, what was somebody else's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.meters.energy import Host, Run
from tidewatt.backends.meters.excerpt import excerpt
from tidewatt.backends.meters.reading import Device
from tidewatt.backends.meters.remainder import OVERHEAD, components_of, node_of
from tidewatt.backends.meters.share import idle_of
from tidewatt.backends.meters.tally import Booked, Tally


@dataclass(frozen=True, slots=True)
class Allocation:
    """An attempt's GPUs from start to end; allocations of one GPU never overlap."""

    attempt_id: str
    gpu_uuids: tuple[str, ...]
    start_ms: int
    end_ms: int


@dataclass(slots=True)
class Balance:
    """Microjoules by component; of each, `total` is always jobs + unreserved idle + rest, exactly.

    `jobs` is what attempts got and `reserved` how much of that is idle draw of what they had reserved, by
    attempt and component; `unreserved` is idle draw that nobody had reserved, `rest` what others drew.
    """

    total: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, dict[str, int]] = field(default_factory=dict)
    reserved: dict[str, dict[str, int]] = field(default_factory=dict)
    unreserved: dict[str, int] = field(default_factory=dict)
    rest: dict[str, int] = field(default_factory=dict)

    @property
    def components(self) -> tuple[str, ...]:
        """The components that were metered."""
        return tuple(self.total)

    def parts(self, component: str) -> tuple[int, ...]:
        """All that a component's energy was divided into: active and idle of each attempt, idle, rest."""
        parts = [self.unreserved[component], self.rest[component]]
        for attempt_id, got in self.jobs.items():
            idle_uj = self.reserved[attempt_id].get(component, 0)
            parts += [got.get(component, 0) - idle_uj, idle_uj]
        return tuple(parts)

    def book(self, component: str, active_uj: int, idle_uj: int) -> None:
        """Books energy of which nobody has a part yet."""
        _add(self.total, component, active_uj + idle_uj)
        _add(self.rest, component, active_uj)
        _add(self.unreserved, component, idle_uj)

    def give(self, attempt_id: str, component: str, active_uj: int, idle_uj: int) -> None:
        """Gives an attempt its part of what was booked."""
        _add(self.jobs.setdefault(attempt_id, {}), component, active_uj + idle_uj)
        _add(self.reserved.setdefault(attempt_id, {}), component, idle_uj)
        _add(self.rest, component, -active_uj)
        _add(self.unreserved, component, -idle_uj)


def _add(amounts: dict[str, int], component: str, amount_uj: int) -> None:
    amounts[component] = amounts.get(component, 0) + amount_uj


def account(folder: Path, allocations: Sequence[Allocation], start_ms: int, end_ms: int) -> Balance:
    """Divides all that the host's devices used between the readings around start and end."""
    host = Host(folder, excerpt(folder, start_ms, end_ms), end_ms)
    balance = Balance()
    for device in components_of(host.taken).values():
        part = host.increments(device.key).known
        idle_uj = int(idle_of(host.taken, part, host.idle(device)).sum())
        balance.book(device.component, int(part.energy_uj.sum()) - idle_uj, idle_uj)
    tallies = {one: _tallies(host, one) for one in allocations}
    for one, found in tallies.items():
        for tally in found:
            active_uj, idle_uj = _sums(tally.booked)
            if active_uj or idle_uj:
                balance.give(one.attempt_id, tally.component, active_uj, idle_uj)
    if node := node_of(host.taken):
        _divide(balance, host, node, tallies)
    return balance


def _tallies(host: Host, one: Allocation) -> list[Tally]:
    run = Run(host, one.attempt_id, one.start_ms, max(one.end_ms, one.start_ms + 1))
    if one.end_ms <= one.start_ms:
        return [run.by_cpu_time("cpu"), run.by_cpu_time("dram")]
    return run.components(one.gpu_uuids)


def _sums(booked: Iterable[Booked]) -> tuple[int, int]:
    pairs = [(int(each.active_uj.sum()), int(each.idle_uj.sum())) for each in booked]
    return sum(active for active, _ in pairs), sum(idle for _, idle in pairs)


def _divide(balance: Balance, host: Host, node: Device, tallies: dict[Allocation, list[Tally]]) -> None:
    """Books the node's remainder, and gives attempts their parts of it."""
    whole = host.remainder(node)
    balance.book(OVERHEAD, int(whole.active_uj.sum()), int(whole.idle_uj.sum()))
    for one, found in tallies.items():
        active_uj, idle_uj = whole.of([each for tally in found for each in tally.booked])
        if active_uj.any() or idle_uj.any():
            balance.give(one.attempt_id, OVERHEAD, int(active_uj.sum()), int(idle_uj.sum()))
