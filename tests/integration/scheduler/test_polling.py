"""Lines to engines: one call for all, ever more rarely, and never in the way of the rounds."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.integration.scheduler.outpost import Outpost, outpost
from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.clock import Clock
from tidewatt.backends.engines import Setting
from tidewatt.backends.fake import Script
from tidewatt.backends.fake_engine import FakeEngine
from tidewatt.backends.unusable import UnusableBackend
from tidewatt.scheduler.daemon.engines import Engines, stranded
from tidewatt.scheduler.daemon.polling import GROWTH, SLOWEST_S, SOONEST_S, pause_s
from tidewatt.scheduler.jobs import AttemptState, JobState

PATIENCE_S = 20.0


class Hanging(FakeEngine):
    """One whose host does not answer, until somebody lets it go on."""

    go_on = threading.Event()

    def submit(self, launch: Launch) -> None:
        type(self).go_on.wait(PATIENCE_S)
        super().submit(launch)


def until(look: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + PATIENCE_S
    while not look():
        assert time.perf_counter() < deadline, "nothing came of it"
        threading.Event().wait(0.01)


def states(at: Outpost, number: int) -> list[AttemptState]:
    return [attempt.state for attempt in at.store.attempts([number])[number]]


def test_all_jobs_of_a_kind_are_asked_for_in_one_call(tmp_path: Path) -> None:
    with outpost(tmp_path, FakeEngine) as at:
        at.submit(array=tuple(range(12)), duration_s=3600.0)
        at.round()
        before = at.cluster.polls
        at.watcher.look()
        assert at.cluster.polls == before + 1
        assert at.states() == "r" * 12


def test_polls_become_rare_while_nothing_changes_and_frequent_when_something_does() -> None:
    every_s = [SOONEST_S]
    for _ in range(12):
        every_s.append(pause_s(every_s[-1], changed=False))
    assert every_s[1] == GROWTH
    assert every_s == sorted(every_s)
    assert every_s[-1] == SLOWEST_S
    assert pause_s(SLOWEST_S, changed=True) == SOONEST_S


def test_engine_that_hangs_keeps_nobody_from_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hanging, "go_on", threading.Event())
    with outpost(tmp_path, Hanging) as at:
        at.launcher.polls.begin()
        at.submit(duration_s=3600.0)
        began = time.perf_counter()
        at.round()
        at.round()
        assert time.perf_counter() - began < PATIENCE_S / 2
        assert at.cluster.submits == []
        assert at.job(1).state is JobState.RUNNING
        assert states(at, 1) == [AttemptState.LAUNCHING]
        Hanging.go_on.set()

        def runs() -> bool:
            at.watcher.look()
            return states(at, 1) == [AttemptState.RUNNING]

        until(runs)
        assert len(at.cluster.submits) == 1


def test_job_in_a_region_that_was_taken_away_is_followed_to_its_end_and_told_of(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.cluster.script = Script(runs_s=600)
        at.submit(duration_s=600.0, regions=("us",))
        at.round()
        at.round()
        at.site = replace(at.site, stated_regions=at.site.stated_regions[:1])
        assert stranded(at.site, at.store) == [
            "job 1 is still in us (fake), which is not configured any more: it is followed to its end there;"
            " cancel it, or bring the region back"
        ]
        at.shift(601)
        assert at.job(1).state is JobState.DONE
        assert stranded(at.site, at.store) == []


def test_kind_of_which_no_region_is_left_is_made_when_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    class Kind:
        @staticmethod
        def made(regions: object, setting: object) -> UnusableBackend:
            asked.append((regions, setting))
            return UnusableBackend("made")

    monkeypatch.setattr("tidewatt.scheduler.daemon.engines.engine", lambda _name: Kind)
    setting = Setting(tmp_path, Clock(), "tw-00000000")
    with capture_logs() as logs:
        engines = Engines({}, setting)
        assert engines["slurm"] is engines["slurm"]
    assert asked == [({}, setting)]
    assert [each["event"] for each in logs] == ["engine.not_configured"]


def test_kind_that_cannot_be_used_says_so_of_all_that_is_asked_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_name: str) -> object:
        raise BackendError("boto3 is not installed: pip install 'tidewatt[aws]'")

    monkeypatch.setattr("tidewatt.scheduler.daemon.engines.engine", missing)
    engines = Engines({}, Setting(tmp_path, Clock(), "tw-00000000"))
    [status] = engines["aws-batch"].status([tmp_path]).values()
    assert status.phase == "unknown"
    assert "tidewatt[aws]" in status.reason
