"""What works here, found out by using it: meters, GPUs, the local backend, disk and socket."""

import json
import os
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.scheduler.client import Client, NoDaemon
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.paths import Paths

if TYPE_CHECKING:
    from tidewatt.backends.host import Host
    from tidewatt.backends.meters.reading import Device, Reading

TRIAL_S = 10.0  # a command that does nothing must have ended within this
METERED_S = 0.5
SCARCE_BYTES = 200_000_000


class Verdict(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"  # works, but less well than it could
    FAIL = "fail"  # something that is needed does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: what came of it, and what to do where that is not enough."""

    verdict: Verdict
    subject: str
    found: str
    advice: str = ""


def gpus(host: "Host") -> Iterator[Finding]:
    """The GPUs, as NVML shows them."""
    for gpu in host.gpus:
        yield Finding(
            Verdict.OK, f"gpu {gpu.index}", f"{gpu.name} {gpu.uuid}, limit {gpu.limit_w or 'unknown'} W"
        )
    if host.gpu_note:
        yield Finding(Verdict.WARN, "gpus", host.gpu_note, "jobs without GPUs run all the same")


def meters(told: str) -> Iterator[Finding]:
    """Every instrument, read twice: one that stands still measures nothing. `told` is not said again."""
    from tidewatt.backends.clock import Clock
    from tidewatt.backends.meters.bench import Bench
    from tidewatt.backends.meters.cputime import CpuTimes

    with tempfile.TemporaryDirectory(prefix="tidewatt-") as folder:
        bench = Bench(CpuTimes(Path(folder)), Clock(), METERED_S)
        first = bench.read("doctor")
        _work(METERED_S)
        second = bench.read("doctor")
        header = bench.header()
    for device in header.devices:
        yield _meter(device, first, second)
    for note in header.notes:
        if note == told:
            continue
        yield Finding(Verdict.WARN, "meter", note, _meter_advice(note))


def _work(duration_s: float) -> None:
    """Keeps a core busy, so that every counter has something to count."""
    end = time.monotonic() + duration_s
    while time.monotonic() < end:
        pass


def _meter(device: "Device", first: "Reading", second: "Reading") -> Finding:
    from tidewatt.backends.meters.reading import How

    subject = f"meter {device.key}"
    elapsed_ms = max(second.mono_ms - first.mono_ms, 1)
    if device.key in first.energy_uj and device.key in second.energy_uj:
        power_w = (second.energy_uj[device.key] - first.energy_uj[device.key]) / elapsed_ms / 1000
        found = f"{device.how}, {power_w:.1f} W now ({device.source})"
        if power_w <= 0:
            return Finding(
                Verdict.WARN,
                subject,
                f"its counter stands still ({device.source})",
                "it counts as not measured",
            )
    elif device.key in second.power_mw:
        power_w = second.power_mw[device.key] / 1000
        found = f"{device.how}, {power_w:.1f} W now, without a counter ({device.source})"
    else:
        return Finding(
            Verdict.WARN, subject, f"could not be read ({device.source})", "its energy counts as missing"
        )
    if device.how is How.MODELLED:
        return Finding(
            Verdict.WARN,
            subject,
            found,
            "a readable RAPL counter would measure it; tdp_w sets the model's power",
        )
    return Finding(Verdict.OK, subject, found)


def _meter_advice(note: str) -> str:
    if "RAPL" in note and "does not exist" in note:
        return "virtual machines often hide it; the CPU's power is modelled"
    if "RAPL" in note and "cannot be read" in note:
        return "let this user read it: sudo chmod -R a+r /sys/class/powercap/intel-rapl:* (after each boot)"
    return ""


def backend() -> Finding:
    """Runs `true` through a real supervisor."""
    from tidewatt.backends.backend import BackendError, Launch, Phase
    from tidewatt.backends.local import LocalBackend

    with tempfile.TemporaryDirectory(prefix="tidewatt-") as name:
        folder = Path(name) / "1"
        output = Path(name) / "output"
        local = LocalBackend()
        started = time.monotonic()
        try:
            local.submit(Launch("0.1", folder, ("true",), Path(name), None, output, output, grace_s=1.0))
            while time.monotonic() < started + TRIAL_S:
                status = local.status([folder])[folder]
                if status.phase in (Phase.ENDED, Phase.POISONED):
                    break
                time.sleep(0.02)
        except BackendError as error:
            return Finding(Verdict.FAIL, "backend local", str(error))
        if status.phase is Phase.ENDED and status.exit_code == 0:
            return Finding(Verdict.OK, "backend local", f"ran `true` in {time.monotonic() - started:.2f} s")
        local.poison(folder)
        return Finding(
            Verdict.FAIL,
            "backend local",
            f"`true` did not run through: {status.phase}, {status.reason or 'no reason told'}",
        )


def state(place: Paths) -> Iterator[Finding]:
    """The state folder: a database in it can be written durably, and there is room."""
    try:
        place.make()
        with _trial_file(place.home, ".db") as trial:
            with closing(sqlite3.connect(trial)) as database, database:
                database.execute("PRAGMA synchronous = FULL")
                database.execute("CREATE TABLE trial (n INTEGER)")
            yield Finding(Verdict.OK, "state", f"{place.home} can be written")
        room = os.statvfs(place.home)
        free = room.f_bavail * room.f_frsize
        if free < SCARCE_BYTES:
            yield Finding(
                Verdict.WARN, "state", f"only {free / 1e6:.0f} MB are free in {place.home}", "make room"
            )
    except (OSError, sqlite3.Error, SchedulerError) as error:
        yield Finding(
            Verdict.FAIL, "state", f"{place.home}: {error}", "choose another folder with TIDEWATT_HOME"
        )


def ledger(place: Paths) -> Iterator[Finding]:
    """What the daemon says of its events, where one is running; it looks at all of them by and by."""
    try:
        answer = json.loads(Client(place.socket).fetch("ledger/head"))
    except NoDaemon:
        return
    except SchedulerError as error:
        yield Finding(
            Verdict.WARN, "ledger", str(error), "jobs run all the same, but nothing of them is signed"
        )
        return
    if answer["troubles"]:
        advice = "`tidewatt ledger check` looks at every event; docs/proof.md says what that means"
        yield Finding(Verdict.WARN, "ledger", "; ".join(answer["troubles"]), advice)
    else:
        yield Finding(Verdict.OK, "ledger", f"{answer['seq']} events, signed as {answer['fingerprint'][:16]}")


@contextmanager
def _trial_file(folder: Path, suffix: str) -> Iterator[Path]:
    path = folder / f".doctor-{os.getpid()}{suffix}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def door(place: Paths) -> Finding:
    """The socket: a daemon answers on it, or one could."""
    try:
        status = Client(place.socket, timeout_s=5).status()
        return Finding(
            Verdict.OK,
            "daemon",
            f"answers on {place.socket} (pid {status['pid']}, version {status['version']})",
        )
    except NoDaemon:
        pass
    except SchedulerError as error:
        return Finding(Verdict.FAIL, "daemon", str(error))
    try:
        place.make()
        with _trial_file(place.runtime, "") as path, socket.socket(socket.AF_UNIX) as trial:
            trial.bind(str(path))
    except (OSError, SchedulerError) as error:
        return Finding(
            Verdict.FAIL, "socket", f"{place.socket}: {error}", "set XDG_RUNTIME_DIR to a folder of yours"
        )
    return Finding(
        Verdict.OK, "daemon", f"none runs; it would listen on {place.socket}", "start it with `tidewatt up`"
    )
