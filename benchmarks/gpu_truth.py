"""On a real GPU: its energy counter against its power, integrated, and what it draws when idle and suspended.

    python benchmarks/gpu_truth.py [--gpu UUID] [--seconds 180] [--load "PROGRAM ARGUMENTS"] [--write]

Half a minute idle, 3 minutes of steady load, 3 minutes of a load that goes on and off once a second, and half
a minute each with a process that holds memory on the GPU and does nothing, and with that process stopped
(SIGSTOP). Counter and power are read every 20 ms; of the same samples one a second and one every 10 s are
taken too. The load is that of `benchmarks/gpu_load.py`, or a program that says "ready" and heeds "on", "off"
and "end" on its standard input. `--write` puts the table into docs/metering.md. Exits with 1 where there is
no GPU or no load.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results import Row, keep  # noqa: E402 - found from the line above
from tidewatt.backends.meters.nvml import Nvml  # noqa: E402

SAMPLE_S = 0.02
SQUARE_S = 1.0
WHOLE_S = 180.0  # shorter runs are for trying out, and are not kept
BEGIN, END = "<!-- gpu -->", "<!-- end of gpu -->"


class RefusalError(Exception):
    """Why there is nothing to measure here, in a sentence."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Counter and power of the GPU at one instant of the monotonic clock; None where it does not tell."""

    at_s: float
    energy_j: float | None
    power_w: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """What one phase showed; None where the GPU does not tell it. `step_ms`: of the counter, typically."""

    phase: str
    seconds: float
    counter_j: float | None
    power_j: float | None
    second_j: float | None
    ten_seconds_j: float | None
    step_ms: float | None

    def cells(self) -> list[str]:
        """For the table."""
        mean_w = None if self.counter_j is None else self.counter_j / self.seconds
        step = "-" if self.step_ms is None else f"{self.step_ms:.0f} ms"
        told = [_joules(self.counter_j), "-" if mean_w is None else f"{mean_w:.1f} W", step]
        for each in (self.power_j, self.second_j, self.ten_seconds_j):
            told.append(f"{_joules(each)}{_apart(each, self.counter_j)}")
        return [self.phase, f"{self.seconds:.1f} s", *told]


def _joules(energy_j: float | None) -> str:
    return "-" if energy_j is None else f"{energy_j:,.0f} J"


def _apart(energy_j: float | None, counter_j: float | None) -> str:
    return "" if energy_j is None or not counter_j else f" ({100 * (energy_j / counter_j - 1):+.1f} %)"


