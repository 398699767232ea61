"""Tidewatt's own CPU time: daemon, supervisors and meter, and nothing of the jobs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tidewatt.backends.meters import registry
from tidewatt.backends.meters.cputime import OWN, CpuTimes

WORK = "import sys, time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
TELL = WORK + "print('spent', flush=True)\nsys.stdin.read()\n"
PARENT = "import subprocess, sys\njob = subprocess.Popen([sys.executable, '-c', {!r}])\njob.wait()\n"


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(started: ExitStack, code: str) -> "subprocess.Popen[str]":
    """A process that has spent its CPU time; it ends with the test."""
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    started.callback(process.communicate, "")
    assert process.stdout is not None
    assert process.stdout.readline() == "spent\n"
    return process


def test_own_time_is_the_daemons_with_its_helpers_and_the_supervisors(
    tmp_path: Path, started: ExitStack
) -> None:
    daemon = start(started, PARENT.format(TELL.format(0.2)))
    supervisor = start(started, TELL.format(0.1))
    registry.write_entry(tmp_path, OWN, 0, daemon.pid)
    without = CpuTimes(tmp_path).read()[OWN]
    registry.write_entry(tmp_path, "1.1", supervisor.pid, None)
    own = CpuTimes(tmp_path).read()[OWN]
    assert without >= 190
    assert own - without >= 90


def test_own_time_holds_nothing_of_a_job(tmp_path: Path, started: ExitStack) -> None:
    supervisor = start(started, PARENT.format(TELL.format(0.3)))
    registry.write_entry(tmp_path, OWN, 0, None)
    registry.write_entry(tmp_path, "1.1", supervisor.pid, None)
    spent = CpuTimes(tmp_path).read()
    meter_ms = sum(os.times()[:2]) * 1000  # this process stands for the meter
    assert spent["1.1"] >= 290
    assert spent[OWN] < meter_ms + 250  # the supervisor itself has started an interpreter


def test_own_time_goes_on_when_daemon_and_supervisor_are_gone(tmp_path: Path, started: ExitStack) -> None:
    daemon, supervisor = (start(started, TELL.format(0.1)) for _ in range(2))
    registry.write_entry(tmp_path, OWN, 0, daemon.pid)
    registry.write_entry(tmp_path, "1.1", supervisor.pid, None)
    times = CpuTimes(tmp_path)
    before = times.read()[OWN]
    for process in (daemon, supervisor):
        process.communicate("")
    after = times.read()
    assert after[OWN] >= before
    assert "1.1" not in after


def test_own_entry_alone_does_not_keep_the_meter_alive(tmp_path: Path) -> None:
    registry.write_entry(tmp_path, OWN, 0, os.getpid())
    times = CpuTimes(tmp_path)
    times.look()
    assert times.attempts == 0
