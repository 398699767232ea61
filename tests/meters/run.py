"""Runs a case on a simulated host, with the production bench and journal."""

from pathlib import Path

from tests.meters.fault_case import Case
from tests.meters.host import Host
from tests.meters.scene import Scene
from tests.meters.truth import Wave
from tests.meters.verdict import Verdict, judge
from tidewatt.backends.meters.cpu_model import CpuModel
from tidewatt.backends.meters.tdp import Tdp, this_cpu

BOARD = {"board": Wave(35)}  # what else of a host draws, which psys shows
_LEAD_MS = 33_711  # an attempt begins between two ticks
_BEFORE_MS, _AFTER_MS = 37, 83  # a supervisor has the meter read before its job starts, and when it has ended


def run_case(case: Case, folder: Path, library: Path | None) -> dict[str, Verdict]:
    """The verdict on every component that the case speaks of."""
    host = Host.in_folder(folder, library)
    host.interval_s = case.interval_s
    host.wall_shift_ms = case.wall_ms - host.now_ms
    host.model = CpuModel(Tdp(case.tdp_w, f"{case.tdp_w:g} W (set)"), this_cpu().threads)
    prepare(case, host)
    host.show()
    host.start_meter()
    host.run_until(host.now_ms + _LEAD_MS)
    if case.at_start:
        case.at_start(host, case.seconds)
    host.read("start 1.1")
    host.run_until(host.now_ms + _BEFORE_MS)
    start_ms, start_wall_ms = host.now_ms, host.wall_ms()
    host.started_ms = start_ms
    length_ms = round(case.seconds * 1000)
    for event in case.events:
        host.run_until(max(host.now_ms, start_ms + round(event.at * length_ms) + host.slept_since(start_ms)))
        event.happens(host)
        host.show()
    host.run_until(max(host.now_ms, start_ms + length_ms + host.slept_since(start_ms)))
    end_ms, end_wall_ms = host.now_ms, host.wall_ms()
    host.ended_ms = end_ms
    host.run_until(end_ms + _AFTER_MS)
    host.read("end 1.1")
    host.run_until(end_ms + 25_000)
    run = (start_ms, end_ms, start_wall_ms, end_wall_ms)
    return {component: judge(case, host, component, *run) for component in case.expect}


def prepare(case: Case, scene: Scene) -> None:
    """Builds the hardware of a case."""
    for gpu in case.gpus:
        scene.add_gpu(gpu)
    scene.nvml.migs = list(case.migs)
    scene.nvml.write()
    for device, wave in (BOARD | dict(case.packages)).items():
        scene.draw(device, wave)
    for zone in case.zones:
        scene.add_zone(zone)
