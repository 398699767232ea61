"""One tracker on the machine as it is: `python tracker_probes.py TRACKER COMPONENT UUIDS`.

Says "ready" when the tracker is imported and made, starts it at the first line on its standard input, stops
it at the second, and prints as JSON what it says in joules, and between which instants (CLOCK_MONOTONIC ms)
it was started and stopped. COMPONENT is "gpu" or "cpu" (with DRAM). Each tracker runs with the finest
interval that all of them have (1 s), the whole machine measured, and its PUE taken out.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

J_PER_KWH = 3_600_000.0
Run = Iterator[dict[str, Any]]  # made; started; stopped, with what it tells


def now_ms() -> int:
    """The time base of the waveforms."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000


def codecarbon(component: str, _uuids: list[str]) -> Run:
    """`OfflineEmissionsTracker`, DRAM asked for."""
    tracker = import_module("codecarbon").OfflineEmissionsTracker(
        country_iso_code="DEU",
        measure_power_secs=1,
        tracking_mode="machine",
        rapl_include_dram=True,
        pue=1.0,
        save_to_file="TRACKER_OUT" in os.environ,
        output_dir=os.environ.get("TRACKER_OUT", "."),
        save_to_api=False,
        allow_multiple_runs=True,
        log_level="error",
    )
    yield {}
    tracker.start()
    yield {}
    tracker.stop()
    told = tracker.final_emissions_data
    yield {"joules": (told.gpu_energy if component == "gpu" else told.cpu_energy) * J_PER_KWH}


def carbontracker(component: str, _uuids: list[str]) -> Run:
    """`CarbonTracker` for one epoch."""
    tracker = import_module("carbontracker.tracker").CarbonTracker(
        epochs=1,
        epochs_before_pred=0,
        update_interval=1,
        components=component,
        log_dir=os.environ.get("TRACKER_OUT"),
        verbose=0,
    )
    inner = tracker.tracker
    yield {}
    tracker.epoch_start()
    yield {}
    tracker.epoch_end()
    kwh = sum(float(sum(part.energy_usage(inner.epoch_times))) for part in inner.components)
    yield {"joules": kwh * J_PER_KWH}


def zeus(component: str, _uuids: list[str]) -> Run:
    """`ZeusMonitor`'s window over all devices."""
    out = os.environ.get("TRACKER_OUT")
    log_file = Path(out) / "zeus.csv" if out else None
    monitor = import_module("zeus.monitor").ZeusMonitor(approx_instant_energy=True, log_file=log_file)
    yield {}
    monitor.begin_window("run", sync_execution=False)
    yield {}
    told = monitor.end_window("run", sync_execution=False)
    devices = [told.gpu_energy] if component == "gpu" else [told.cpu_energy, told.dram_energy]
    known = [sum(part.values()) for part in devices if part is not None]
    yield {"joules": sum(known) if known else None}


def tidewatt(component: str, uuids: list[str]) -> Run:
    """The host's meter, and the accounting of what it kept."""
    from tidewatt.backends.clock import Clock
    from tidewatt.backends.meters.balance import account
    from tidewatt.backends.meters.client import MeterClient
    from tidewatt.backends.meters.energy import usage

    readings = Path(os.environ["TRACKER_READINGS"])
    client = MeterClient(readings, 1.0, Clock(), linger_s=5.0)
    yield {}
    client.register("1.1", os.getpid())
    client.ensure()
    client.read("start 1.1")
    start_ms = time.time_ns() // 1_000_000
    yield {}
    end_ms = time.time_ns() // 1_000_000
    client.read("end 1.1")
    client.unregister("1.1")
    used = usage(readings, "1.1", uuids if component == "gpu" else (), start_ms, end_ms)
    parts = ("gpu",) if component == "gpu" else ("cpu", "dram")
    spans = [span for span in used.spans if span.component in parts]
    hows = {span.how.value for span in spans if span.how.value != "missing"}
    if component == "gpu":
        joules = sum(span.active_uj + span.idle_uj for span in spans) / 1e6
    else:
        total = account(readings, [], start_ms, end_ms).total
        joules = sum(total.get(part, 0) for part in parts) / 1e6
    yield {
        "joules": joules if hows else None,
        "classed": " and ".join(sorted(hows)) or "missing",
        "coverage": used.coverage[component],
    }


TRACKERS = {"codecarbon": codecarbon, "carbontracker": carbontracker, "zeus": zeus, "tidewatt": tidewatt}


def main() -> None:
    """Runs one tracker between two lines of standard input."""
    name, component, uuids = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
    told: dict[str, Any] = {"tracker": name}
    try:
        run = TRACKERS[name](component, uuids)
        next(run)
        say("ready")
        sys.stdin.readline()
        told["asked_ms"] = now_ms()
        next(run)
        told["started_ms"] = now_ms()
        say("started")
        sys.stdin.readline()
        told["stopping_ms"] = now_ms()
        told |= next(run)
        told["stopped_ms"] = now_ms()
    except BaseException as error:  # what it raised is the result
        told["raised"] = f"{type(error).__name__}: {error}".split("\n")[0][:120]
        if "asked_ms" not in told:
            say("ready")
            sys.stdin.readline()
        if "started_ms" not in told:
            say("started")
    say(json.dumps(told))
    os._exit(0)  # not held up by a tracker's threads


def say(line: str) -> None:
    """A line for the benchmark, on a descriptor of its own: trackers talk on standard output."""
    os.write(int(os.environ["TRACKER_SAYS"]), f"{line}\n".encode())


if __name__ == "__main__":
    main()
