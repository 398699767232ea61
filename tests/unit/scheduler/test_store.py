"""The store keeps what it acknowledged, appends each move once and refuses what a state does not allow."""

import json
import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import alembic.autogenerate
import alembic.command
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext

from tidewatt.scheduler.jobs import AttemptState, JobState, SettlementState
from tidewatt.scheduler.plan import Beside, GpuKind, Plan, Why, Window
from tidewatt.scheduler.store import MoveError, Store, database, schema
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
    with closing(sqlite3.connect(store.name)) as connection:
        connection.execute("delete from job where id = ?", (first,))
        connection.commit()
    assert add(store) > first


def test_migrations_make_the_tables_that_the_code_uses(store: Store) -> None:
    engine = sa.create_engine(f"sqlite:///{store.name}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert alembic.autogenerate.compare_metadata(context, schema.metadata) == []
    engine.dispose()


def old_store(path: Path) -> None:
    """A store as the first release made it, with a job that waits, its plan, and one that has ended."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0001")
    plan = {
        "job_id": 1, "region": "local", "pool": "", "start_ms": 5000, "end_ms": 65000, "why": "cleanest",
        "reason": "waits", "signal": "average", "note": "", "sources": ["a file"],
    }  # fmt: skip
    waiting = {each.name: getattr(job(), each.name) for each in fields(JobRecord)}
    with engine.begin() as connection:
        names = [row[1] for row in connection.exec_driver_sql("pragma table_info(job)")]
        for number, state, ended in ((1, "waiting", None), (2, "done", 9000)):
            values = waiting | {"id": number, "state": state, "ended_ms": ended, "settlement_state": "none"}
            values |= {"plan": plan if number == 1 else None}
            plain = [json.dumps(value) if isinstance(value, dict | tuple) else value for value in
                     (values[name] for name in names)]  # fmt: skip
            marks = ", ".join("?" * len(names))
            columns = ", ".join(f'"{name}"' for name in names)
            connection.exec_driver_sql(f"insert into job ({columns}) values ({marks})", tuple(plain))
        connection.exec_driver_sql(
            "insert into attempt (id, job_id, state, region, pool, gpu_uuids, factors, reason, since_ms,"
            " launched_ms) values ('2.1', 2, 'ended', 'local', '', '[]', '{}', '', 7000, 6000)"
        )
        connection.exec_driver_sql(
            "insert into event (time_ms, job_id, attempt_id, kind, reason, payload)"
            " values (1000, 1, '', 'submitted', '', '{\"user\":\"ada\"}')"
        )
    engine.dispose()


def test_store_of_the_first_release_is_brought_up_to_date_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "tidewatt.db"
    old_store(path)
    store = Store(path)
    first, second = store.jobs()
    assert first.plan is not None
    assert (first.plan.reason, first.plan.sources) == ("waits", ("a file",))
    assert replace(first, plan=None) == job(id=1)
    assert replace(second, state=JobState.WAITING, ended_ms=None) == job(id=2)
    assert (first.key, first.after, first.kinds, first.guard_ms) == ("1", (), (), None)
    assert store.attempts([2])[2][0].launched_ms == 6000
    assert [event["payload"] for event in store.events(1)] == [{"user": "ada"}]
    assert add(store, array=3, array_task=0, array_size=1) == 3
    store.close()
    assert (tmp_path / "tidewatt.db.0001").exists(), "a copy of the old store is kept beside it"


def test_store_is_the_same_whether_made_new_or_brought_up_to_date(tmp_path: Path) -> None:
    old_store(tmp_path / "old.db")
    made = []
    for path in (tmp_path / "old.db", tmp_path / "new.db"):
        Store(path).close()
        with closing(sqlite3.connect(path)) as connection:
            made.append(sorted(connection.execute("pragma table_info(job)").fetchall()))
    assert made[0] == made[1]


def test_tasks_of_an_array_are_one_line_with_their_number_by_state(store: Store) -> None:
    alone = add(store)
    for number in (4, 2, 7):
        add(store, array=2, array_task=number, array_size=3, array_limit=1)
    last = add(store, state=JobState.HELD)
    with store.transaction() as transaction:
        transaction.move_job(3, JobState.CANCELLED, "", 1, ended_ms=1)
    lines = store.lines()
    assert [(job.id, counts) for job, counts in lines] == [
        (last, {}),
        (4, {"waiting": 2, "cancelled": 1}),
        (alone, {}),
    ]
    assert [job.key for job in store.array(2)] == ["2_2", "2_4", "2_7"]
    found = store.task(2, 4)
    assert found is not None
    assert found.id == 2
    assert (store.task(2, 5), store.task(0, 0), store.array(0)) == (None, None, [])
    assert [job.id for job, _ in store.lines([JobState.CANCELLED])] == [3]
    assert [job.id for job, _ in store.lines(before=last, limit=1)] == [4]


def test_kinds_and_predecessors_come_back_as_they_were_stored(store: Store) -> None:
    kinds = (GpuKind("a100"), GpuKind("h100", 1.8, 1.3))
    job_id = add(store, kinds=kinds, after=(3, 4), after_any=(5,), guard_ms=90_000)
    assert store.job(job_id) == job(id=job_id, kinds=kinds, after=(3, 4), after_any=(5,), guard_ms=90_000)


@pytest.mark.parametrize(
    ("second", "why", "postponed"),
    [(9, Why.CLEANEST, 1), (2, Why.CLEANEST, 0), (9, Why.NO_DEADLINE, 0), (5, Why.CLEANEST, 0)],
)
def test_start_moved_later_for_cleaner_electricity_is_counted(
    store: Store, second: int, why: Why, postponed: int
) -> None:
    job_id = add(store)
    for hour, reason in ((5, Why.CLEANEST), (second, why)):
        start = datetime(2026, 3, 1, hour, tzinfo=UTC)
        beside = Beside("marginal", 1.5, 2.5)
        window = Window(start, start + timedelta(hours=1))
        plan = Plan(job_id, "local", "", window, reason, "", beside=beside)
        with store.transaction() as transaction:
            transaction.set_plan(job_id, plan, 1000, "a look at the newest forecast")
    stored = store.job(job_id)
    assert stored is not None
    assert stored.plan is not None
    assert (stored.postponed, stored.plan.beside) == (postponed, beside)


def test_store_of_a_newer_version_is_refused(store: Store) -> None:
    with closing(sqlite3.connect(store.name)) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreError, match="newer Tidewatt"):
        Store(Path(store.name))


def test_damaged_store_is_told_apart_from_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "tidewatt.db"
    path.write_bytes(b"this is no database, but it has been here before you" * 100)
    with pytest.raises(StoreError, match="cannot open the store"):
        Store(path)
    assert path.read_bytes().startswith(b"this is no database")


def test_events_are_canonical_json(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(5, "kind", {"b": 1, "a": {"z": "ü", "y": 2}})
    with closing(sqlite3.connect(store.name)) as connection:
        (text,) = connection.execute("select payload from event").fetchone()
    assert text == '{"a":{"y":2,"z":"ü"},"b":1}'
    assert json.loads(text) == {"a": {"y": 2, "z": "ü"}, "b": 1}


def test_store_is_read_by_its_owner_only(store: Store) -> None:
    assert Path(store.name).stat().st_mode & 0o077 == 0


def test_transactions_that_are_stored_together_are_durable_together(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "a.db"), Store(tmp_path / "a.db")
    with store.together():
        for name in ("ada", "bob"):
            with store.transaction() as transaction:
                number = transaction.add_job(job(user=name))
                transaction.append(1000, "submitted", job_id=number)
        assert other.jobs() == []
    assert [each.user for each in other.jobs()] == ["ada", "bob"]
    assert [event["seq"] for event in other.events()] == [1, 2]
    for each in (store, other):
        each.close()


def noted(store: Store, kind: str) -> None:
    with store.transaction() as transaction:
        transaction.append(1000, kind)


def refused(store: Store, number: int) -> None:
    with store.transaction() as transaction:
        transaction.append(2000, "never", job_id=number)
        transaction.move_job(number, JobState.DONE, "", 2000)


def broken(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.execute(sa.text("insert into nowhere values (1)"))


def test_of_transactions_stored_together_one_that_raises_is_undone_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.db")
    with store.together():
        with store.transaction() as transaction:
            first = transaction.add_job(job())
            transaction.append(1000, "submitted", job_id=first)
        with pytest.raises(MoveError):
            refused(store, first)
        with store.transaction() as transaction:
            transaction.move_job(first, JobState.HELD, "", 3000)
    noted(store, "goes on as before")
    assert [event["kind"] for event in store.events()] == ["submitted", "job.held", "goes on as before"]
    assert [event["seq"] for event in store.events()] == [1, 2, 3]
    store.close()


def test_nothing_of_a_block_that_raises_is_stored(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.db")

    def fails() -> None:
        with store.together():
            noted(store, "noted")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert store.events() == []
    store.close()


def test_when_the_database_fails_nothing_that_was_stored_together_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.db")

    def fails() -> None:
        with store.together():
            noted(store, "noted")
            with pytest.raises(StoreError):
                broken(store)
            with pytest.raises(StoreError):
                noted(store, "noted after it")

    with pytest.raises(StoreError):
        fails()
    assert store.events() == []
    store.close()
