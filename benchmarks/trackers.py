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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results import Row, keep  # noqa: E402 - found from the line above
from benchmarks.tracker_stand import OTHERS, TRACKERS, Stand, kill, run_case  # noqa: E402
from tests.meters.fault_cases import CASES  # noqa: E402
from tests.nvml.fake_nvml import build  # noqa: E402

LOCK = ROOT / "requirements" / "trackers.txt"
BEGIN, END = "<!-- trackers -->", "<!-- end of trackers -->"
KILLS = {signal.SIGKILL: "SIGKILL of the job", signal.SIGTERM: "SIGTERM of the job"}


def install(folder: Path) -> Path:
    """The interpreter of an environment with the other trackers in it; made where it is not there."""
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        print(f"installing {', '.join(OTHERS)} into {folder} ...", flush=True)
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
        done = subprocess.run([*command, "-r", str(LOCK)], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{done.stderr[-500:]}\nThe trackers could not be installed (pip's words are above).")
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
