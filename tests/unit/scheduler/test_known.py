"""What a store remembers is what is stored, whoever wrote it, and whatever was undone."""

import random
from pathlib import Path

import pytest

from tests.unit.scheduler.test_store import job
from tidewatt.scheduler.jobs import ENDED, JOB_MOVES, JobState
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.known import OPEN


def _agree(store: Store, path: Path) -> None:
    """Compares it with a store that has just been opened, and remembers nothing."""
    plain = Store(path)
    try:
        assert store.jobs(OPEN) == plain.jobs(OPEN)
        assert (store.count(), store.count(7)) == (plain.count(), plain.count(7))
        assert [each.id for each in store.jobs(OPEN)] == sorted(each.id for each in store.jobs(OPEN))
    finally:
        plain.close()


def test_after_any_moves_it_remembers_what_is_stored(tmp_path: Path) -> None:
    path, dice = tmp_path / "a.db", random.Random(7)
    store = Store(path)
    numbers: list[int] = []
    for _ in range(60):
        with store.transaction() as transaction:
            if not numbers or dice.random() < 0.4:
                numbers.append(transaction.add_job(job(uid=dice.choice([None, 7, 8]))))
                transaction.append(0, "submitted", job_id=numbers[-1])
            else:
                number = dice.choice(numbers)
                found = store.job(number)
                assert found is not None
                if moves := sorted(JOB_MOVES[found.state]):
                    transaction.move_job(number, dice.choice(moves), "", 1)
        if dice.random() < 0.3:
            _agree(store, path)
    _agree(store, path)
    store.close()


def test_what_is_undone_alone_or_together_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = Store(path)
    assert store.count() == {}
    with store.together():
        for fails in (False, True, False):
            try:
                with store.transaction() as transaction:
                    transaction.append(0, "submitted", job_id=transaction.add_job(job()))
                    if fails:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                continue
        assert store.count() == {}  # not stored yet
    assert store.count() == {JobState.WAITING: 2}
    with pytest.raises(ZeroDivisionError):
        _cancelled_in_vain(store)
    assert [each.state for each in store.jobs(OPEN)] == [JobState.WAITING] * 2
    _agree(store, path)
    store.close()


def _cancelled_in_vain(store: Store) -> None:
    with store.together():
        with store.transaction() as transaction:
            transaction.move_job(1, JobState.CANCELLED, "", 1)
        raise ZeroDivisionError


def test_what_another_process_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store, other = Store(path), Store(path)
    assert store.jobs(OPEN) == []
    with other.transaction() as transaction:
        transaction.append(0, "submitted", job_id=transaction.add_job(job()))
    assert len(store.jobs(OPEN)) == sum(store.count().values()) == 1
    endings = store.endings()
    with store.transaction() as transaction:
        transaction.move_job(1, JobState.CANCELLED, "", 1)
    assert (other.jobs(OPEN), other.count()) == ([], {JobState.CANCELLED: 1})
    assert store.endings() != endings
    assert JobState.CANCELLED in ENDED
    for each in (store, other):
        each.close()


def test_an_array_is_one_line_wherever_pages_are_cut(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.db")
    with store.transaction() as transaction:
        for array in (0, 0, 3, 3, 0, 3, 0, 8, 8, 0):  # a task of array 3 came again later
            transaction.add_job(job(array=array))
    whole = [found.id for found, _ in store.lines(limit=100)]
    assert whole == [10, 9, 7, 6, 5, 2, 1]
    for limit in (1, 2, 3):
        paged: list[int] = []
        while some := [
            found.id for found, _ in store.lines(limit=limit, before=paged[-1] if paged else None)
        ]:
            paged += some
        assert paged == whole
    store.close()


def test_newest_jobs_of_several_states_come_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.db")
    states = [JobState.DONE, JobState.FAILED, JobState.WAITING, JobState.DONE, JobState.FAILED]
    with store.transaction() as transaction:
        for state in states * 3:
            transaction.add_job(job(state=state))
    found = store.jobs([JobState.FAILED, JobState.DONE], limit=4, before=14)
    assert [each.id for each in found] == [12, 11, 10, 9]
    assert all(each.state in ENDED for each in found)
    store.close()
