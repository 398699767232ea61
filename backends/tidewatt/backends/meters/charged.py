"""Devices that are an attempt's alone, as engines report them: all of their energy is the attempt's.

Where the host's own meter measured a component beside the job, that counts, and the engine's figure for the
same is left out: nothing is counted twice.
"""

from collections.abc import Sequence

from tidewatt.backends.meters.columns import CODES
from tidewatt.backends.meters.counter import increments
from tidewatt.backends.meters.reading import Device, How
from tidewatt.backends.meters.reported import PREFIX
from tidewatt.backends.meters.share import Share, clip
from tidewatt.backends.meters.taken import Excerpt
from tidewatt.backends.meters.tally import Tally

_MISSING = CODES[How.MISSING]
_PARTS = {"node": ("cpu", "dram"), "cpu": ("cpu",), "dram": ("dram",), "gpu": ("gpu",)}


def reported(taken: Excerpt) -> dict[str, Device]:
    """The devices that an engine reported, by key."""
    return {
        device.key: device
        for header in taken.headers
        for device in header.devices
        if device.key.startswith(PREFIX)
    }


def with_reported(taken: Excerpt, measured: Sequence[Tally], start_ms: int, end_ms: int) -> list[Tally]:
    """The tallies of an attempt, with what its engine reported of components that nobody measured."""
    found = list(measured)
    for device in reported(taken).values():
        parts = _PARTS.get(device.component, (device.component,))
        known = [tally for tally in found if tally.component in parts and _known(tally)]
        if known:
            other = known[0]
            other.notes.append(f"{device.source}: not added, for the {other.component} was metered beside it")
            continue
        found = [tally for tally in found if tally.component not in parts]
        found.append(_whole(taken, device, start_ms, end_ms))
    return found


def _known(tally: Tally) -> bool:
    return tally.columns is not None and bool((tally.columns.how != _MISSING).any())


def _whole(taken: Excerpt, device: Device, start_ms: int, end_ms: int) -> Tally:
    """All that the device used, in its own component."""
    tally = Tally(device.component, start_ms, end_ms)
    tally.sources.append(device.source)
    idle = round(device.idle_w * 1000) if device.idle_w is not None else 0
    if not idle:
        tally.notes.append(f"{device.source}: how much of it is idle draw is not known: all counts as active")
    part = increments(taken, device.key).known
    tally.flag(taken, part.flags)
    pieces = clip(taken, part, idle, start_ms, end_ms)
    active_uj = pieces.energy_uj - pieces.idle_uj
    tally.add(Share(pieces.part, pieces.start_ms, pieces.end_ms, active_uj, pieces.idle_uj, pieces.how), 1.0)
    return tally
