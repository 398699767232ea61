"""Energy of attempts, from the readings kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tidewatt.backends.meters.charged import with_reported
from tidewatt.backends.meters.columns import CODES, Spans
from tidewatt.backends.meters.counter import NODE, Increments, increments
from tidewatt.backends.meters.draw import idle_mw as lowest_mw
from tidewatt.backends.meters.excerpt import excerpt
from tidewatt.backends.meters.reading import Device, How, Usage
from tidewatt.backends.meters.remainder import (
    OVERHEAD,
    RULE,
    Metered,
    Remainder,
    components_of,
    node_of,
    remainder,
)
from tidewatt.backends.meters.reported import PREFIX
from tidewatt.backends.meters.share import CpuTime, Share, by_cpu_time, clip, touching
from tidewatt.backends.meters.taken import Excerpt
from tidewatt.backends.meters.tally import Tally, gaps_told

COMPONENTS_ONLY = "components only: node overhead not measured"
_APART = 0.1  # counter and power may differ so much before it is told
_APART_MS = 10_000


@dataclass(slots=True)
class Host:
    """All that a host's devices used between the readings of an excerpt, each looked at when asked for.

    `given` are idle draws in milliwatts by device key; without them they are those that the readings show.
    """

    folder: Path
    taken: Excerpt
    until_ms: int
    given: Mapping[str, int] | None = None
    idle_mw: dict[str, int] = field(default_factory=dict)
    _times: CpuTime | None = None
    _remainder: Remainder | None = None

    @property
    def times(self) -> CpuTime:
        """The CPU times of attempts."""
        self._times = self._times or CpuTime.of(self.taken)
        return self._times

    def idle(self, device: Device) -> int:
        """The idle draw of a device in milliwatts; 0: not known."""
        key = device.key
        if key not in self.idle_mw:
            if self.given is not None:
                self.idle_mw[key] = self.given.get(key, 0)
            elif device.idle_w is not None:
                self.idle_mw[key] = round(device.idle_w * 1000)
            else:
                self.idle_mw[key] = lowest_mw(self.folder, key, self.until_ms)
        return self.idle_mw[key]

    def metered(self, device: Device) -> Metered:
        """The known energy of a device with its idle draw."""
        return Metered(device, increments(self.taken, device.key).known, self.idle(device))

    def remainder(self, node: Device) -> Remainder:
        """What the node used beyond its components."""
        if self._remainder is None:
            components = tuple(components_of(self.taken).values())
            self._remainder = remainder(self.taken, node, components, self.metered)
        return self._remainder


@dataclass(slots=True)
class Run:
    """One attempt's part of what its host used from `start_ms` to `end_ms`."""

    host: Host
    attempt_id: str
    gpu_uuids: Sequence[str]
    start_ms: int
    end_ms: int

    def tallies(self) -> list[Tally]:
        """What it used of each component, and of the node beyond them where that is metered."""
        found = [self.gpus()] if self.gpu_uuids else []
        found += [self.by_cpu_time(component) for component in ("cpu", "dram")]
        node = node_of(self.host.taken)
        return [*found, self.overhead(node)] if node else found

    def shares(self) -> Iterator[tuple[str, Share]]:
        """Its shares of all devices, each with the component."""
        for uuid in self.gpu_uuids:
            device, slices, of = self._allocated(uuid)
            if device:
                part = self._touching(increments(self.host.taken, device.key))
                yield "gpu", self._of_gpu(device, part, slices, of)
        for component in ("cpu", "dram"):
            for device in self._divided(component).values():
                part = self._touching(increments(self.host.taken, device.key))
                yield component, self._of_cpu(device, part)

    def gpus(self) -> Tally:
        """Its GPUs by allocation."""
        tally, taken = self._tally("gpu"), self.host.taken
        for uuid in self.gpu_uuids:
            device, slices, of = self._allocated(uuid)
            if device is None:
                tally.sources.append(_why_missing(taken, uuid))
                tally.notes.append(f"gpu {uuid}: {tally.sources[-1]}")
                continue
            key = device.key
            tally.sources.append(device.source + ("" if slices == of else f", {slices} of {of} slices"))
            if not self.host.idle(device):
                tally.notes.append(f"{key}: its idle draw was never seen: all of its energy counts as active")
            part = increments(taken, key)
            tally.flag(taken, part.flags)
            tally.silence(taken, key, part)
            tally.add(self._of_gpu(device, self._touching(part), slices, of), 1 / len(self.gpu_uuids))
            tally.notes += self._cross_check(key, part)
            if node_of(taken) is None and slices == of:
                taken.let_go(key)
        return tally

    def by_cpu_time(self, component: str) -> Tally:
        """Its CPUs or memory, by its share of CPU time."""
        tally, taken = self._tally(component), self.host.taken
        found = self._divided(component)
        if not found:
            reason = "no readings" if not len(taken) else f"no {component} meter"
            if self._devices(component):
                reason = "not attributed: the attempt's CPU time was not read"
            tally.sources.append(reason)
            tally.notes.append(f"{component}: {reason}")
            return tally
        peers = [sum(each.component == component for each in header.devices) for header in taken.headers]
        for key, device in found.items():
            tally.sources.append(device.source)
            part = increments(taken, key)
            tally.flag(taken, part.flags)
            tally.silence(taken, key, part)
            share = self._of_cpu(device, self._touching(part))
            tally.add(share, 1 / np.maximum(peers, 1)[taken.header[share.part.last]])
        return tally

    def overhead(self, node: Device) -> Tally:
        """Its part of what the node draws beyond its components."""
        tally, taken, whole = self._tally(OVERHEAD), self.host.taken, self.host.remainder(node)
        tally.sources.append(f"{node.source}, {RULE}")
        part = increments(taken, node.key)
        tally.flag(taken, part.flags)
        tally.notes += [whole.note] if whole.note else []
        active_uj, idle_uj = whole.of(share for _, share in self.shares())
        start = np.maximum(taken.at_ms[whole.first], self.start_ms)
        end = np.minimum(taken.at_ms[whole.last], self.end_ms)
        kept = start < end
        tally.add(Share(part, start[kept], end[kept], active_uj[kept], idle_uj[kept], whole.how[kept]), 1.0)
        return tally

    def _allocated(self, uuid: str) -> tuple[Device | None, int, int]:
        key, slices, of = allocated(self.host.taken, uuid)
        return self.host.taken.devices("gpu").get(key), slices, of

    def _divided(self, component: str) -> dict[str, Device]:
        """The devices of which it gets a share by CPU time."""
        known = len(self.host.taken) and self.attempt_id in self.host.times.attempts_ms
        return self._devices(component) if known else {}

    def _devices(self, component: str) -> dict[str, Device]:
        """Those of the host; what an engine reported is charged whole."""
        found = self.host.taken.devices(component)
        return {key: device for key, device in found.items() if not key.startswith(PREFIX)}

    def _of_gpu(self, device: Device, part: Increments, slices: int, of: int) -> Share:
        pieces = clip(self.host.taken, part, self.host.idle(device), self.start_ms, self.end_ms)
        if slices == of:
            idle_uj, active_uj, how = pieces.idle_uj, pieces.energy_uj - pieces.idle_uj, pieces.how
        else:
            idle_uj = pieces.idle_uj * slices // of
            active_uj = pieces.energy_uj * slices // of - idle_uj
            how = np.full_like(pieces.how, CODES[How.MODELLED])
        return Share(pieces.part, pieces.start_ms, pieces.end_ms, active_uj, idle_uj, how)

    def _of_cpu(self, device: Device, part: Increments) -> Share:
        taken, idle = self.host.taken, self.host.idle(device)
        # All of the attempt's CPU time lies within its run: what straddles an edge of the run is not cut.
        active_uj, idle_uj = by_cpu_time(taken, part, idle, self.host.times, self.attempt_id)
        start = np.maximum(taken.at_ms[part.first], self.start_ms)
        end = np.minimum(taken.at_ms[part.last], self.end_ms)
        return Share(part, start, end, active_uj, idle_uj, part.how)

    def _tally(self, component: str) -> Tally:
        return Tally(component, self.start_ms, self.end_ms)

    def _touching(self, part: Increments) -> Increments:
        """The known increments that touch the run."""
        inside = touching(self.host.taken, part, self.start_ms, self.end_ms)
        return part.only(inside & (part.energy_uj >= 0))

    def _cross_check(self, key: str, part: Increments) -> list[str]:
        """Tells where the counter and the power seen between disagree; the counter is what counts."""
        taken = self.host.taken
        if key not in taken.energy_uj or key not in taken.power_mw:
            return []
        energy_uj, power_mw = taken.energy_uj[key], taken.power_mw[key]
        shown = (energy_uj >= 0) & (power_mw >= 0)
        both = shown[:-1] & shown[1:] & (taken.boot[:-1] == taken.boot[1:]) & (np.diff(energy_uj) >= 0)
        for flag in part.flags:
            both[flag.first : flag.last] = False  # there the counter is not used
        both &= (taken.at_ms[:-1] >= self.start_ms) & (taken.at_ms[1:] <= self.end_ms)
        passed_ms = np.diff(taken.mono_ms)[both]
        counted_uj = int(np.diff(energy_uj)[both].sum())
        powered_uj = int(((power_mw[:-1][both].astype(np.int64) + power_mw[1:][both]) * passed_ms // 2).sum())
        if passed_ms.sum() < _APART_MS or abs(counted_uj - powered_uj) <= _APART * max(counted_uj, 1):
            return []
        return [
            f"{key}: its counter says {counted_uj / 1e6:.0f} J, "
            f"its power as sampled {powered_uj / 1e6:.0f} J; the counter is used"
        ]


def usage(
    folder: Path,
    attempt_id: str,
    gpu_uuids: Sequence[str],
    start_ms: int,
    end_ms: int,
    idle_mw: Mapping[str, int] | None = None,
) -> Usage:
    """What an attempt used from start to end, by component, with how each number was got.

    A component of which nothing is known has one span `missing` and coverage 0. Where somebody set the clock
    during the run, times follow the monotonic clock from the start on, and `end_ms` is the end by it.
    `idle_mw`: idle draws by device key, as `Usage.idle_mw` tells them; without them, those of the readings.
    """
    taken = excerpt(folder, start_ms, end_ms, attempt_id)
    end_ms = max(start_ms + 1, taken.end_ms)
    host = Host(folder, taken, end_ms, idle_mw)
    tallies = Run(host, attempt_id, gpu_uuids, start_ms, end_ms).tallies()
    tallies = with_reported(taken, tallies, start_ms, end_ms)
    notes = [
        *taken.steps,
        *gaps_told(taken, start_ms, end_ms),
        *dict.fromkeys(note for tally in tallies for note in tally.notes),
    ]
    if not {OVERHEAD, NODE}.intersection(tally.component for tally in tallies):
        notes.append(COMPONENTS_ONLY)
    return Usage(
        attempt_id,
        start_ms,
        end_ms,
        Spans({tally.component: tally.finished() for tally in tallies}),
        {tally.component: tally.coverage for tally in tallies},
        {tally.component: "; ".join(dict.fromkeys(tally.sources)) for tally in tallies},
        taken.digest,
        tuple(notes),
        host.idle_mw,
    )


def allocated(taken: Excerpt, uuid: str) -> tuple[str, int, int]:
    """The metered device behind an allocated id, and its share: for MIG so many of its compute slices."""
    for header in taken.headers:
        if part := header.mig.get(uuid):
            return f"gpu:{part.parent}", part.slices, part.of
    return f"gpu:{uuid}", 1, 1


def _why_missing(taken: Excerpt, uuid: str) -> str:
    if not len(taken):
        return "no readings"
    if uuid.startswith("MIG-"):
        return "not metered: the GPU that this MIG device is a part of is not known"
    last = taken.headers[int(taken.header[-1])]
    said = [note for note in last.notes if not note.startswith("RAPL")]
    return "not metered" + (f": {said[-1]}" if said else "")


def gaps(folder: Path, start_ms: int, end_ms: int, interval_s: float) -> tuple[tuple[int, int], ...]:
    """The stretches `(start_ms, end_ms)` of one boot in which the meter was silent for over two intervals.

    The time before the first and after the last reading counts too.
    """
    taken = excerpt(folder, start_ms, end_ms)
    if not len(taken):
        return ((start_ms, end_ms),)
    longest_ms = 2 * interval_s * 1000
    edge_ms = round(longest_ms * max(1.0, taken.headers[0].clock.factor))
    first_ms, last_ms = int(taken.at_ms[0]), int(taken.at_ms[-1])
    found = [(start_ms, first_ms)] if first_ms > start_ms + edge_ms else []
    silent = (np.diff(taken.boot) == 0) & (np.diff(taken.mono_ms) > longest_ms)
    found += [(int(taken.at_ms[row]), int(taken.at_ms[row + 1])) for row in np.flatnonzero(silent)]
    if last_ms < end_ms - edge_ms:
        found.append((last_ms, end_ms))
    return tuple(found)
