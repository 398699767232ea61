"""GPUs of several speeds: deadlines of jobs, of what follows them, and of the guard."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.backends.fake import Script
from tidewatt.scheduler.daemon.drafting import draft
from tidewatt.scheduler.daemon.guarding import Guardian
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.planning.learnt import Learnt
from tidewatt.scheduler.region import Pool
from tidewatt.scheduler.request_schema import SubmitRequest

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SLOWER = [{"kind": "a100"}, {"kind": "t4", "speed": 0.5}]
FASTER = [{"kind": "a100"}, {"kind": "h100", "speed": 2.0}]


def guarded(at: Office) -> None:
    """A turn of the guard; with it all that starts jobs by itself."""
    Guardian(at.site, at.store, at.service, at.launcher, threading.RLock()).turn()


def test_guard_starts_what_only_slow_gpus_can_run_early_enough_for_them(tmp_path: Path) -> None:
    with office(tmp_path, "Tesla T4", margin="1m") as at:
        at.submit(gpus=1, kinds=SLOWER, duration_s=4 * 3600, finish_by=NOW + 10 * HOUR)
        at.wait(2 * HOUR - 2 * MINUTE)
        guarded(at)
        assert at.backend.submitted == []
        at.wait(MINUTE)
        guarded(at)
        assert len(at.backend.submitted) == 1


def test_guard_starts_a_job_where_it_is_in_time_before_it_looks_elsewhere(tmp_path: Path) -> None:
    with office(tmp_path, "Tesla T4", "A100", margin="1m") as at:
        at.submit(gpus=1, kinds=SLOWER, duration_s=4 * 3600, finish_by=NOW + 10 * HOUR)
        job = at.job(1)
        assert job.plan is not None
        with at.store.transaction() as transaction:  # a pool that is gone by now
            transaction.change_job(1, plan=replace(job.plan, pool="V100"))
        at.wait(3 * HOUR)
        guarded(at)
        assert [each.pool for each in at.store.live_attempts()] == ["A100"]


@pytest.mark.parametrize("kinds", [FASTER, []])
def test_job_that_only_faster_gpus_finish_in_time_after_others_is_taken(
    tmp_path: Path, kinds: list[dict[str, object]]
) -> None:
    with office(tmp_path, "A100", "H100") as at:
        home = replace(at.site.home, pools=(Pool("A100", 1), Pool("H100", 1, 0, 2.0, 1.5)))
        at.service.site = at.site = replace(at.site, stated_regions=(home,))
        at.submit(gpus=1, gpu_kind="A100", duration_s=3600)
        later = {"gpus": 1, "kinds": kinds, "duration_s": 4 * 3600, "after": ("1",)}
        with pytest.raises(BadInput, match="and then 2h do not fit before --finish-by"):
            at.submit(**later, finish_by=NOW + 2.9 * HOUR)
        at.submit(**later, finish_by=NOW + 3.5 * HOUR)
        plan = at.job(2).plan
        assert plan is not None
        assert (plan.pool, plan.window.end - NOW) == ("H100", 3 * HOUR)


def test_what_was_learnt_is_held_against_the_deadline_on_the_fastest_gpus(tmp_path: Path) -> None:
    learnt = Learnt(4 * HOUR, 5 * HOUR, None, "12 earlier runs took 4h", 12)
    with office(tmp_path, "A100", "H100") as at:
        request = {"argv": ("true",), "cwd": str(tmp_path), "gpus": 1, "kinds": FASTER}
        made = SubmitRequest.model_validate(request | {"finish_by": NOW + 2.25 * HOUR})
        asked = draft(at.site, at.store, made, NOW, learnt)
        assert (asked.duration, asked.guard_duration) == (4 * HOUR, 4.5 * HOUR)
        made = SubmitRequest.model_validate(request | {"finish_by": NOW + 1.9 * HOUR})
        with pytest.raises(BadInput, match="does not fit before --finish-by, 1h54m away"):
            draft(at.site, at.store, made, NOW, learnt)


def test_pause_before_a_retry_gives_way_to_the_deadline_of_what_follows(tmp_path: Path) -> None:
    with office(tmp_path, margin="1s") as at:
        at.backend.script = Script(runs_s=10, exit_code=3)
        at.submit(retries=4, duration_s=60)
        at.submit(after=("1",), duration_s=60, finish_by=NOW + timedelta(seconds=200))
        for _ in range(60):
            at.shift(1)
        second, third = at.store.attempts([1])[1][1:3]
        assert third.launched_ms - (second.ended_ms or 0) >= 10_000, "while there is time, the pause is kept"
        for _ in range(50):
            at.shift(1)
        third, fourth = at.store.attempts([1])[1][2:4]
        assert fourth.launched_ms - (third.ended_ms or 0) < 40_000
