"""The daemon's planner of the whole queue, and the search beside it."""

import time
from collections.abc import Iterator

import psutil
import pytest

from tests.timetables.situations import ask, situation
from tidewatt.scheduler.daemon import polishing
from tidewatt.scheduler.daemon.polishing import QueuePlanner
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.planning.timetable.problem import Problem

LONG_S = 60.0  # never reached


@pytest.fixture
def planner() -> Iterator[QueuePlanner]:
    made = QueuePlanner(lambda cause: None, seconds=0.2)
    yield made
    made.stop()


def test_search_that_cannot_begin_costs_no_plan(
    planner: QueuePlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(problem: Problem, *_: object) -> None:
        raise OSError("no process can be started")

    monkeypatch.setattr(polishing, "Polisher", broken)
    plans = planner.plan(situation([ask(1), ask(2)]))
    assert all(isinstance(plan, Plan) for plan in plans.values())
    assert len(plans) == 2


def test_search_leaves_no_process_and_its_prices_go_with_its_queue(planner: QueuePlanner) -> None:
    both = situation([ask(1, 20, 2), ask(2, 20, 2)])
    others = set(psutil.Process().children())  # what earlier tests have not waited for
    planner.plan(both)
    workers = [each for each in psutil.Process().children() if each not in others]
    assert len(workers) == 1
    end = time.monotonic() + LONG_S
    while workers[0].is_running():  # a process that has ended stays until somebody looks
        assert time.monotonic() < end
        planner.look()
        time.sleep(0.01)
    planner.plan(situation([ask(1, 20, 2)]))
    assert set(psutil.Process().children()) <= others
    alone, fresh = planner.newest, QueuePlanner(lambda cause: None)
    fresh.plan(situation([ask(1, 20, 2)]))
    assert alone is not None
    assert fresh.newest is not None
    assert alone.certificate == fresh.newest.certificate
