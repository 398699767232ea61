"""What the meter itself costs: one that reads 8 GPUs, 2 packages with memory and a busy job every second.

    python benchmarks/meter_overhead.py [SECONDS]

The GPUs are those of the fake NVML library (gcc needed), the packages those of a fake powercap folder.
Start-up is not counted. Exits with 1 above 0.3 % of a core, or where the meter has loaded numpy or pandas.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.nvml.fake_nvml import FakeNvml, build  # noqa: E402 - found from the line above
from tidewatt.backends import lock  # noqa: E402
from tidewatt.backends.clock import Clock  # noqa: E402
from tidewatt.backends.meters import door  # noqa: E402
from tidewatt.backends.meters.client import MeterClient  # noqa: E402

MOST_PERCENT = 0.3
JOB = """
import time
while True:
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    time.sleep(0.05)
"""


def powercap(root: Path) -> tuple[threading.Thread, threading.Event]:
    """A powercap folder with two packages and their memory; its counters move until the event is set."""
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:1:0": "dram",
    }
    for number, (place, name) in enumerate(zones.items()):
        (root / place).mkdir(parents=True)
        (root / place / "name").write_text(name)
        (root / place / "max_energy_range_uj").write_text("262143328850")
        (root / place / "energy_uj").write_text(str(number * 10**9))

    over = threading.Event()

    def move() -> None:
        passed = 0
        while not over.is_set():
            time.sleep(0.02)
            passed += 1
            for number, place in enumerate(zones):
                draft = root / f"{place}.draft"
                draft.write_text(str(number * 10**9 + passed * 2_000_000))
                draft.replace(root / place / "energy_uj")

    mover = threading.Thread(target=move)
    mover.start()
    return mover, over


def cpu_s(pid: int) -> float:
    """CPU seconds of a process; fine ones, since ticks of 10 ms are as much as some readings."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Runs it and prints what it cost."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory(prefix="tw-") as name:
        folder = Path(name)
        nvml = FakeNvml.in_folder(folder, build(folder))
        for number in range(8):
            nvml.add(f"GPU-{number}", idle_w=300)
        mover, over = powercap(folder / "powercap")
        os.environ.update(nvml.environ(), TIDEWATT_POWERCAP=str(folder / "powercap"), XDG_RUNTIME_DIR=name)
        client = MeterClient(folder / "readings", 1.0, Clock())
        with subprocess.Popen([sys.executable, "-c", JOB]) as job:
            client.register("1.1", os.getpid())
            if not client.ensure():
                sys.exit("the meter does not start: see " + str(folder / "readings" / "meter.log"))
            pid = json.loads(door.note(client.readings).read_text())["pid"]
            time.sleep(2)
            before, since = cpu_s(pid), time.monotonic()
            time.sleep(seconds)
            percent = 100 * (cpu_s(pid) - before) / (time.monotonic() - since)
            resident_mb = memory_mb(pid)
            maps = Path(f"/proc/{pid}/maps").read_text()
            lines = next(client.readings.glob("*.jsonl")).read_bytes().splitlines()
            client.unregister("1.1")
            os.kill(pid, signal.SIGTERM)
            while lock.held(door.lock(client.readings)):
                time.sleep(0.05)
            job.kill()
            over.set()
            mover.join()
        heavy = [module for module in ("numpy", "pandas") if f"/{module}/" in maps]
        print(
            f"readings: {len(lines) - 1}, {len(lines[-1])} bytes each, {lines[-1].count(b'gpu:')} GPU values"
        )
        loaded = f"loads {heavy}" if heavy else "loads neither numpy nor pandas"
        print(f"meter: {percent:.3f} % of a core, {resident_mb:.1f} MB resident, {loaded}")
        return int(percent > MOST_PERCENT or bool(heavy))


if __name__ == "__main__":
    sys.exit(main())
