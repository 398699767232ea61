"""Plain submissions go by the plans as they stand: the same plans, stored together, each on its own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.scheduler.daemon.express import Express
from tidewatt.scheduler.daemon.replanning import queue
from tidewatt.scheduler.daemon.vacancy import leaves_room
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.request_schema import SubmitReply
from tidewatt.scheduler.store.database import StoreError
from tidewatt.scheduler.store.ledger import examined


def _asked(number: int) -> dict[str, Any]:
    length_s = 600.0 + 431 * (number % 7)
    return {"duration_s": length_s, "finish_by": NOW + timedelta(hours=3 + number % 11)}


def _plans(at: Office) -> list[Any]:
    return [(job.plan.window, job.plan.region, job.plan.why) for job in at.store.jobs() if job.plan]


def test_plans_are_those_that_a_look_at_the_whole_queue_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for quickly in (True, False):
        with monkeypatch.context() as patch, office(tmp_path / str(quickly), cpus=3) as at:
            if not quickly:
                patch.setattr(Express, "take", lambda *_: None)
            else:
                patch.setattr("tidewatt.scheduler.planning.queue.admit", _never)
            offers = [at.submit(**_asked(number)).offers for number in range(25)]
            found.append((_plans(at), offers))
    assert found[0] == found[1]


def _never(*_: object) -> None:
    raise AssertionError("the whole queue was looked at")


def test_who_comes_together_is_stored_together_and_finds_room_beside_the_others(tmp_path: Path) -> None:
    with office(tmp_path, cpus=5) as at:
        commits: list[str] = []
        sa.event.listen(at.store._engine, "before_cursor_execute", lambda *told: commits.append(told[2]))
        at.service.lock.acquire()  # all of them wait for this
        with ThreadPoolExecutor(20) as pool:
            coming = [pool.submit(at.submit, **_asked(number)) for number in range(20)]
            while len(at.service.express) < 19:
                threading.Event().wait(0.001)
            at.service.lock.release()
            answers = [each.result() for each in coming]
        assert sorted(answer.job.id for answer in answers) == list(range(1, 21))
        assert commits.count("COMMIT") <= 2
        assert all(at.job(answer.job.id).plan == _plan_of(at, answer) for answer in answers)
        _assert_room(at, cpus=5)
        assert examined(at.store, tmp_path, None).wrong == ()


def _plan_of(at: Office, answer: SubmitReply) -> Any:
    found = at.job(answer.job.id).plan
    assert found is not None
    assert answer.job.plan is not None
    assert answer.job.plan.start == found.window.start
    return found


def _assert_room(at: Office, cpus: int) -> None:
    windows = [job.plan.window for job in at.store.jobs() if job.plan]
    for window in windows:
        assert sum(each.start <= window.start < each.end for each in windows) <= cpus


def test_one_that_is_refused_leaves_the_others_of_its_group_alone(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.service.lock.acquire()
        with ThreadPoolExecutor(6) as pool:
            good = [pool.submit(at.submit, **_asked(number)) for number in range(4)]
            bad = [pool.submit(at.submit, duration_s=7200.0, finish_by=NOW + timedelta(hours=1))]
            bad += [pool.submit(at.submit, regions=("mars",))]
            while len(at.service.express) < 5:
                threading.Event().wait(0.001)
            at.service.lock.release()
            assert len({each.result().job.id for each in good}) == 4
            for each in bad:
                with pytest.raises(BadInput):
                    each.result()
        assert at.store.count() == {JobState.WAITING: 4}
        assert len(list(at.paths.jobs.iterdir())) == 4


def test_a_group_that_cannot_be_stored_is_told_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_folder: Path) -> None:
        raise StoreError("the disk is full")

    with office(tmp_path, cpus=1) as at:
        with monkeypatch.context() as patch:
            patch.setattr("tidewatt.scheduler.daemon.intake.sync_names", full)
            with pytest.raises(StoreError, match="the disk is full"):
                at.submit(**_asked(0))
        assert (at.store.jobs(), at.store.events()) == ([], [])
        first, second = at.submit(**_asked(0)).job, at.submit(**_asked(0)).job
        assert (first.id, second.id) == (1, 2)
        _assert_room(at, cpus=1)


def test_what_others_changed_meanwhile_is_seen(tmp_path: Path) -> None:
    with office(tmp_path, cpus=1) as at:
        tight = {"duration_s": 3000.0, "finish_by": NOW + timedelta(hours=1)}
        taken = at.submit(**tight).job
        with pytest.raises(Refused):
            at.submit(**tight)
        at.changes.cancel(str(taken.id))
        assert at.submit(**tight).job.plan is not None


def test_limits_count_those_of_the_same_group(tmp_path: Path) -> None:
    with office(tmp_path, limits={"waiting": 3}) as at:
        at.service.lock.acquire()
        with ThreadPoolExecutor(6) as pool:
            coming = [pool.submit(at.submit, **_asked(number)) for number in range(6)]
            while len(at.service.express) < 5:
                threading.Event().wait(0.001)
            at.service.lock.release()
            refused = [each for each in coming if isinstance(each.exception(), Refused)]
        assert (len(refused), at.store.count()) == (3, {JobState.WAITING: 3})


def test_a_failing_look_at_the_plans_leads_to_the_whole_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sick(_self: object, _situation: Situation, _until: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tidewatt.scheduler.planning.standing.Standing.__init__", sick)
    with office(tmp_path) as at:
        assert at.submit(**_asked(1)).job.plan is not None


def test_new_plans_of_the_others_may_not_take_what_a_newcomer_was_given(tmp_path: Path) -> None:
    with office(tmp_path, cpus=1) as at:
        for number in range(4):
            at.submit(**_asked(number))
        before = queue(at.site, at.store, (), at.site.clock.now())
        newcomer = at.store.job(at.submit(**_asked(4)).job.id)
        now = queue(at.site, at.store, (), at.site.clock.now())
        assert newcomer is not None
        assert newcomer.plan is not None
        assert leaves_room(at.site, now, before.plans, [newcomer])
        moved = {number: replace(plan, window=newcomer.plan.window) for number, plan in before.plans.items()}
        first = min(moved)
        assert not leaves_room(at.site, now, before.plans | {first: moved[first]}, [newcomer])
        late = Infeasible(first, "no room", moved[first])
        assert not leaves_room(at.site, now, before.plans | {first: late}, [newcomer])
        assert not leaves_room(at.site, now, before.plans, [replace(newcomer, plan=None)])
        assert not leaves_room(at.site, now, before.plans, [newcomer, newcomer])


@pytest.mark.parametrize("more", [{"stdout": "a\0b"}, {"stderr": "\0"}, {"cwd": "/\0"}])
def test_a_path_that_no_database_could_hold_is_refused_before_it_meets_others(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    with office(tmp_path) as at, pytest.raises(BadInput, match="zero byte"):
        at.submit(**more)
