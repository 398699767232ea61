"""What the hooks cost a training loop with steps of 10 ms, and a script's start.

    python benchmarks/hooks_cost.py [--seconds 60] [--step-ms 10]

Steps with hooks (a step with its samples and tokens, a look whether a pause is coming) and without alternate
at random within one run, so that a busy machine slows both alike. The promise is 0.1 %: CPU time of the
calls, writing included, to CPU time of the steps. Beside it, what one would feel: how long a step with hooks
took against one without, which on a busy machine is mostly noise; and the longest wait for the calls. Where
the kernel often lets somebody else go first, a step leaves cold caches behind, and the calls cost a multiple.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

LIMIT = 0.001
IMPORT_LIMIT_S = 0.020
SPIN = 2_000


@dataclass(slots=True)
class Found:
    """Seconds of steps, and of the calls after them: of this thread's CPU time, and of wall time."""

    step_cpu: list[float] = field(default_factory=list)
    calls_cpu: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    disturbed: int = 0  # steps in which the kernel took the core away


def preemptions() -> int:
    """How often the kernel has taken the core away from this thread."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def work(rounds: int) -> float:
    """Pure Python that keeps one core busy."""
    total = 0.0
    for number in range(rounds * SPIN):
        total += number * 0.5
    return total


def rounds_of(step_s: float) -> int:
    """How much work takes that much CPU time here."""
    times = []
    for _ in range(50):
        begun = time.thread_time()
        work(1)
        times.append(time.thread_time() - begun)
    return max(1, round(step_s / median(times)))


def measure(seconds: float, step_s: float) -> dict[bool, Found]:
    """What steps took, with hooks (True) and without."""
    from tidewatt.backends import hooks

    assert hooks.active()
    rounds, dice = rounds_of(step_s), random.Random(1)
    found = {True: Found(), False: Found()}
    hooks.phase("train")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        told = dice.random() < 0.5
        switches = preemptions()
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        work(rounds)
        done, done_cpu = time.perf_counter(), time.thread_time()
        if told:
            hooks.steps(samples=32, tokens=32 * 512)
            hooks.pause_coming()
        after_cpu, after = time.thread_time(), time.perf_counter()
        here = found[told]
        here.step_cpu.append(after_cpu - begun_cpu)
        here.calls_cpu.append(after_cpu - done_cpu)
        here.step.append(after - begun)
        here.calls.append(after - done)
        here.disturbed += preemptions() > switches
    return found


def import_s(rounds: int) -> tuple[float, float]:
    """Median seconds of a bare Python, and what importing the hooks adds to it."""
    times: dict[str, list[float]] = {"pass": [], "import tidewatt.backends.hooks": []}
    for _ in range(rounds):
        for statement, found in times.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            found.append(time.perf_counter() - begun)
    bare, loaded = (median(found) for found in times.values())
    return bare, loaded - bare


def main() -> int:
    """Prints the ratios; 1 where one is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--step-ms", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=15, help="of imports")
    given = parser.parse_args()
    python_s, added_s = import_s(given.rounds)
    with tempfile.TemporaryDirectory(prefix="tw-") as folder:
        os.environ["TIDEWATT_MARKS"] = str(Path(folder) / "marks")
        found = measure(given.seconds, given.step_ms / 1000)
    told, bare = found[True], found[False]
    spent_s = fmean(told.calls_cpu) - fmean(bare.calls_cpu)
    ratio = spent_s / fmean(bare.step_cpu)
    felt = median(told.step) / median(bare.step) - 1
    step_ms = 1e3 * fmean(bare.step_cpu)
    print(f"{len(told.step)} steps with hooks and {len(bare.step)} without, of {step_ms:.1f} ms")
    disturbed = (told.disturbed + bare.disturbed) / (len(told.step) + len(bare.step))
    print(f"  {100 * disturbed:.0f} % of them shared their core with other work")
    print(f"CPU time of the calls after a step {1e6 * spent_s:9.2f} us  {100 * ratio:7.4f} % of a step")
    middle_us, longest_us = 1e6 * median(told.calls), 1e6 * max(told.calls)
    print(f"  wall time, median and longest    {middle_us:9.2f} us  {longest_us:7.0f} us")
    print(f"a step with hooks to one without   {100 * felt:+9.3f} %   (medians of wall time)")
    print(
        f"import of the hooks                {1e3 * added_s:9.1f} ms  after {1e3 * python_s:.0f} ms of Python"
    )
    return int(ratio > LIMIT or added_s > IMPORT_LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
