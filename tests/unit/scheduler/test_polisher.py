"""Planning in a process of its own."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import psutil
import pytest

from tests.timetables.problems import Site, Task, drawn, problem, timetable
from tidewatt.scheduler.plan import Milestone, Pausing
from tidewatt.scheduler.planning.timetable.frames import (
    Arrays,
    FrameError,
    problem_arrays,
    problem_from,
    read_frame,
    timetable_arrays,
    timetable_from,
    write_frame,
)
from tidewatt.scheduler.planning.timetable.polisher import Found, Polisher
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Problem, Timetable
from tidewatt.scheduler.planning.timetable.reckoning import grams
from tidewatt.scheduler.planning.timetable.validator import faults

LONG_S = 60.0  # never reached
WORKER = [sys.executable, "-m", "tidewatt.scheduler.planning.timetable.worker"]


def sent(arrays: Arrays) -> Arrays | None:
    stream = io.BytesIO()
    write_frame(stream, arrays)
    stream.seek(0)
    return read_frame(stream)


def one_after_the_other(made: Problem) -> Timetable:
    """The first job alone: sound, and far from the best."""
    found = timetable([None] * len(made.jobs.ids))
    found.place[0], found.start_ms[0] = 0, made.jobs.release_ms[0]
    return found


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@pytest.fixture
def started() -> Iterator[Callable[..., Polisher]]:
    """Starts polishers that are stopped at the test's end."""
    all_of_them: list[Polisher] = []

    def start(*args: object) -> Polisher:
        all_of_them.append(Polisher(*args))  # type: ignore[arg-type]
        return all_of_them[-1]

    yield start
    for each in all_of_them:
        each.stop()


def test_a_problem_travels_whole() -> None:
    terms = Pausing(
        timedelta(minutes=2),
        timedelta(minutes=3),
        restart_wh=0.5,
        suspended_w=12.0,
        max_pauses=3,
        milestones=(Milestone(0.5, datetime(2026, 3, 1, 12, tzinfo=UTC)),),
        moves=True,
    )
    made = problem(
        [Site([1.0, 2.0], second=[3.0, np.inf]), Site([4.0, np.inf], node_units=2)],
        [Task(1), Task(1, after=(0,), pausing=terms)],
    )
    arrived = sent(problem_arrays(made))
    assert arrived is not None
    back = problem_from(arrived)
    assert back.jobs.pausing == made.jobs.pausing
    assert back.places.names == made.places.names
    again = problem_arrays(back)
    for name, array in problem_arrays(made).items():
        np.testing.assert_array_equal(again[name], array)


def test_a_timetable_travels_with_its_stints() -> None:
    made = timetable([(0, 1.0), None], {0: [(0, 1.0, 2.0), (1, 3.0, 4.0)]})
    arrived = sent(timetable_arrays(made))
    assert arrived is not None
    back = timetable_from(arrived)
    assert back.stints == made.stints
    assert back.place.tolist() == [0, NOWHERE]
    assert back.start_ms.tolist() == made.start_ms.tolist()


@pytest.mark.parametrize(
    "content",
    [b"abc", (1 << 40).to_bytes(8, "big"), (5).to_bytes(8, "big") + b"abc", (3).to_bytes(8, "big") + b"abc"],
)
def test_what_is_no_frame_is_refused(content: bytes) -> None:
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(content))


def test_a_problem_with_a_part_missing_is_refused() -> None:
    arrays = problem_arrays(drawn(0))
    del arrays["jobs.kw"]
    with pytest.raises(FrameError, match=r"jobs\.kw"):
        problem_from(arrays)


def test_a_worker_makes_a_timetable_better_and_ends(started: Callable[..., Polisher]) -> None:
    made = drawn(1)
    table = one_after_the_other(made)
    polisher = started(made, table, LONG_S)
    until(lambda: not polisher.running())
    found = polisher.poll()
    assert polisher.trouble == ""
    assert isinstance(found, Found)
    assert faults(made, found.timetable) == []
    assert (found.timetable.place != NOWHERE).sum() > (table.place != NOWHERE).sum()
    assert polisher.poll() is None  # each is given once


def test_a_worker_without_a_timetable_makes_one_and_says_the_prices(started: Callable[..., Polisher]) -> None:
    made = drawn(1)
    polisher = started(made, None, LONG_S)
    until(lambda: not polisher.running())
    found = polisher.poll()
    assert polisher.trouble == ""
    assert found is not None
    assert found.prices is not None
    assert faults(made, found.timetable) == []
    assert np.isfinite(grams(made, found.timetable)).all()


def test_a_worker_is_of_lowest_priority_and_knows_no_credential(
    started: Callable[..., Polisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTTIME_PASSWORD", "secret")
    made = drawn(2, jobs=200, sites=4, slots=72, units=20, aligned=False)
    polisher = started(made, None, LONG_S)
    worker = psutil.Process(polisher.pid)
    until(lambda: worker.nice() == 19)
    assert "secret" not in worker.environ().values()
    polisher.stop()
    assert not polisher.running()
    assert not worker.is_running()


def test_a_killed_worker_leaves_what_it_has_found(started: Callable[..., Polisher]) -> None:
    made = drawn(2, jobs=61, sites=4, slots=48, units=8)
    polisher = started(made, one_after_the_other(made), LONG_S)
    found: list[Found] = []
    until(lambda: found.append(each) if (each := polisher.poll()) else found)
    os.kill(polisher.pid, signal.SIGKILL)
    until(lambda: not polisher.running())
    assert faults(made, found[0].timetable) == []


def test_a_worker_that_cannot_work_says_why(started: Callable[..., Polisher]) -> None:
    made = drawn(1)
    broken = replace(made, menus=replace(made.menus, speed=np.empty((0, 0))))
    polisher = started(broken, one_after_the_other(made), LONG_S)
    until(lambda: not polisher.running())
    assert polisher.poll() is None
    assert "Error" in polisher.trouble


def test_a_worker_dies_with_whoever_started_it() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        cwd=os.getcwd(),
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    until(lambda: worker.nice() == 19)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


PARENT = """
import sys, time
from tests.timetables.problems import drawn
from tidewatt.scheduler.planning.timetable.polisher import Polisher
polisher = Polisher(drawn(2, jobs=200, sites=4, slots=72, units=20, aligned=False), None, 60.0)
print(polisher.pid, flush=True)
time.sleep(60)
"""


def test_a_worker_told_nothing_ends_quietly() -> None:
    assert subprocess.run(WORKER, input=b"", capture_output=True, check=True).stdout == b""
