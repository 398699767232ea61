"""Plans a whole queue beside everything else: in a process of its own, of lowest priority, for a while."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.frames import (
    Arrays,
    FrameError,
    prices_from,
    problem_arrays,
    read_frame,
    timetable_arrays,
    timetable_from,
    write_frame,
)
from tidewatt.scheduler.planning.timetable.problem import Problem, Timetable
from tidewatt.scheduler.planning.timetable.validator import faults
from tidewatt.scheduler.planning.timetable.windows import Prices
from tidewatt.scheduler.planning.timetable.worker import GRACE_S

# What a worker needs of our environment: no credential of a service is among it.
NEEDED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")
_STARTS_WITHIN_S = 30.0  # on a busy machine Python and the arrays take their time to load


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A sound timetable, and the prices that led to it where the worker found them."""

    timetable: Timetable
    prices: Prices | None


class Polisher:
    """One worker at work on one problem; without a `timetable` it makes one first."""

    def __init__(self, problem: Problem, timetable: Timetable | None, seconds: float, seed: int = 0) -> None:
        self.trouble = ""  # what went wrong, for people
        self._problem = problem
        self._prices: Prices | None = None
        self._newest: Found | None = None
        self._lock = threading.Lock()
        self._until = time.monotonic() + seconds + GRACE_S + _STARTS_WITHIN_S
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tidewatt.scheduler.planning.timetable.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_without_keys(os.environ),
            start_new_session=True,
        )
        task = problem_arrays(problem) | {"seconds": np.array(seconds), "seed": np.array(seed)}
        task |= {} if timetable is None else timetable_arrays(timetable)
        self._threads = (
            threading.Thread(target=self._tell, args=(task,), daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The worker's process."""
        return self._worker.pid

    def poll(self) -> Found | None:
        """The newest timetable since the last call, checked independently; None: there is no newer one."""
        if time.monotonic() > self._until:
            self.stop()
        with self._lock:
            newest, self._newest = self._newest, None
        if newest is None:
            return None
        wrong = faults(self._problem, newest.timetable)
        if wrong:
            self._fail(f"the worker's timetable is not sound: {wrong[0]}")
            return None
        return newest

    def running(self) -> bool:
        """Whether the worker is at work; when it is not, `poll` gives what it found last."""
        if self._worker.poll() is None:
            return True
        self._threads[1].join()  # what it had written is read to the end
        return False

    def stop(self) -> None:
        """Ends the worker, at once."""
        self._worker.kill()
        self._worker.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self._worker.stdin, self._worker.stdout):
            if stream is not None and not stream.closed:
                with suppress(BrokenPipeError):  # what was not written is not needed any more
                    stream.close()

    def _tell(self, task: Arrays) -> None:
        assert self._worker.stdin is not None  # noqa: S101 - it was asked for
        try:
            write_frame(self._worker.stdin, task)
        except (BrokenPipeError, ValueError):
            self.trouble = self.trouble or "the worker ended before it had read its task"

    def _listen(self) -> None:
        assert self._worker.stdout is not None  # noqa: S101 - it was asked for
        try:
            while (arrays := read_frame(self._worker.stdout)) is not None:
                if "trouble" in arrays:
                    self.trouble = str(arrays["trouble"])
                    continue
                self._prices = prices_from(arrays) or self._prices
                found = Found(timetable_from(arrays), self._prices)
                with self._lock:
                    self._newest = found
        except (FrameError, ValueError) as error:
            self._fail(f"the worker's answer cannot be read: {error}")

    def _fail(self, trouble: str) -> None:
        self.trouble = trouble
        self._worker.kill()


def _without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {name: environ[name] for name in NEEDED if name in environ} | threads