class Load:
    """A program that loads the GPU while it is told to."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self._process.stdout.readline().strip() if self._process.stdout else ""
        if said != "ready":
            self.end()
            raise RefusalError(said or f"{shlex.join(command)} ended before it was ready")

    def tell(self, word: str) -> None:
        """Says "on", "off" or "end"."""
        if self._process.stdin:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()

    def suspend(self, stopped: bool) -> None:
        """Stops the process, or lets it go on."""
        self._process.send_signal(signal.SIGSTOP if stopped else signal.SIGCONT)

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def sample(nvml: Nvml, key: str) -> Sample:
    """One look at the GPU."""
    energy_uj, power_mw = nvml.read()
    counted, drawn = energy_uj.get(key), power_mw.get(key)
    return Sample(
        time.monotonic(), None if counted is None else counted / 1e6, None if drawn is None else drawn / 1e3
    )


def watch(nvml: Nvml, key: str, seconds: float, heed: Callable[[float], None]) -> list[Sample]:
    """Samples for so long; `heed` is told at each how many seconds have passed."""
    samples = [sample(nvml, key)]
    began = samples[0].at_s
    while samples[-1].at_s - began < seconds:
        heed(samples[-1].at_s - began)
        time.sleep(SAMPLE_S)
        samples.append(sample(nvml, key))
    return samples


def integrated_j(samples: Sequence[Sample], apart_s: float = 0.0) -> float | None:
    """Power by the trapezoid rule, of samples at least so far apart; None where there are too few."""
    taken: list[Sample] = []
    for each in samples:
        if each.power_w is not None and (not taken or each.at_s - taken[-1].at_s >= apart_s):
            taken.append(each)
    if len(taken) < 2:
        return None
    areas = ((a.power_w or 0) + (b.power_w or 0) for a, b in pairwise(taken))
    energy_j = sum(area * (b.at_s - a.at_s) / 2 for area, (a, b) in zip(areas, pairwise(taken), strict=True))
    covered = taken[-1].at_s - taken[0].at_s
    return energy_j * (samples[-1].at_s - samples[0].at_s) / covered


def found(phase: str, samples: Sequence[Sample]) -> Found:
    """What the samples of a phase show."""
    counted = [(each.at_s, each.energy_j) for each in samples if each.energy_j is not None]
    counter_j = counted[-1][1] - counted[0][1] if len(counted) > 1 else None
    moves = [later for (later, b), (_, a) in zip(counted[1:], counted, strict=False) if b != a]
    steps = [b - a for a, b in pairwise(moves)]
    return Found(
        phase,
        samples[-1].at_s - samples[0].at_s,
        counter_j,
        integrated_j(samples),
        integrated_j(samples, 1.0),
        integrated_j(samples, 10.0),
        median(steps) * 1000 if steps else None,
    )


def measure(nvml: Nvml, key: str, load: Load, seconds: float) -> list[Found]:
    """All phases in turn; those without load take a sixth of the time."""
    short_s = seconds / 6
    told = [""]

    def square(passed_s: float) -> None:
        word = "on" if passed_s % SQUARE_S >= SQUARE_S / 2 else "off"
        if word != told[0]:
            told[0] = word
            load.tell(word)

    def still(_passed_s: float) -> None:
        return

    phases = [found("memory held, nothing done", watch(nvml, key, short_s, still))]
    load.suspend(True)
    phases.append(found("the same process stopped", watch(nvml, key, short_s, still)))
    load.suspend(False)
    load.tell("on")
    phases.append(found("steady load", watch(nvml, key, seconds, still)))
    phases.append(found("load on and off, 1 Hz", watch(nvml, key, seconds, square)))
    return phases


def table(name: str, driver: str, phases: Sequence[Found]) -> str:
    """The table, in Markdown."""
    columns = ["", "time", "counter", "mean", "counter's step", "power, 20 ms", "power, 1 s", "power, 10 s"]
    lines = [
        f"{name}, driver {driver}:",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    lines += ["| " + " | ".join(each.cells()) + " |" for each in phases]
    return "\n".join(lines) + "\n"


def run(uuid: str, seconds: float, command: Sequence[str]) -> tuple[str, list[Found]]:
    """Measures the GPU; the table and the phases. Raises RefusalError."""
    nvml = Nvml()
    gpus = {gpu.uuid: gpu for gpu in nvml.gpus()}
    if not gpus:
        raise RefusalError(f"{nvml.note}: run this on a machine with an NVIDIA GPU")
    gpu = gpus.get(uuid) if uuid else next(iter(gpus.values()))
    if gpu is None:
        raise RefusalError(f"there is no GPU {uuid}: those here are {', '.join(gpus)}")
    key = f"gpu:{gpu.uuid}"
    idle = found("idle", watch(nvml, key, seconds / 6, lambda _passed_s: None))
    load = Load(command)
    try:
        phases = [idle, *measure(nvml, key, load, seconds)]
    finally:
        load.end()
    return table(gpu.name, nvml.driver, phases), phases


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; 1 where there is nothing to measure."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    parser.add_argument("--gpu", default="", help="UUID of the GPU (default: the first)")
    parser.add_argument("--seconds", type=float, default=WHOLE_S, help="of each phase with load")
    parser.add_argument("--load", help="a program that loads the GPU")
    parser.add_argument("--write", action="store_true", help="put the table into docs/metering.md")
    given = parser.parse_args(argv)
    own = [sys.executable, str(ROOT / "benchmarks" / "gpu_load.py")]
    try:
        shown, phases = run(given.gpu, given.seconds, shlex.split(given.load) if given.load else own)
    except (RefusalError, OSError) as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 1
    print(shown)
    if given.seconds >= WHOLE_S:
        rows = [Row(each.phase, "its power", "", ", ".join(each.cells()[1:]), None) for each in phases]
        keep("gpu_truth", rows, "benchmarks/gpu_truth.py")
    if given.write:
        page = ROOT / "docs" / "metering.md"
        before, _, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{shown}{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
