"""Energy by plain loops over readings, one after the other: slow, and therefore easy to believe.

The production code takes the same decisions on whole columns; property tests compare the two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tidewatt.backends.meters.journal import Header, Shape, parse
from tidewatt.backends.meters.reading import How, Reading, Span

Part = tuple[int, int, int | None, How]  # first and last record, microjoules, how


@dataclass(frozen=True, slots=True)
class Record:
    reading: Reading
    header: Header
    at_ms: int


def slow_spans(
    folder: Path,
    attempt_id: str,
    uuids: Sequence[str],
    start_ms: int,
    end_ms: int,
    idle_mw: Mapping[str, int],
) -> tuple[tuple[Span, ...], int]:
    """The spans of GPUs, CPU and memory of an attempt, and the end by the monotonic clock."""
    records, end_ms = placed(folder, start_ms, end_ms, attempt_id)
    end_ms = max(start_ms + 1, end_ms)
    spans: list[Span] = []
    for component in ("gpu", "cpu", "dram"):
        found: dict[tuple[int, int, How], list[int]] = {}
        keys = {d.key: d for r in records for d in r.header.devices if d.component == component}
        wanted = [f"gpu:{uuid}" for uuid in uuids] if component == "gpu" else list(keys)
        for key in wanted:
            if key not in keys:
                continue
            for start, end, how, active_uj, idle_uj in shares(
                records, key, idle_mw[key], attempt_id if component != "gpu" else "", start_ms, end_ms
            ):
                amounts = found.setdefault((start, end, how), [0, 0])
                amounts[0] += active_uj
                amounts[1] += idle_uj
        if not found:
            spans.append(Span(start_ms, end_ms, component, How.MISSING, 0, 0))
        spans += [Span(*key[:2], component, key[2], *amounts) for key, amounts in sorted(found.items())]
    return tuple(spans), end_ms


def placed(folder: Path, start_ms: int, end_ms: int, attempt_id: str) -> tuple[list[Record], int]:
    """The records in order, with the instants that the monotonic clock gives them."""
    header, shape, taken = None, None, []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            form = parse(line, shape)
            header = form if isinstance(form, Header) else header
            shape = form if isinstance(form, Shape) else shape
            if isinstance(form, Reading) and header:
                taken.append((form, header))
    records, shift, last = [], 0, None
    shifts = []
    for reading, header in taken:
        if last is not None:
            passed = (reading.mono_ms - last.mono_ms) * header.clock.factor
            apart = round(reading.time_ms - last.time_ms - passed)
            shift += apart if abs(apart) > 500 + 0.001 * passed else 0
        shifts.append(shift)
        last = reading
    anchor = next((i for i, (reading, _) in enumerate(taken) if reading.time_ms >= start_ms), 0)
    at_ms = -(10**18)
    for (reading, header), shift in zip(taken, shifts, strict=True):
        at_ms = max(at_ms, reading.time_ms + shifts[anchor] - shift)
        records.append(Record(reading, header, at_ms))
    return records, end_ms + shifts[anchor] - shifts[-1]


def parts(records: Sequence[Record], key: str) -> Iterator[Part]:
    """The device's energy between successive records that show it."""
    shown = [
        i
        for i, record in enumerate(records)
        if record.header.device(key) and (key in record.reading.energy_uj or key in record.reading.power_mw)
    ]
    counted = [i for i in shown if key in records[i].reading.energy_uj]
    if len(counted) < 2:
        yield from by_power(records, shown, key)
        return
    yield from by_power(records, [i for i in shown if i <= counted[0]], key)
    pairs = list(pairwise(counted))
    found = [difference(records, shown, key, *pair) for pair in pairs]
    mono_ms = [record.reading.mono_ms for record in records]
    place = 0
    while place < len(pairs):  # a counter that stands still from one record to the next, and the next, ...
        beyond = place
        while beyond < len(pairs) and found[beyond][1] == "" and found[beyond][0] == 0:
            beyond += 1
        if beyond > place and mono_ms[pairs[beyond - 1][1]] - mono_ms[pairs[place][0]] >= 2000:
            for each in range(place, beyond):
                if draws(records, shown, key, *pairs[each]):
                    found[each] = (0, "still")
        place = max(beyond, place + 1)
    for place in [place for place, (_, fault) in enumerate(found) if fault == "still"]:
        for other in (place - 1, place + 1):
            if 0 <= other < len(pairs) and not found[other][1]:
                found[other] = (0, "still")
    stretches: list[tuple[int, int, int, str]] = []
    for (first, last), (energy_uj, fault) in zip(pairs, found, strict=True):
        if fault == "still" and stretches and stretches[-1][3] == "still":
            first = stretches.pop()[0]
        stretches.append((first, last, energy_uj, fault))
    for first, last, energy_uj, fault in stretches:
        if not fault:
            device = records[last].header.device(key)
            assert device is not None
            yield first, last, energy_uj, device.how
            continue
        filled = list(by_power(records, [i for i in shown if first <= i <= last], key))
        yield from filled or [(first, last, None, How.MISSING)]
    yield from by_power(records, [i for i in shown if i >= counted[-1]], key)


