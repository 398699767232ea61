"""Codecarbon, carbontracker, zeus and our meter on the same faults, at the same time, with a known truth.

    python benchmarks/trackers.py [--only WORDS] [--seconds 8] [--environment FOLDER] [--write]

Makes an environment for the other trackers from `requirements/trackers.txt` (in a temporary folder, or in
the one that is named, where it is kept), then runs the cases of `tests/meters/fault_cases.py` that can happen
to a meter on real seconds. GPUs are those of the fake NVML library, CPU zones those of a fake powercap folder
that a mount namespace puts in the place of /sys/class/powercap; no process has a network, or root's rights.
Needs gcc, `unshare` and `setpriv`. An error is counted from the nearest truth that a tracker's own start and
stop allow. `--write` puts the tables into docs/metering.md.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results import Row, keep  # noqa: E402 - found from the line above
from tests.meters.fault_cases import CASES, STEADY, A, Case, one_gpu  # noqa: E402
from tests.meters.live import live_scene  # noqa: E402
from tests.meters.scene import Scene  # noqa: E402
from tests.nvml.fake_nvml import build  # noqa: E402

LOCK = ROOT / "requirements" / "trackers.txt"
PROBES = ROOT / "benchmarks" / "tracker_probes.py"
OTHERS = ("codecarbon", "carbontracker", "zeus")
TRACKERS = ("tidewatt", *OTHERS)
POWERCAP = Path("/sys/class/powercap")
BEGIN, END = "<!-- trackers -->", "<!-- end of trackers -->"
KILLS = {signal.SIGKILL: "SIGKILL of the job", signal.SIGTERM: "SIGTERM of the job"}
PATIENCE_S = 60.0


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


def install(folder: Path) -> Path:
    """The interpreter of an environment with the other trackers in it; made where it is not there."""
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        print(f"installing {', '.join(OTHERS)} into {folder} ...", flush=True)
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
        subprocess.run([*command, "-r", str(LOCK)], check=True, stderr=subprocess.DEVNULL)
        (folder / ".complete").touch()
    return python


def inside(arguments: argparse.Namespace) -> None:
    """The benchmark itself, in namespaces of its own."""
    folder = Path(arguments.inside)
    _own_sys_class(folder)
    python = Path(arguments.environment) / "bin" / "python"
    stand = Stand(folder, build(folder), python, arguments.seconds)
    cases = [case for case in CASES if case.live and (arguments.only or "") in case.name]
    lines = []
    for number, case in enumerate(cases):
        told = run_case(stand, case, f"{number}")
        if any("RuntimeError" in each.raised for each in told.values()):
            told = run_case(stand, case, f"{number}-again")  # zeus: a helper was not there within 10 s
        cells = [case.name, *(told[name].text() for name in TRACKERS)]
        lines.append(cells)
        print(" | ".join(cells), flush=True)
    kills = []
    if not arguments.only or "kill" in arguments.only:
        for how, name in KILLS.items():
            left = kill(stand, how)
            kills.append([name, *(left[tracker] for tracker in TRACKERS)])
            print(" | ".join(kills[-1]), flush=True)
    (folder / "tables.json").write_text(json.dumps({"cases": lines, "kills": kills}))


def _own_sys_class(folder: Path) -> None:
    """An own /sys/class, with all that the machine's holds but powercap."""
    kept = folder / "class"
    kept.mkdir()
    for words in ("--make-rprivate /", f"--rbind /sys/class {kept}", "-t tmpfs tmpfs /sys/class"):
        subprocess.run(["mount", *words.split()], check=True)
    for path in kept.iterdir():
        if path.is_dir() and path.name != "powercap":
            (Path("/sys/class") / path.name).mkdir()
            subprocess.run(["mount", "--rbind", str(path), f"/sys/class/{path.name}"], check=True)


def outside(arguments: argparse.Namespace) -> int:
    """Makes the environment and the namespaces, runs the benchmark there, keeps what it found."""
    if missing := [name for name in ("gcc", "unshare", "setpriv") if shutil.which(name) is None]:
        sys.exit(
            f"This benchmark needs {' and '.join(missing)}: install them (util-linux), then run it again."
        )
    with tempfile.TemporaryDirectory(prefix="tidewatt-trackers-") as name:
        folder = Path(name)
        for made in ("bin", "home", "home/run"):
            (folder / made).mkdir()
        smi = folder / "bin" / "nvidia-smi"  # codecarbon looks for one before it looks for NVML
        smi.write_text("#!/bin/sh\necho 'NVIDIA-SMI 550.54.15'\n")
        smi.chmod(0o755)
        environment = Path(arguments.environment or folder / "environment")
        install(environment)
        flags = ["--mount", "--net"] + ([] if os.getuid() == 0 else ["--map-root-user"])
        command = ["unshare", *flags, sys.executable, str(Path(__file__).resolve())]
        command += ["--inside", str(folder), "--environment", str(environment)]
        command += ["--seconds", str(arguments.seconds)]
        command += ["--only", arguments.only] if arguments.only else []
        done = subprocess.run(command, check=False)
        if done.returncode:
            return done.returncode
        tables = json.loads((folder / "tables.json").read_text())
    found = _markdown(tables)
    print(found)
    rows = [Row(cells[0], "truth", "", cells[1], None) for cells in tables["cases"]]
    keep("trackers", rows, "benchmarks/trackers.py", complete=not arguments.only)
    if arguments.write and not arguments.only:
        _write(found)
    return 0


def versions() -> dict[str, str]:
    """The other trackers' versions, by the lock."""
    words = [line.split("==") for line in LOCK.read_text().splitlines() if "==" in line]
    return {name: version.split()[0] for name, version in words if name in OTHERS}


def _markdown(tables: dict[str, list[list[str]]]) -> str:
    locked = versions()
    heads = [f"{name} {locked[name]}" for name in OTHERS]
    lines = []
    for title, rows in (("told of drawn, error", tables["cases"]), ("what is left", tables["kills"])):
        if rows:
            columns = [title, "Tidewatt", *heads]
            lines += ["", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
            lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines[1:]) + "\n"


def _write(found: str) -> None:
    page = ROOT / "docs" / "metering.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{found}{END}{after}")


def main() -> int:
    """Runs the benchmark."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    parser.add_argument("--only", help="cases whose name holds this")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each case")
    parser.add_argument("--environment", help="the folder of an environment to keep")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/metering.md")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        inside(arguments)
        return 0
    return outside(arguments)


if __name__ == "__main__":
    sys.exit(main())
