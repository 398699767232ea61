"""Where trackers run beside each other on one fault, and what they told of what was drawn."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.meters.fault_case import STEADY, A, Case, one_gpu
from tests.meters.live import live_scene
from tests.meters.scene import Scene

PROBES = Path(__file__).resolve().parent / "tracker_probes.py"
OTHERS = ("codecarbon", "carbontracker", "zeus")
TRACKERS = ("tidewatt", *OTHERS)
POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class Told:
    """What a tracker said of one case, and the least and the most that was drawn while it ran."""

    joules: float | None
    least_j: float
    most_j: float
    classed: str = ""
    coverage: float = 1.0
    raised: str = ""

    @property
    def error(self) -> float | None:
        """Relative to the nearest truth; None where nothing was told or drawn."""
        if self.joules is None or not self.most_j:
            return None
        nearest = min(max(self.joules, self.least_j), self.most_j)
        return (self.joules - nearest) / nearest

    def text(self) -> str:
        """For the table."""
        if self.raised:
            return f"raises {self.raised.split(':')[0]}"
        if self.joules is None:
            return self.classed or "nothing told"
        nearest = min(max(self.joules, self.least_j), self.most_j)
        if self.coverage < 0.9995:
            percent = round(100 * self.coverage)
            known = f"{self.joules:,.0f} of {nearest:,.0f} J"
            return f"{known}, {self.classed} {percent} %, missing {100 - percent} %"
        classed = f", {self.classed}" if self.classed else ""
        return f"{self.joules:,.0f} of {nearest:,.0f} J ({100 * (self.error or 0):+.1f} %){classed}"


@dataclass(slots=True)
class Probe:
    """A tracker in a process of its own, which says lines on a pipe."""

    name: str
    process: "subprocess.Popen[bytes]"
    says: Any
    told: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """The next line; "" where it has ended."""
        return str(self.says.readline()).strip()

    def tell(self) -> None:
        """Goes on to the next step."""
        if self.process.stdin:
            try:
                self.process.stdin.write(b"\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                return

    def finish(self) -> None:
        """Takes its result."""
        line = self.line()
        self.told = json.loads(line) if line.startswith("{") else {"raised": "nothing: its process has ended"}
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the probes run: interpreters, library, the folder for everything."""

    folder: Path
    library: Path
    python: Path
    seconds: float

    def start(self, name: str, case: Case, scene: Scene, out: Path | None = None) -> Probe:
        """A probe that is ready."""
        read, write = os.pipe()
        component = "gpu" if case.gpus else "cpu"
        python = sys.executable if name == "tidewatt" else str(self.python)
        command = [
            str(shutil.which("setpriv")),
            "--bounding-set=-all",
            "--inh-caps=-all",
            python,
        ]  # a user's rights
        command += [str(PROBES), name, component, ",".join(case.uuids)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / f"{name}.log", "ab"),  # noqa: SIM115 - the child's
            cwd=self.folder / "home",
            env=self._environ(name, case, scene, write, out),
            pass_fds=(write,),
            start_new_session=True,
        )
        os.close(write)
        return Probe(name, process, os.fdopen(read))

    def _environ(self, name: str, case: Case, scene: Scene, says: int, out: Path | None) -> dict[str, str]:
        path = [str(self.folder / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
        environ = scene.nvml.environ() | {
            "PATH": os.pathsep.join(path),
            "HOME": str(self.folder / "home"),
            "XDG_RUNTIME_DIR": str(self.folder / "home" / "run"),
            "TRACKER_SAYS": str(says),
            "TRACKER_READINGS": str(scene.nvml.control.parent / "readings"),
            "OMP_NUM_THREADS": "1",
            "TIDEWATT_TDP_W": "100",
        }
        environ |= case.environ
        return environ | ({"TRACKER_OUT": str(out)} if out else {})


def run_case(stand: Stand, case: Case, number: str) -> dict[str, Told]:
    """All trackers on one case at once."""
    folder = _new_folder(stand, f"case-{number}")
    with live_scene(case, folder, stand.library) as live:
        _show(live.scene, case)
        probes = [stand.start(name, case, live.scene) for name in TRACKERS]
        for probe in probes:
            probe.line()
        if case.at_start:
            case.at_start(live.scene, stand.seconds)
        for probe in probes:
            probe.tell()
        for probe in probes:
            probe.line()
        live.play(case, stand.seconds)
        for probe in probes:
            probe.tell()
        for probe in probes:
            probe.finish()
        return {probe.name: _told(case, live.scene, probe.told) for probe in probes}


def _new_folder(stand: Stand, name: str) -> Path:
    folder = stand.folder / name
    folder.mkdir()
    return folder


def _show(scene: Scene, case: Case) -> None:
    """Puts the case's powercap folder in the kernel's place, or nothing."""
    POWERCAP.unlink(missing_ok=True)
    if case.zones:
        POWERCAP.symlink_to(scene.powercap.root)


def _told(case: Case, scene: Scene, told: dict[str, Any]) -> Told:
    parts = ["gpu"] if case.gpus else ["cpu", "dram"]
    devices = [device for part in parts for device in case.devices(part, case.uuids)]
    share = case.share if case.gpus else 1.0

    def drawn_j(start: str, end: str) -> float:
        return share * scene.truth.energy_j(devices, told[start], told[end]) if end in told else 0.0

    return Told(
        told.get("joules"),
        drawn_j("started_ms", "stopping_ms"),
        drawn_j("asked_ms", "stopped_ms"),
        told.get("classed", ""),
        told.get("coverage", 1.0),
        told.get("raised", ""),
    )


def kill(stand: Stand, how: signal.Signals) -> dict[str, str]:
    """What is left of a run when the process that is measured gets a signal, in words."""
    case = one_gpu("killed", wave=STEADY)
    folder = _new_folder(stand, f"kill-{how}")
    left: dict[str, str] = {}
    with live_scene(case, folder, stand.library) as live:
        _show(live.scene, case)
        for name in TRACKERS:
            out = _new_folder(stand, f"kill-{how}-{name}")
            probe = stand.start(name, case, live.scene, out)
            probe.line()
            probe.tell()
            probe.line()
            began = time.time_ns() // 1_000_000
            time.sleep(stand.seconds / 2)
            probe.process.send_signal(how)
            probe.process.wait()
            ended = time.time_ns() // 1_000_000
            left[name] = _left(name, out, folder / "readings", began, ended)
    return left


def _left(name: str, out: Path, readings: Path, began_ms: int, ended_ms: int) -> str:
    if name == "tidewatt":
        from tidewatt.backends.meters.energy import usage

        time.sleep(1.5)  # the meter goes on by itself
        used = usage(readings, "1.1", [A], began_ms, ended_ms)
        joules = sum(s.active_uj + s.idle_uj for s in used.spans if s.component == "gpu") / 1e6
        truth = STEADY.high_w * (ended_ms - began_ms) / 1000
        return f"{joules:,.0f} of {truth:,.0f} J, {100 * used.coverage['gpu']:.0f} % of the run"
    texts = {path.name: path.read_text() for path in out.rglob("*") if path.is_file()}
    if name == "zeus":
        rows = texts.get("zeus.csv", "").splitlines()
        return f"{max(0, len(rows) - 1)} windows in its log"
    told = [text for text in texts.values() if "energy" in text.lower() and any(c.isdigit() for c in text)]
    if name == "carbontracker":
        told = [text for text in told if "kwh" in text.lower()]
    return f"{len(told)} files with energy" if told else "no energy in any file"
