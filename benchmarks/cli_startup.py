"""What the command line costs before it does anything, against `python -c "import typer"`.

    python benchmarks/cli_startup.py [--rounds 15]

Runs alternate, so that a busy machine slows all of them alike; `status` asks a daemon started for it. The
promise is three times as long at most.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 3.0
TIDEWATT = [sys.executable, "-c", "from tidewatt.scheduler.cli import main; main()"]


def measure(commands: dict[str, list[str]], rounds: int, environment: dict[str, str]) -> dict[str, float]:
    """Median wall time of each command, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
            if number:  # the first round reads the disk
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> int:
    """Prints the medians and the ratios; 1 where one is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="tw-") as folder:
        environment = os.environ | {"TIDEWATT_HOME": str(Path(folder) / "home"), "XDG_RUNTIME_DIR": folder}
        subprocess.run([*TIDEWATT, "up"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            medians = measure(
                {
                    "import typer": [sys.executable, "-c", "import typer"],
                    "tidewatt --help": [*TIDEWATT, "--help"],
                    "tidewatt status": [*TIDEWATT, "status"],
                },
                rounds,
                environment,
            )
        finally:
            subprocess.run([*TIDEWATT, "down"], env=environment, check=True, stdout=subprocess.DEVNULL)
    base = medians["import typer"]
    for name, median in medians.items():
        print(f"{name:16} {1000 * median:6.0f} ms   {median / base:4.2f} x")
    return int(any(median > LIMIT * base for median in medians.values()))


if __name__ == "__main__":
    sys.exit(main())
