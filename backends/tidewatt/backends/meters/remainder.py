"""What a node draws beyond its metered components (fans, power supplies, boards, disks), and whose it is.

The rule: the remainder's idle part is the node's idle draw less that of its components; it goes with the idle
energy of the components, the rest of the remainder with their energy above idle. So a job that has a third of
the active and a tenth of the idle energy of all components gets a third and a tenth of the node's remainder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.clock import moment
from tidewatt.backends.meters.columns import CODES, Amounts, Codes
from tidewatt.backends.meters.counter import Increments
from tidewatt.backends.meters.excerpt import Column, Excerpt
from tidewatt.backends.meters.reading import Device, How
from tidewatt.backends.meters.share import idle_of, parted
from tidewatt.backends.meters.tally import Booked

OVERHEAD = "node overhead"
RULE = "less the metered components, shared by their active and idle energy"


@dataclass(frozen=True, slots=True, eq=False)
class Metered:
    """A device's known increments, and its idle draw in milliwatts."""

    device: Device
    part: Increments
    idle_mw: int


@dataclass(frozen=True, slots=True, eq=False)
class Remainder:
    """A node's remainder from one common reading to the next; all arrays are (n,).

    Common are readings that lie within no increment of any device, so that nothing has to be split. Where the
    node or one of its components is not known, the remainder is not, either: those stretches are left out.
    """

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    how: Codes
    active_uj: Amounts  # of the remainder
    idle_uj: Amounts
    components_active_uj: Amounts
    components_idle_uj: Amounts
    group: Column  # by reading: the place of the stretch that begins there or goes on; -1: none is known
    note: str  # where the node's meter said less than its components'

    def of(self, booked: Sequence[Booked]) -> tuple[Amounts, Amounts]:
        """The active and idle parts of the remainder of whoever got these parts of the components."""
        shares = []
        for whole_uj, name, components_uj in (
            (self.active_uj, "active_uj", self.components_active_uj),
            (self.idle_uj, "idle_uj", self.components_idle_uj),
        ):
            ours_uj = np.zeros_like(whole_uj)
            for each in booked:
                self._gather(ours_uj, each.part, getattr(each, name))
            shares.append(parted(whole_uj, ours_uj, np.maximum(components_uj, 1)))
        return shares[0], shares[1]

    def _gather(self, into: Amounts, part: Increments, amounts: Amounts) -> None:
        place = self.group[part.first]
        np.add.at(into, place[place >= 0], amounts[place >= 0])


def remainder(taken: Excerpt, node: Metered, components: Sequence[Metered]) -> Remainder:
    """What the node used beyond its components."""
    place = _stretches(taken, [node, *components])
    count = int(place.max(initial=-1)) + 1
    whole, active, idle = (np.zeros(count, dtype=np.int64) for _ in range(3))
    known, measured = np.ones(count, dtype=bool), np.ones(count, dtype=bool)
    np.add.at(whole, place[node.part.first], node.part.energy_uj)
    for each in (node, *components):
        _unknown(taken, each, place, known)
        modelled = each.part.how != CODES[How.MEASURED]
        measured[place[each.part.first[modelled]]] = False
    for each in components:
        idle_uj = idle_of(taken, each.part, each.idle_mw)
        np.add.at(active, place[each.part.first], each.part.energy_uj - idle_uj)
        np.add.at(idle, place[each.part.first], idle_uj)
    first = np.flatnonzero(np.diff(place, prepend=-1) > 0)
    last = np.append(first[1:], len(taken) - 1)[:count]
    beyond = whole - active - idle
    resting_mw = max(0, node.idle_mw - sum(each.idle_mw for each in components))
    resting_uj = np.clip(resting_mw * (taken.mono_ms[last] - taken.mono_ms[first]), 0, np.maximum(beyond, 0))
    group = np.where(known, np.cumsum(known) - 1, -1)[place] if count else place
    how = np.where(measured, CODES[How.MEASURED], CODES[How.MODELLED]).astype(np.int8)
    return Remainder(
        first[known],
        last[known],
        how[known],
        (np.maximum(beyond, 0) - resting_uj)[known],
        resting_uj[known],
        active[known],
        idle[known],
        group,
        _less(taken, node.device, beyond[known], last[known]),
    )


def _stretches(taken: Excerpt, devices: Sequence[Metered]) -> Column:
    """For each reading the number of the stretch that begins there, or that it lies within."""
    inside = np.zeros(len(taken) + 1, dtype=np.int64)
    for each in devices:
        longer = each.part.last - each.part.first > 1
        np.add.at(inside, each.part.first[longer] + 1, 1)
        np.add.at(inside, each.part.last[longer], -1)
    common = np.cumsum(inside[:-1]) == 0
    return np.asarray(np.cumsum(common) - 1, dtype=np.int64)


def _unknown(taken: Excerpt, each: Metered, place: Column, known: NDArray[np.bool_]) -> None:
    """Marks the stretches in which a device that the host has is not known all the time."""
    listed = taken.by_header(lambda header: int(header.device(each.device.key) is not None)) > 0
    covered = np.zeros(len(taken) + 1, dtype=np.int64)
    np.add.at(covered, each.part.first, 1)
    np.add.at(covered, each.part.last, -1)
    steps = np.flatnonzero(np.cumsum(covered[:-1]) == 0)
    steps = steps[steps < len(taken) - 1]
    missing = listed[steps] | listed[steps + 1] | (taken.boot[steps] != taken.boot[steps + 1])
    known[place[steps[missing]]] = False
    known[place[-1:]] = False  # nothing begins with the last reading


def _less(taken: Excerpt, node: Device, beyond_uj: Amounts, last: NDArray[np.intp]) -> str:
    """What there is to say where the node is said to use less than its components."""
    rows = last[beyond_uj < 0]
    if not len(rows):
        return ""
    until = f"{moment(int(taken.time_ms[rows[-1]])):%Y-%m-%d %H:%M:%S} UTC"
    lacking_j = -int(beyond_uj[beyond_uj < 0].sum()) / 1e6
    return (
        f"{node.key}: {len(rows)} of {len(last)} times less than its components together, by "
        f"{lacking_j:.0f} J in all, the last time before {until}: taken as no remainder"
    )


def node_of(taken: Excerpt) -> Device | None:
    """The device that meters the whole node, where there is one."""
    return next(iter(taken.devices("node").values()), None)


def components_of(taken: Excerpt) -> Mapping[str, Device]:
    """The metered components of the node, by key."""
    return {key: device for name in ("gpu", "cpu", "dram") for key, device in taken.devices(name).items()}
