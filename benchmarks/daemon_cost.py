"""What the daemon costs: the time until a submit is durable, and its processor time and memory while idle.

    .venv/bin/python benchmarks/daemon_cost.py [--submits 100] [--idle-s 60]

A daemon of its own is started in a temporary state folder and ended afterwards. A submit is timed from the
request on its Unix socket to the answer, which comes when the job is durable; jobs come one at a time, a
tenth of a second apart. Beside it stands a durable write of 4 KiB on the same disk, taken in turn: it is the
bound.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from tidewatt.scheduler.client import Client
from tidewatt.scheduler.paths import paths


def main() -> None:
    """Prints both measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--submits", type=int, default=100)
    parser.add_argument("--idle-s", type=float, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tw-", ignore_cleanup_errors=True) as folder:
        environ = {**os.environ, "TIDEWATT_HOME": f"{folder}/home", "TIDEWATT_LEASES": f"{folder}/leases"}
        tidewatt = str(Path(sys.executable).parent / "tidewatt")
        subprocess.run([tidewatt, "up", "--zone", "DE"], env=environ, check=True, stdout=subprocess.DEVNULL)
        try:
            client = Client(paths(environ).socket)
            _idle(int(client.status()["pid"]), given.idle_s)
            _submits(client, Path(folder), given.submits)
        finally:
            subprocess.run([tidewatt, "down"], env=environ, check=True, stdout=subprocess.DEVNULL)


def _idle(pid: int, seconds: float) -> None:
    daemon = psutil.Process(pid)
    time.sleep(3)
    before, began = daemon.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, passed = daemon.cpu_times(), time.monotonic() - began
    used_s = after.user + after.system - before.user - before.system
    memory_mb = daemon.memory_info().rss / 1e6
    print(f"idle daemon: {used_s / passed:.2%} of a core over {passed:.0f} s, {memory_mb:.0f} MB")


def _submits(client: Client, folder: Path, count: int) -> None:
    submits, writes = [], []
    for _ in range(count):
        finish_by = datetime.now(UTC) + timedelta(hours=20)
        request = {"argv": ["true"], "cwd": "/", "env": {"PATH": "/bin"}, "duration_s": 3600, "cpus": 1}
        began = time.perf_counter()
        client.submit(request | {"finish_by": finish_by.isoformat()} | {"late": True})
        submits.append(time.perf_counter() - began)
        writes.append(_durable_write(folder / "beside"))
        time.sleep(0.1)
    for name, times in (("submit", submits), ("durable write of 4 KiB", writes)):
        low, high = statistics.median(times) * 1e3, sorted(times)[int(0.99 * count)] * 1e3
        print(f"{name}: median {low:.1f} ms, 99th percentile {high:.1f} ms ({count} times)")


def _durable_write(path: Path) -> float:
    began = time.perf_counter()
    with path.open("ab") as file:
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
