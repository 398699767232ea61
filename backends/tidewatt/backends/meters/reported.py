"""What an engine says that an attempt used, kept as readings of a device that is the attempt's alone."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tidewatt.backends.clock import Clock
from tidewatt.backends.meters.journal import Header, Journal
from tidewatt.backends.meters.reading import Device, Reading

PREFIX = "attempt:"  # of the keys of such devices: "attempt:node"
BOOT = "rep-"  # begins what stands in the place of a boot's id: no host has such a one
_SINCE_MS = 1_000


def write(
    folder: Path,
    attempt_id: str,
    device: Device,
    points: Sequence[tuple[int, int]],
    clock: Clock,
    cpus: int = 1,
) -> None:
    """Writes an engine's figures as readings, in the place of those of that device that were there.

    `points` are milliseconds on the attempt's clock, ascending, with the microjoules used until then; two are
    enough. All of it is charged to the attempt; `device.source` says of what it is ("sacct ConsumedEnergy:
    the whole node, GPUs not included"). What of it is idle draw is not known, and is told so.

    Raises:
        ValueError: fewer than two points, or such as do not ascend, or a key without the prefix.
        OSError: they cannot be written.
    """
    _check(device, points)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    boot = f"{BOOT}{device.component}"
    for old in folder.glob(f"*-{boot[:8]}.jsonl*"):
        old.unlink()
    first_ms = points[0][0]
    longest_ms = max(round((there - here) / clock.factor) for (here, _), (there, _) in pairwise(points))
    header = Header(boot, cpus, max(1, longest_ms), clock, (device,))
    journal = Journal(folder)
    try:
        for place, (time_ms, energy_uj) in enumerate(points):
            cause = "start" if place == 0 else "end" if place == len(points) - 1 else "tick"
            said = "tick" if cause == "tick" else f"{cause} {attempt_id}"
            mono_ms = _SINCE_MS + round((time_ms - first_ms) / clock.factor)
            reading = Reading(time_ms, mono_ms, boot, said, {device.key: energy_uj})
            journal.append(reading, header, durable=place == len(points) - 1)
    finally:
        journal.close()


def _check(device: Device, points: Sequence[tuple[int, int]]) -> None:
    if not device.key.startswith(PREFIX):
        raise ValueError(f"the device {device.key!r} is not the attempt's alone: its key begins {PREFIX!r}")
    if len(points) < 2:
        raise ValueError("an engine's report needs a start and an end")
    for (here_ms, here_uj), (there_ms, there_uj) in pairwise(points):
        if there_ms <= here_ms or there_uj < here_uj:
            raise ValueError(f"an engine's report goes back at {there_ms} ms")
