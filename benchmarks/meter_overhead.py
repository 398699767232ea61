"""What metering costs: the meter's own CPU time, a day of readings on the disk, the time to account for it.

    python benchmarks/meter_overhead.py [SECONDS [SECONDS]] [--day-only]

First a day at one reading a second of 8 GPUs and 2 packages with memory, with noise on every counter and
power and UUIDs of full length, written by the production journal. Then a meter that reads such devices and a
busy job every second for the first number of seconds (60), and every 10 s for the second (120); its start is
not counted. The GPUs are those of the fake NVML library (gcc needed), the packages those of a fake powercap
folder.

Exits with 1 above 0.3 % of a core at 1 s or 0.05 % at 10 s, where the meter has loaded numpy or pandas, where
the packed day has more than 10 MB, or where its account takes more than a second.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import zip_longest
from math import sin
from pathlib import Path
from uuid import UUID

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.nvml.fake_nvml import FakeNvml, build  # noqa: E402 - found from the line above
from tidewatt.backends import lock  # noqa: E402
from tidewatt.backends.clock import Clock  # noqa: E402
from tidewatt.backends.meters import door  # noqa: E402
from tidewatt.backends.meters.client import MeterClient  # noqa: E402
from tidewatt.backends.meters.compaction import compact  # noqa: E402
from tidewatt.backends.meters.energy import usage  # noqa: E402
from tidewatt.backends.meters.journal import Header, Journal, readings_of  # noqa: E402
from tidewatt.backends.meters.reading import Device, How, Reading  # noqa: E402

MOST_PERCENT = {1.0: 0.3, 10.0: 0.05}  # of a core, by interval in seconds
MOST_MB = 10.0
MOST_S = 1.0
DAY_S = 86_400
START_MS = 1_717_200_000_000  # 2024-06-01
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


def metered(interval_s: float, seconds: float) -> bool:
    """Runs a meter for so long and prints what it cost; True where that is too much."""
    with tempfile.TemporaryDirectory(prefix="tw-") as name:
        folder = Path(name)
        nvml = FakeNvml.in_folder(folder, build(folder))
        for number in range(8):
            nvml.add(f"GPU-{number}", idle_w=300)
        mover, over = powercap(folder / "powercap")
        os.environ.update(nvml.environ(), TIDEWATT_POWERCAP=str(folder / "powercap"), XDG_RUNTIME_DIR=name)
        client = MeterClient(folder / "readings", interval_s, Clock())
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
            kept = readings_of(next(client.readings.glob("*.jsonl")))
            client.unregister("1.1")
            os.kill(pid, signal.SIGTERM)
            while lock.held(door.lock(client.readings)):
                time.sleep(0.05)
            job.kill()
            over.set()
            mover.join()
    heavy = [module for module in ("numpy", "pandas") if f"/{module}/" in maps]
    values = len(kept[-1].energy_uj) + len(kept[-1].power_mw)
    loaded = f"loads {heavy}" if heavy else "loads neither numpy nor pandas"
    print(
        f"meter every {interval_s:g} s: {percent:.3f} % of a core (at most {MOST_PERCENT[interval_s]} %), "
        f"{resident_mb:.1f} MB resident, {loaded}; {len(kept)} readings of {values} values"
    )
    return percent > MOST_PERCENT[interval_s] or bool(heavy)


def devices(noise: random.Random) -> tuple[Device, ...]:
    """8 GPUs with UUIDs of full length, 2 packages with their memory."""
    found = []
    for _ in range(8):
        uuid = f"GPU-{UUID(int=noise.getrandbits(128))}"
        found.append(Device(f"gpu:{uuid}", "gpu", How.MEASURED, "NVML energy counter", limit_w=700))
    for number in range(2):
        key = f"rapl:package-{number}"
        found.append(Device(key, "cpu", How.MEASURED, "RAPL", 262_143_328_850, 350))
        found.append(Device(f"{key}/dram", "dram", How.MEASURED, "RAPL", 65_712_999_613, 60))
    return tuple(found)


def write_day(folder: Path) -> tuple[Device, ...]:
    """A day of readings; GPUs draw 400 W with a slow wave and noise, their counters are in millijoules."""
    noise = random.Random(7)
    header = Header("b0070000-0000-4000-8000-000000000001", 128, 1000, Clock(), devices(noise))
    journal = Journal(folder)
    energy_uj = {
        device.key: noise.randrange(10**13) % (device.range_uj or 10**13) for device in header.devices
    }
    cpu_ms, time_ms = {"host": 10**9, "1.1": 0}, START_MS
    for second in range(DAY_S):
        passed_ms = 1000 + noise.randrange(4) - noise.randrange(4)
        time_ms += passed_ms
        power_mw, shown = {}, {}
        for place, device in enumerate(header.devices):
            middle, swing = {"gpu": (400, 25), "cpu": (150, 8), "dram": (20, 1)}[device.component]
            drawn_mw = round(1000 * noise.gauss(middle + 100 * (place < 8) * sin(second / 37 + place), swing))
            if device.component == "gpu":
                power_mw[device.key] = drawn_mw
            energy_uj[device.key] += drawn_mw * passed_ms
            energy_uj[device.key] %= device.range_uj or 2**62
            step_uj = 1000 if device.component == "gpu" else 1
            shown[device.key] = energy_uj[device.key] // step_uj * step_uj
        cpu_ms = {
            "host": cpu_ms["host"] + 10 * noise.randrange(9000),
            "1.1": cpu_ms["1.1"] + 10 * noise.randrange(6000),
        }
        reading = Reading(
            time_ms, time_ms - START_MS + 10**8, header.boot_id, "tick", shown, power_mw, cpu_ms
        )
        journal.append(reading, header, durable=False)
    journal.close()
    return header.devices


def accounted(folder: Path, uuids: list[str], idle_mw: dict[str, int]) -> float:
    """CPU seconds of one account of the day."""
    before = time.process_time()
    used = usage(folder, "1.1", uuids, START_MS + 5000, START_MS + 1000 * (DAY_S - 5), idle_mw=idle_mw)
    spent_s = time.process_time() - before
    assert used.coverage["gpu"] == 1.0, used.coverage
    return spent_s


def day() -> bool:
    """A day of readings, raw and packed; True where it is too large or too slow."""
    with tempfile.TemporaryDirectory(prefix="tw-") as name:
        folder = Path(name)
        found = write_day(folder)
        uuids = [device.key.removeprefix("gpu:") for device in found if device.component == "gpu"]
        idle_mw = {device.key: 50_000 for device in found}
        raw_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        raw_s = min(accounted(folder, uuids, idle_mw) for _ in range(3))
        before = time.process_time()
        compact(folder, START_MS + 3 * 1000 * DAY_S)
        packing_s = time.process_time() - before
        packed_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        packed_s = min(accounted(folder, uuids, idle_mw) for _ in range(3))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    space = f"{raw_mb:.1f} MB, packed {packed_mb:.2f} MB in {packing_s:.2f} s"
    print(f"a day at 1 Hz, 8 GPUs, 4 RAPL zones: {space}")
    print(f"its account: {raw_s:.2f} s of CPU, {packed_s:.2f} s packed; at most {peak_mb:.0f} MB in memory")
    return packed_mb > MOST_MB or packed_s > MOST_S


def main() -> int:
    """Runs all of it and prints what it costs."""
    seconds = [float(word) for word in sys.argv[1:] if not word.startswith("--")]
    failed = [day()]
    if "--day-only" not in sys.argv:
        for (interval_s, otherwise_s), given_s in zip_longest(((1.0, 60.0), (10.0, 120.0)), seconds[:2]):
            failed.append(metered(interval_s, given_s or otherwise_s))
    return int(any(failed))


if __name__ == "__main__":
    sys.exit(main())
