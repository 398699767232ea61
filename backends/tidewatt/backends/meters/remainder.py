"""What a node draws beyond its metered components (fans, power supplies, boards, disks), and whose it is.

The rule: the remainder's idle part is the node's idle draw less that of its components; it goes with the idle
energy of the components, the rest of the remainder with their energy above idle. Where they have only one of
the two, all of it goes with that. So a job that has a third of the active and a tenth of the idle energy of
all components gets a third and a tenth of the node's remainder.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.meters.columns import CODES, Amounts, Codes
from tidewatt.backends.meters.counter import Increments
from tidewatt.backends.meters.reading import Device, How
from tidewatt.backends.meters.reported import PREFIX
from tidewatt.backends.meters.share import Share, idle_of, parted
from tidewatt.backends.meters.taken import Column, Excerpt, utc

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

    def of(self, shares: Iterable[Share]) -> tuple[Amounts, Amounts]:
        """The active and idle parts of the remainder of whoever has these shares of the components."""
        active_uj, idle_uj = np.zeros_like(self.active_uj), np.zeros_like(self.idle_uj)
        for share in shares:
            place = self.group[share.part.first]
            known = place >= 0
            np.add.at(active_uj, place[known], share.active_uj[known])
            np.add.at(idle_uj, place[known], share.idle_uj[known])
        return (
            parted(self.active_uj, active_uj, np.maximum(self.components_active_uj, 1)),
            parted(self.idle_uj, idle_uj, np.maximum(self.components_idle_uj, 1)),
        )


def remainder(
    taken: Excerpt, node: Device, components: Sequence[Device], metered: Callable[[Device], Metered]
) -> Remainder:
    """What the node used beyond its components; each is looked at twice rather than kept."""
    devices = (node, *components)
    place = _stretches(taken, (metered(device) for device in devices))
    count = int(place.max(initial=-1)) + 1
    whole, active, idle = (np.zeros(count, dtype=np.int64) for _ in range(3))
    known, measured = np.ones(count, dtype=bool), np.ones(count, dtype=bool)
    resting_mw = 0
    for each in (metered(device) for device in devices):
        part = each.part
        _unknown(taken, each, place, known)
        measured[place[part.first[part.how != CODES[How.MEASURED]]]] = False
        if each.device is node:
            np.add.at(whole, place[part.first], part.energy_uj)
            resting_mw += each.idle_mw
        else:
            idle_uj = idle_of(taken, part, each.idle_mw)
            np.add.at(active, place[part.first], part.energy_uj - idle_uj)
            np.add.at(idle, place[part.first], idle_uj)
            resting_mw -= each.idle_mw
    first = np.flatnonzero(np.diff(place, prepend=-1) > 0)
    last = np.append(first[1:], len(taken) - 1)[:count]
    beyond = np.maximum(whole - active - idle, 0)
    resting_uj = np.minimum(max(0, resting_mw) * (taken.mono_ms[last] - taken.mono_ms[first]), beyond)
    resting_uj = np.where(active == 0, beyond, np.where(idle == 0, 0, resting_uj))
    group = np.where(known, np.cumsum(known) - 1, -1)[place] if count else place
    how = np.where(measured, CODES[How.MEASURED], CODES[How.MODELLED]).astype(np.int8)
    return Remainder(
        first[known],
        last[known],
        how[known],
        (beyond - resting_uj)[known],
        resting_uj[known],
        active[known],
        idle[known],
        group,
        _less(taken, node, (whole - active - idle)[known], last[known]),
    )


def _stretches(taken: Excerpt, devices: Iterable[Metered]) -> Column:
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
    until = utc(int(taken.time_ms[rows[-1]]))
    lacking_j = -int(beyond_uj[beyond_uj < 0].sum()) / 1e6
    return (
        f"{node.key}: {len(rows)} of {len(last)} times less than its components together, by "
        f"{lacking_j:.0f} J in all, the last time before {until}: taken as no remainder"
    )


def node_of(taken: Excerpt) -> Device | None:
    """The device that meters the whole node, where there is one."""
    return next((each for each in taken.devices("node").values() if _of_host(each)), None)


def components_of(taken: Excerpt) -> Mapping[str, Device]:
    """The metered components of the node, by key."""
    found = [device for name in ("gpu", "cpu", "dram") for device in taken.devices(name).values()]
    return {device.key: device for device in found if _of_host(device)}


def _of_host(device: Device) -> bool:
    """Whether the host's own meter reads it; what an engine reports is an attempt's alone."""
    return not device.key.startswith(PREFIX)
