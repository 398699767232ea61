"""Energy of attempts, from the readings kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tidewatt.backends.meters.counter import Increment, increments
from tidewatt.backends.meters.draw import idle_mw
from tidewatt.backends.meters.excerpt import Excerpt, excerpt
from tidewatt.backends.meters.reading import Device, How, Span, Usage
from tidewatt.backends.meters.share import CpuTime, by_cpu_time, clip

_APART = 0.1  # counter and power may differ so much before it is told
_APART_MS = 10_000


@dataclass(slots=True)
class Tally:
    """The energy of one component of one attempt, as it is being added up."""

    component: str
    length_ms: int
    spans: dict[tuple[int, int, How], list[int]] = field(default_factory=dict)
    covered_ms: float = 0.0
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, start_ms: int, end_ms: int, how: How, active_uj: int, idle_uj: int, weight: float) -> None:
        """Books energy; `weight` is the share of the component that the device is."""
        amounts = self.spans.setdefault((start_ms, end_ms, how), [0, 0])
        amounts[0] += active_uj
        amounts[1] += idle_uj
        self.covered_ms += (end_ms - start_ms) * weight

    @property
    def coverage(self) -> float:
        """The share of the run for which the energy is known."""
        return min(1.0, self.covered_ms / self.length_ms)

    def finished(self, start_ms: int) -> Iterator[Span]:
        """The spans; a component without any gets one that says so."""
        if not self.spans:
            yield Span(start_ms, start_ms + self.length_ms, self.component, How.MISSING, 0, 0)
        for (first_ms, last_ms, how), (active_uj, idle_uj) in sorted(self.spans.items()):
            yield Span(first_ms, last_ms, self.component, how, active_uj, idle_uj)


def usage(folder: Path, attempt_id: str, gpu_uuids: Sequence[str], start_ms: int, end_ms: int) -> Usage:
    """What an attempt used from start to end, by component, with how each number was got.

    A component of which nothing is known has one span `missing` and coverage 0. Where somebody set the clock
    during the run, times follow the monotonic clock from the start on, and `end_ms` is the end by it.
    """
    taken = excerpt(folder, start_ms, end_ms, attempt_id)
    end_ms = max(start_ms + 1, taken.end_ms)
    tallies = [
        _by_cpu_time(folder, taken, component, attempt_id, start_ms, end_ms) for component in ("cpu", "dram")
    ]
    if gpu_uuids:
        tallies.insert(0, _gpus(folder, taken, gpu_uuids, start_ms, end_ms))
    return Usage(
        attempt_id,
        start_ms,
        end_ms,
        tuple(span for tally in tallies for span in tally.finished(start_ms)),
        {tally.component: tally.coverage for tally in tallies},
        {tally.component: "; ".join(dict.fromkeys(tally.sources)) for tally in tallies},
        taken.digest,
        (*taken.steps, *dict.fromkeys(note for tally in tallies for note in tally.notes)),
    )


def devices(taken: Excerpt, component: str) -> dict[str, Device]:
    """The devices of a component that were metered at some time of the excerpt, by key."""
    found: dict[str, Device] = {}
    for record in taken.records:
        for device in record.header.devices:
            if device.component == component:
                found[device.key] = device
    return found


def _gpus(folder: Path, taken: Excerpt, uuids: Sequence[str], start_ms: int, end_ms: int) -> Tally:
    tally = Tally("gpu", end_ms - start_ms)
    for uuid in uuids:
        key, slices, of = allocated(taken, uuid)
        device = devices(taken, "gpu").get(key)
        if device is None:
            tally.sources.append(_why_missing(taken, uuid))
            tally.notes.append(f"gpu {uuid}: {tally.sources[-1]}")
            continue
        tally.sources.append(device.source if slices == of else f"{device.source}, {slices} of {of} slices")
        idle = idle_mw(folder, key, end_ms)
        if not idle:
            tally.notes.append(f"{key}: its idle draw was never seen: all of its energy counts as active")
        for part in _within(taken, key, start_ms, end_ms, tally):
            piece = clip(taken.records, part, idle, start_ms, end_ms)
            if piece:
                how = part.how if slices == of else How.MODELLED
                idle_uj = piece.idle_uj * slices // of
                active_uj = piece.energy_uj * slices // of - idle_uj
                tally.add(piece.start_ms, piece.end_ms, how, active_uj, idle_uj, 1 / len(uuids))
        tally.notes += _cross_check(taken, key, start_ms, end_ms)
    return tally


def allocated(taken: Excerpt, uuid: str) -> tuple[str, int, int]:
    """The metered device behind an allocated id, and its share: for MIG so many of its compute slices."""
    for record in taken.records:
        if part := record.header.mig.get(uuid):
            return f"gpu:{part.parent}", part.slices, part.of
    return f"gpu:{uuid}", 1, 1


def _why_missing(taken: Excerpt, uuid: str) -> str:
    if not taken.records:
        return "no readings"
    if uuid.startswith("MIG-"):
        return "not metered: the GPU that this MIG device is a part of is not known"
    said = [note for note in taken.records[-1].header.notes if not note.startswith("RAPL")]
    return "not metered" + (f": {said[-1]}" if said else "")


def _by_cpu_time(
    folder: Path, taken: Excerpt, component: str, attempt_id: str, start_ms: int, end_ms: int
) -> Tally:
    tally = Tally(component, end_ms - start_ms)
    times = CpuTime.of(taken.records)
    found = devices(taken, component)
    if not taken.records or not found or attempt_id not in times.attempts_ms:
        reason = "no readings" if not taken.records else f"no {component} meter"
        if found and taken.records:
            reason = "not attributed: the attempt's CPU time was not read"
        tally.sources.append(reason)
        tally.notes.append(f"{component}: {reason}")
        return tally
    for key, device in found.items():
        tally.sources.append(device.source)
        idle = idle_mw(folder, key, end_ms) if device.idle_w is None else round(device.idle_w * 1000)
        for part in _within(taken, key, start_ms, end_ms, tally):
            first, last = taken.records[part.first], taken.records[part.last]
            # All of the attempt's CPU time lies within its run: what straddles an edge of the run is not cut.
            active_uj, idle_uj = by_cpu_time(taken.records, part, idle, times, attempt_id)
            peers = sum(device.component == component for device in last.header.devices)
            start, end = max(start_ms, first.at_ms), min(end_ms, last.at_ms)
            tally.add(start, end, part.how, active_uj, idle_uj, 1 / max(1, peers))
    return tally


def _within(taken: Excerpt, key: str, start_ms: int, end_ms: int, tally: Tally) -> Iterator[Increment]:
    """The device's known increments that touch the run; the flags of all go into the notes."""
    for part in increments(taken.records, key):
        first, last = taken.records[part.first], taken.records[part.last]
        if first.at_ms < end_ms and last.at_ms > start_ms:
            if part.flag:
                tally.notes.append(part.flag)
            if part.energy_uj is not None:
                yield part


