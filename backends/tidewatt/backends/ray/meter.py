"""Our own meter beside a job in a Ray cluster: `python -m tidewatt.backends.ray.meter start|end FOLDER PID`.

The escort calls it, with a Python that finds this package. Readings go to the attempt's shared folder.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tidewatt.backends import durable
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.meters.client import MeterClient

READINGS = "readings"


def start(folder: Path, escort_pid: int) -> bool:
    """Starts the meter, takes a reading and notes which GPUs the job has; False where it did not answer."""
    launch = Attempt(folder).launch()
    if launch is None:
        return False
    if uuids := visible(os.environ.get("CUDA_VISIBLE_DEVICES", "")):
        durable.create(folder / "gpus.json", {"uuids": uuids})
    client = MeterClient(folder / READINGS, launch.meter_interval_s, launch.clock)
    registered = client.register(launch.attempt_id, escort_pid)
    return registered and client.ensure() and client.read(f"start {launch.attempt_id}")


def end(folder: Path) -> bool:
    """Takes the last reading of the job; the meter ends by itself some time later."""
    launch = Attempt(folder).launch()
    if launch is None:
        return False
    client = MeterClient(folder / READINGS, launch.meter_interval_s, launch.clock)
    told = client.read(f"end {launch.attempt_id}")
    client.unregister(launch.attempt_id)
    return told


def visible(devices: str) -> list[str]:
    """The UUIDs of the GPUs that Ray gave it, by number; [] where that cannot be told."""
    numbers = [part.strip() for part in devices.split(",") if part.strip()]
    if all(part.startswith(("GPU-", "MIG-")) for part in numbers):
        return numbers
    with suppress(OSError, subprocess.SubprocessError, ValueError, IndexError):
        command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
        known = dict(line.split(", ") for line in answer.splitlines() if ", " in line)
        return [known[number] for number in numbers if number in known]
    return []


def main() -> None:
    """Exits with 1 where the meter did not answer; the escort goes on all the same."""
    when, folder = sys.argv[1], Path(sys.argv[2])
    sys.exit(0 if (start(folder, int(sys.argv[3])) if when == "start" else end(folder)) else 1)


if __name__ == "__main__":
    main()
