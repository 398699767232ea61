"""Engines that refuse a job for good: it goes elsewhere where it may, and is not sent again and again."""

from pathlib import Path

import pytest

from tests.integration.scheduler.outpost import Outpost, outpost
from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.fake_engine import FakeEngine
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.request_schema import UpdateRequest


class Strict(FakeEngine):
    """One that has no credentials for some regions."""

    shut: frozenset[str] = frozenset({"eu"})

    def submit(self, launch: Launch) -> None:
        if launch.region in self.shut:
            raise BackendError("no credentials")
        super().submit(launch)


def tried(at: Outpost, job: int) -> list[str]:
    return [attempt.region for attempt in at.store.attempts([job])[job]]


def pass_minutes(at: Outpost, minutes: int) -> None:
    for _ in range(minutes):
        at.shift(60)


def test_refused_job_runs_elsewhere(tmp_path: Path) -> None:
    with outpost(tmp_path, Strict) as at:
        at.submit(duration_s=3600.0)
        at.round()
        pass_minutes(at, 3)
        assert tried(at, 1) == ["eu", "us"]
        assert at.job(1).state is JobState.RUNNING
        (warning,) = at.job(1).warnings
        assert warning.startswith(
            "eu refused it: no credentials; it is kept out of eu until 2026-03-10 09:10"
        )
        assert len(at.site.refusals.by("eu")) == 1


def test_job_that_may_go_nowhere_else_is_tried_ever_more_rarely(tmp_path: Path) -> None:
    with outpost(tmp_path, Strict) as at:
        at.submit(duration_s=3600.0, regions=("eu",))
        at.round()
        pass_minutes(at, 9)
        assert tried(at, 1) == ["eu"]
        pass_minutes(at, 3)
        assert tried(at, 1) == ["eu"] * 2
        pass_minutes(at, 17)
        assert tried(at, 1) == ["eu"] * 2
        assert len(at.job(1).warnings) == 1


@pytest.mark.parametrize("how", ["start", "update"])
def test_owner_lets_it_try_again_at_once(tmp_path: Path, how: str) -> None:
    with outpost(tmp_path, Strict) as at:
        at.submit(duration_s=3600.0, regions=("eu",))
        at.round()
        pass_minutes(at, 2)
        at.engine.shut = frozenset()  # type: ignore[attr-defined]
        if how == "start":
            at.changes.start("1")
        else:
            at.changes.update("1", UpdateRequest(name="anew"))
        assert at.job(1).warnings == ()
        pass_minutes(at, 2)
        assert at.job(1).state is JobState.RUNNING
        assert tried(at, 1) == ["eu"] * 2


def test_guard_tries_a_region_that_has_refused(tmp_path: Path) -> None:
    with outpost(tmp_path, Strict) as at:
        at.submit(duration_s=3600.0, regions=("eu",), start_by="2026-03-10T09:30:00+00:00")
        at.round()
        pass_minutes(at, 35)  # refused at its latest start, and planned for later than that
        assert len(tried(at, 1)) >= 3
        at.engine.shut = frozenset()  # type: ignore[attr-defined]
        pass_minutes(at, 2)
        assert at.job(1).state is JobState.RUNNING
        assert at.site.refusals.by("eu") == ()