def difference(
    records: Sequence[Record], shown: Sequence[int], key: str, first: int, last: int
) -> tuple[int, str]:
    one, two = records[first], records[last]
    device = two.header.device(key)
    assert device is not None
    passed_ms = two.reading.mono_ms - one.reading.mono_ms
    if two.reading.slept_ms - one.reading.slept_ms > 1000:
        return 0, "slept"
    if device.range_uj and device.limit_w * 1000 * passed_ms > device.range_uj:
        return 0, "gap"
    energy_uj = two.reading.energy_uj[key] - one.reading.energy_uj[key]
    if energy_uj < 0 and device.range_uj:
        energy_uj += device.range_uj
    if energy_uj < 0:
        return 0, "reset"
    if device.limit_w and energy_uj > 1.5 * device.limit_w * 1000 * (passed_ms + 200):
        return 0, "implausible"
    return energy_uj, ""


def draws(records: Sequence[Record], shown: Sequence[int], key: str, first: int, last: int) -> bool:
    """Whether the power seen, if any, says that the device drew something."""
    power_mw = [records[i].reading.power_mw.get(key) for i in shown if first <= i <= last]
    seen = [each for each in power_mw if each is not None]
    return any(seen) or not seen


def by_power(records: Sequence[Record], rows: Sequence[int], key: str) -> Iterator[Part]:
    for first, last in pairwise([i for i in rows if key in records[i].reading.power_mw]):
        one, two = records[first].reading, records[last].reading
        passed_ms = two.mono_ms - one.mono_ms
        too_long = passed_ms > max(3 * records[last].header.interval_ms, 5000)
        if too_long or two.slept_ms - one.slept_ms > 1000:
            yield first, last, None, How.MISSING
        else:
            yield first, last, (one.power_mw[key] + two.power_mw[key]) * passed_ms // 2, How.MODELLED


def shares(
    records: Sequence[Record], key: str, idle: int, attempt_id: str, start_ms: int, end_ms: int
) -> Iterator[tuple[int, int, How, int, int]]:
    """Start, end, how, active and idle of each part: by CPU time of an attempt, else all of it."""
    names = {name for record in records for name in record.reading.cpu_ms} - {"host"}
    for first, last, energy_uj, how in parts(records, key):
        one, two = records[first], records[last]
        start, end = max(start_ms, one.at_ms), min(end_ms, two.at_ms)
        if energy_uj is None or one.at_ms >= end_ms or two.at_ms <= start_ms:
            continue
        passed_ms = two.reading.mono_ms - one.reading.mono_ms
        if not attempt_id:
            if start >= end:
                continue
            length_ms = two.at_ms - one.at_ms
            edges = (energy_uj * (edge - one.at_ms) // length_ms for edge in (start, end))
            before_uj, until_uj = edges
            idle_uj = min(idle * passed_ms * (end - start) // length_ms, until_uj - before_uj)
            yield start, end, how, until_uj - before_uj - idle_uj, idle_uj
            continue
        spent = {name: used(records, name, first, last) for name in (*names, "host")}
        if attempt_id not in names:
            continue
        idle_uj = min(energy_uj, idle * passed_ms)
        all_ms = sum(spent[name] for name in names)
        busy_ms = max(1, spent["host"], all_ms)
        capacity_ms = max(1, two.header.cpus * passed_ms, all_ms)
        active_uj = (energy_uj - idle_uj) * spent[attempt_id] // busy_ms
        yield start, end, how, active_uj, idle_uj * spent[attempt_id] // capacity_ms


def used(records: Sequence[Record], name: str, first: int, last: int) -> int:
    """CPU milliseconds between two records; what a record does not tell is as it was."""
    highest = [0, 0]
    for place, until in enumerate((first, last)):
        highest[place] = max(
            (record.reading.cpu_ms.get(name, 0) for record in records[: until + 1]), default=0
        )
    return max(0, highest[1] - highest[0])
