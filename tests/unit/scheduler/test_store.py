"""The store keeps what it acknowledged, appends each move once and refuses what a state does not allow."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import alembic.autogenerate
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext

from tidewatt.scheduler.jobs import AttemptState, JobState, SettlementState
from tidewatt.scheduler.store import MoveError, Store, schema
from tidewatt.scheduler.store.database import StoreError
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord
from tidewatt.scheduler.store.store import FOREVER_MS


def job(**values: Any) -> JobRecord:
    """A waiting job that asks for little."""
    plain: dict[str, Any] = {
        "id": 0,
        "state": JobState.WAITING,
        "since_ms": 1000,
        "reason": "",
        "user": "ada",
        "name": "bert",
        "project": "",
        "labels": {"team": "nlp"},
        "argv": ("python", "train.py"),
        "cwd": "/",
        "stdout": "",
        "stderr": "",
        "outputs": {"stdout": "", "stderr": ""},
        "submitted_ms": 1000,
        "finish_by_ms": None,
        "start_by_ms": None,
        "duration_ms": 60_000,
        "duration_source": "yours",
        "time_limit_ms": None,
        "gpus": 0,
        "gpu_kind": "",
        "cpus": 1,
        "mem_mb": 0,
        "regions": (),
        "exclude_regions": (),
        "late": False,
        "asked": False,
        "stopping": False,
        "power_mw": 10_000,
        "power_source": "assumed",
        "source": {},
        "snapshot": False,
        "umask": 0o022,
        "keeps_env": False,
        "frozen": {"home": "local"},
        "plan": None,
        "at_risk": "",
        "warnings": (),
        "ended_ms": None,
        "settlement_state": SettlementState.NONE,
        "settlement": None,
    }
    return JobRecord(**plain | values)


def attempt(job_id: int) -> AttemptRecord:
    """The first attempt of a job, about to be launched."""
    return AttemptRecord(f"{job_id}.1", job_id, AttemptState.LAUNCHING, 2000, "local", "", (), 2000, {})


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = Store(tmp_path / "tidewatt.db")
    yield made
    made.close()


def add(store: Store, **values: Any) -> int:
    with store.transaction() as transaction:
        return transaction.add_job(job(**values))


def test_job_comes_back_as_it_was_stored(store: Store) -> None:
    job_id = add(store, regions=("eu",), warnings=("the code changed",), late=True)
    assert store.job(job_id) == job(id=job_id, regions=("eu",), warnings=("the code changed",), late=True)


def test_acknowledged_job_is_there_after_reopening(tmp_path: Path) -> None:
    first = Store(tmp_path / "tidewatt.db")
    job_id = add(first)
    second = Store(tmp_path / "tidewatt.db")  # the first was never closed, as after a kill
    assert second.job(job_id) is not None
    second.close()
    first.close()


def test_failed_transaction_leaves_nothing(store: Store) -> None:
    def break_off() -> None:
        with store.transaction() as transaction:
            transaction.add_job(job())
            transaction.append(1, "submitted")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert store.jobs() == []
    assert store.events() == []


def test_each_move_is_appended_once_and_tells_the_current_state(store: Store) -> None:
    job_id = add(store)
    first = attempt(job_id)
    with store.transaction() as transaction:
        transaction.add_attempt(first)
        transaction.move_job(job_id, JobState.RUNNING, "as planned", 2000)
    with store.transaction() as transaction:
        transaction.move_attempt(first, AttemptState.RUNNING, "", 2100, started_ms=2100)
    with store.transaction() as transaction:
        transaction.move_attempt(first, AttemptState.ENDED, "", 9000, ended_ms=8900, exit_code=0, signal=None)
        transaction.move_job(job_id, JobState.DONE, "", 9000, ended_ms=8900)
    kinds = [event["kind"] for event in store.events(job_id)]
    assert kinds == ["attempt.launching", "job.running", "attempt.running", "attempt.ended", "job.done"]
    stored = store.job(job_id)
    assert stored is not None
    assert (stored.state, stored.ended_ms) == (JobState.DONE, 8900)
    assert store.attempts([job_id])[job_id][0].exit_code == 0
    assert store.live_attempts() == []


def test_move_that_the_table_does_not_allow_is_refused(store: Store) -> None:
    job_id = add(store, state=JobState.DONE)
    with (
        pytest.raises(MoveError, match=f"job {job_id} is done: it cannot become running"),
        store.transaction() as on,
    ):
        on.move_job(job_id, JobState.RUNNING, "", 1)
    assert store.events() == []


@pytest.mark.parametrize("value", [1.5, None, True, [1, 2.5], {"deep": {"er": 0.1}}])
def test_event_holds_integers_and_strings_only(store: Store, value: object) -> None:
    with pytest.raises(TypeError, match="integers and strings"), store.transaction() as transaction:
        transaction.append(1, "kind", {"value": value})


def test_what_accounts_say_of_the_grid_is_cited_until_their_job_has_ended(store: Store) -> None:
    zones = {"average": "DE", "marginal": "DE"}
    ended = add(store, submitted_ms=1000, ended_ms=5000, frozen={"home": "a", "home_zones": zones})
    add(store, submitted_ms=2000, frozen={"home": "a", "home_zones": {"average": "PL"}})
    add(store, submitted_ms=9000, frozen={"home": "a", "home_zones": {"average": "SE"}})
    elsewhere = replace(attempt(ended), factors={"zones": {"average": "FR"}})
    with store.transaction() as transaction:
        transaction.add_attempt(elsewhere)
    cited = store.cited(before_ms=9000)
    assert cited == {("DE", 1000, 5000), ("FR", 1000, 5000), ("PL", 2000, FOREVER_MS)}


def test_number_of_a_lost_job_is_not_given_twice_once_acknowledged(store: Store) -> None:
    first = add(store)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("delete from job where id = ?", (first,))
        connection.commit()
    assert add(store) > first


def test_migrations_make_the_tables_that_the_code_uses(store: Store) -> None:
    engine = sa.create_engine(f"sqlite:///{store.path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert alembic.autogenerate.compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_store_of_a_newer_version_is_refused(store: Store) -> None:
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreError, match="newer Tidewatt"):
        Store(store.path)


def test_damaged_store_is_told_apart_from_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "tidewatt.db"
    path.write_bytes(b"this is no database, but it has been here before you" * 100)
    with pytest.raises(StoreError, match="cannot open the store"):
        Store(path)
    assert path.read_bytes().startswith(b"this is no database")


def test_events_are_canonical_json(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(5, "kind", {"b": 1, "a": {"z": "ü", "y": 2}})
    with closing(sqlite3.connect(store.path)) as connection:
        (text,) = connection.execute("select payload from event").fetchone()
    assert text == '{"a":{"y":2,"z":"ü"},"b":1}'
    assert json.loads(text) == {"a": {"y": 2, "z": "ü"}, "b": 1}


def test_store_is_read_by_its_owner_only(store: Store) -> None:
    assert store.path.stat().st_mode & 0o077 == 0
