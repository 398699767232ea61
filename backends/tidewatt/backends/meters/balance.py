"""The whole of a host's energy: what attempts got, what was idle, what was somebody else's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.meters.energy import Host, Run
from tidewatt.backends.meters.excerpt import excerpt
from tidewatt.backends.meters.remainder import OVERHEAD, components_of, node_of
from tidewatt.backends.meters.share import idle_of


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
        metered = host.metered(device)
        resting_uj = int(idle_of(host.taken, metered.part, metered.idle_mw).sum())
        balance.book(device.component, int(metered.part.energy_uj.sum()) - resting_uj, resting_uj)
    node = node_of(host.taken)
    whole = host.remainder(node) if node else None
    if whole:
        balance.book(OVERHEAD, int(whole.active_uj.sum()), int(whole.idle_uj.sum()))
    for one in allocations:
        uuids = one.gpu_uuids if one.end_ms > one.start_ms else ()
        run = Run(host, one.attempt_id, uuids, one.start_ms, max(one.end_ms, one.start_ms + 1))
        for component, share in run.shares():
            balance.give(one.attempt_id, component, int(share.active_uj.sum()), int(share.idle_uj.sum()))
        if whole:
            active_uj, idle_uj = whole.of(share for _, share in run.shares())
            balance.give(one.attempt_id, OVERHEAD, int(active_uj.sum()), int(idle_uj.sum()))
    return balance
