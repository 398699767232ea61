"""What Slurm's accounting says that an attempt used: the node, charged whole, without its GPUs."""

import time
from dataclasses import dataclass

from tidewatt.backends.backend import AttemptStatus, BackendError, Launch
from tidewatt.backends.meters import reported
from tidewatt.backends.meters.reading import Device, How
from tidewatt.backends.slurm import capacity
from tidewatt.backends.slurm.facts import Facts
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.script import instant

_COLUMNS = "JobID,Start,End,ConsumedEnergyRaw"
_CLEARLY_MS = 1500
_LATE_S = 180.0  # so long accounting may come after a job's end


def report(launch: Launch, reference: Reference, seen: Facts, status: AttemptStatus) -> bool:
    """Writes it as readings; True once nothing more will come.

    Raises:
        BackendError: Accounting cannot be asked now.
    """
    if status.started_ms is None or status.ended_ms is None or seen.started_ms is None:
        return True
    clock = launch.clock
    ended_ms = clock.real_ms + (status.ended_ms - clock.replay_ms) / clock.factor
    late = time.time() - ended_ms / 1000 > _LATE_S
    plugin = capacity.config(reference.reach).get("AcctGatherEnergyType", "").rpartition("/")[2]
    if plugin in ("", "none"):
        return True
    number = seen.number or reference.number
    since = instant(seen.started_ms - 3_600_000)
    argv = ("sacct", "-n", "-P", "-D", "-j", number, "-S", since, "-o", _COLUMNS)
    try:
        text = reference.reach.call(*argv)
    except BackendError as error:
        if error.transient and not late:
            raise
        return True
    used = consumed(text, seen.started_ms / 1000)
    if used is None:
        return late
    source = f"Slurm ConsumedEnergy ({plugin}): node charged whole, GPUs not included"
    device = Device("attempt:node", "node", How.MEASURED, source)
    # A step that lingered after the job's own end: what was drawn then is not the job's. Its times are whole
    # seconds, so only what is clearly longer counts.
    step_end_ms = clock.at_ms(used.end_s * 1000)
    lingered = step_end_ms - status.ended_ms > _CLEARLY_MS * clock.factor
    first_ms, last_ms = status.started_ms, step_end_ms if lingered else status.ended_ms
    last_ms = max(last_ms, first_ms + 1)
    points = [(first_ms, 0), (last_ms, used.energy_j * 1_000_000)]
    reported.write(launch.folder / "readings", launch.attempt_id, device, points, clock)
    return True


@dataclass(frozen=True, slots=True)
class Consumed:
    """What one step used between two Unix seconds."""

    start_s: int
    end_s: int
    energy_j: int


def consumed(text: str, started_s: float) -> Consumed | None:
    """That of the attempt that started then; None where accounting does not know it yet, or at all.

    Energy stands on the rows of steps. Steps that ran at the same time each read their whole nodes, so they
    are never added: the largest is taken, of a batch script on one node that of the script itself.
    """
    found = [
        Consumed(int(start), int(end), int(energy))
        for job, start, end, energy in _rows(text)
        if "." in job and start.isdecimal() and end.isdecimal() and energy.isdecimal()
        and int(start) - 5 <= started_s <= int(end) + 5
    ]  # fmt: skip
    return max(found, key=lambda each: each.energy_j, default=None)


def _rows(text: str) -> list[tuple[str, str, str, str]]:
    cells = (line.split("|") for line in text.splitlines())
    return [(each[0], each[1], each[2], each[3]) for each in cells if len(each) == 4]