def _cross_check(taken: Excerpt, key: str, start_ms: int, end_ms: int) -> Iterator[str]:
    """Tells where the counter and the power seen between disagree; the counter is what counts."""
    counted_uj, powered_uj, passed_ms = 0, 0, 0
    for earlier, later in pairwise(taken.records):
        one, two = earlier.reading, later.reading
        shown = [r.energy_uj.get(key) for r in (one, two)], [r.power_mw.get(key) for r in (one, two)]
        if None in shown[0] or None in shown[1] or one.boot_id != two.boot_id:
            continue
        if earlier.at_ms >= start_ms and later.at_ms <= end_ms and two.energy_uj[key] >= one.energy_uj[key]:
            counted_uj += two.energy_uj[key] - one.energy_uj[key]
            powered_uj += (one.power_mw[key] + two.power_mw[key]) * (two.mono_ms - one.mono_ms) // 2
            passed_ms += two.mono_ms - one.mono_ms
    if passed_ms >= _APART_MS and abs(counted_uj - powered_uj) > _APART * max(counted_uj, 1):
        yield (
            f"{key}: its counter says {counted_uj / 1e6:.0f} J, "
            f"its power as sampled {powered_uj / 1e6:.0f} J; the counter is used"
        )


def gaps(folder: Path, start_ms: int, end_ms: int, interval_s: float) -> tuple[tuple[int, int], ...]:
    """The stretches `(start_ms, end_ms)` of one boot in which the meter was silent for over two intervals.

    The time before the first and after the last reading counts too.
    """
    records = excerpt(folder, start_ms, end_ms).records
    if not records:
        return ((start_ms, end_ms),)
    longest_ms = 2 * interval_s * 1000
    edge_ms = round(longest_ms * max(1.0, records[0].header.clock.factor))
    found = []
    if records[0].at_ms > start_ms + edge_ms:
        found.append((start_ms, records[0].at_ms))
    for earlier, later in pairwise(records):
        one, two = earlier.reading, later.reading
        if one.boot_id == two.boot_id and two.mono_ms - one.mono_ms > longest_ms:
            found.append((earlier.at_ms, later.at_ms))
    if records[-1].at_ms < end_ms - edge_ms:
        found.append((records[-1].at_ms, end_ms))
    return tuple(found)
