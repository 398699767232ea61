"""Stores of earlier days, as their daemons left them, brought up to date in a file and in PostgreSQL."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import alembic.command
import pytest
import sqlalchemy as sa
from alembic.config import Config

from tests.older import past
from tests.postgresql.server import Server, serving
from tidewatt.scheduler.proof.chain import START, link, seal
from tidewatt.scheduler.store import Store, database
from tidewatt.scheduler.store.address import parsed
from tidewatt.scheduler.store.database import HEAD

SHOWN = [(past.DONE, "done"), (past.RUNNING, "running"), (past.WAITING, "waiting"), (past.HELD, "held")]


@pytest.fixture(scope="module")
def server(require_engine: Callable[[str], None]) -> Iterator[Server]:
    require_engine("postgresql")
    with serving() as found:
        yield found


def chained(store: Store) -> int:
    """The number of the last event; each event's hash follows from the one before it."""
    tip, seq = START, 0
    for event in store.chain(0):
        tip = link(tip, seal({name: value for name, value in event.items() if name != "hash"}))
        assert (event["seq"], event["hash"]) == (seq + 1, tip)
        seq = event["seq"]
    return int(seq)


def forward(url: sa.URL, revision: str, source: Path) -> None:
    """Makes a database of PostgreSQL as that schema was, with all that a file of the same schema holds."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(url)
    with engine.begin() as connection, closing(sqlite3.connect(source)) as old:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
        old.row_factory = sqlite3.Row
        for table in ("job", "attempt", "event"):
            rows = [dict(row) for row in old.execute(f"select * from {table}")]
            connection.execute(sa.Table(table, sa.MetaData(), autoload_with=connection).insert(), rows)
        if revision == "0005":
            connection.exec_driver_sql("update counter set last = (select max(seq) from event)")
        last = old.execute("select seq from sqlite_sequence where name = 'job'").fetchone()[0]
        connection.exec_driver_sql(f"select setval('job_id_seq', {last})")
    engine.dispose()


def contents(store: Store) -> Any:
    """Jobs, attempts and events, but for the one that tells when older events were chained."""
    jobs = store.jobs()
    events = [
        {name: value for name, value in event.items() if name != "hash"}
        for event in store.chain(0)
        if event["kind"] != "chain.began"
    ]
    return jobs, store.attempts([job.id for job in jobs]), events


@pytest.mark.parametrize("schema", past.SCHEMAS)
def test_store_of_each_schema_keeps_its_jobs_and_its_chain(schema: int, tmp_path: Path) -> None:
    home = past.unpacked(schema, tmp_path)
    store = Store(home / "tidewatt.db")
    assert [(job.id, str(job.state)) for job in store.jobs()] == SHOWN
    running = store.attempts([past.RUNNING])[past.RUNNING]
    assert [(each.id, str(each.state)) for each in running] == [("2.1", "running")]
    assert chained(store) > 5
    with store.transaction() as transaction:
        waiting = replace(store.jobs()[2], id=0)
        assert transaction.add_job(waiting) == past.HELD + 1
        transaction.append(1000, "submitted", job_id=past.HELD + 1)
    assert chained(store) == store.tip().seq
    store.close()
    with closing(sqlite3.connect(home / f"tidewatt.db.{schema:04}")) as copy:
        assert copy.execute("select version_num from alembic_version").fetchone() == (f"{schema:04}",)
    with closing(sqlite3.connect(home / "tidewatt.db")) as made:
        assert made.execute("select version_num from alembic_version").fetchone() == (HEAD,)


@pytest.mark.parametrize("schema", past.SCHEMAS)
def test_same_store_in_postgresql_comes_to_the_same(schema: int, server: Server, tmp_path: Path) -> None:
    file = past.unpacked(schema, tmp_path) / "tidewatt.db"
    url = parsed(server.database(f"older_{schema}"))
    forward(url, f"{schema:04}", file)
    here, there = Store(file), Store(url)
    assert contents(there) == contents(here)
    assert chained(there) == chained(here) == there.tip().seq
    for store in (here, there):
        with store.transaction() as transaction:
            transaction.append(1000, "own")
        assert chained(store) == store.tip().seq
        store.close()
