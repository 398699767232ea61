"""Our meter inside an allocation: `... slurm.beside FOLDER ATTEMPT INTERVAL CLOCK start|end PID`."""

import sys
from pathlib import Path

from tidewatt.backends.clock import Clock
from tidewatt.backends.meters.client import MeterClient

_LINGER_S = 5.0


def main(folder: str, attempt: str, interval_s: str, clock: str, verb: str, pid: str) -> int:
    """Begins or ends the metering of all processes below `pid`; 1 where the meter does not answer."""
    meter = MeterClient(Path(folder), float(interval_s), Clock.from_json(clock), linger_s=_LINGER_S)
    if verb == "start":
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        meter.register(attempt, int(pid))
        return 0 if meter.read(f"start {attempt}") else 1
    read = meter.read(f"end {attempt}")
    meter.unregister(attempt)
    return 0 if read else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
