"""A process of lowest priority that plans a whole queue and then makes the timetable better.

It reads one frame, the task, from standard input and writes a frame for each better timetable. It ends when
its time is up, and when whoever started it closes its input or dies: the kernel sees to both.
"""

import fcntl
import os
import resource
import select
import signal
import sys
import time
from typing import IO

import numpy as np

from tidewatt.scheduler.planning.timetable.frames import (
    Arrays,
    prices_arrays,
    problem_from,
    read_frame,
    timetable_arrays,
    timetable_from,
    write_frame,
)

GRACE_S = 5.0  # beyond its time; then the kernel ends it
MOST_MEMORY = 4 << 30  # bytes of address space
_FIRST_SHARE = 0.5  # of the time, at most, for the first timetable


def main() -> int:
    """Reads the task, works, and writes what is found."""
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    source, sink = sys.stdin.buffer, _output_of_our_own()
    task = read_frame(source)
    if task is None:
        return 0
    _end_with_input(source.fileno())
    try:
        signal.setitimer(signal.ITIMER_REAL, float(task["seconds"]) + GRACE_S)
        _work(task, sink)
    except Exception as error:  # whoever waits for an answer has to learn what happened
        write_frame(sink, {"trouble": np.array(f"{type(error).__name__}: {error}")})
        return 1
    return 0


def _work(task: Arrays, sink: IO[bytes]) -> None:
    from tidewatt.scheduler.planning.timetable.improvement import improvements
    from tidewatt.scheduler.planning.timetable.solve import solve

    begun, seconds, seed = time.monotonic(), float(task["seconds"]), int(task["seed"])
    problem = problem_from(task)
    if "place" in task:
        timetable = timetable_from(task)
    else:
        solution = solve(problem, seed=seed, seconds=_FIRST_SHARE * seconds)
        timetable = solution.timetable
        write_frame(sink, timetable_arrays(timetable) | prices_arrays(solution.prices))
    left = seconds - (time.monotonic() - begun)
    for better in improvements(problem, timetable, max(left, 0.0), seed):
        write_frame(sink, timetable_arrays(better))


def _output_of_our_own() -> IO[bytes]:
    """Standard output, which from now on nobody else writes to: solvers print when they like."""
    ours = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return ours


def _end_with_input(stream: int) -> None:
    """Has the kernel end this process as soon as the other end of its input is closed, whatever it does."""
    fcntl.fcntl(stream, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(stream, fcntl.F_SETFL, fcntl.fcntl(stream, fcntl.F_GETFL) | os.O_ASYNC)
    waiting = select.poll()
    waiting.register(stream, 0)
    if any(event & select.POLLHUP for _, event in waiting.poll(0)):  # it was closed before that
        os.kill(os.getpid(), signal.SIGIO)


if __name__ == "__main__":
    sys.exit(main())
