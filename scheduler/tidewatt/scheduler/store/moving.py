"""Moves a whole store from one database to another, and compares both before anybody relies on it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from tidewatt.scheduler.store import database, schema
from tidewatt.scheduler.store.address import Address, told
from tidewatt.scheduler.store.database import Database, StoreError
from tidewatt.scheduler.store.schema import canonical

AT_ONCE = 1000
TABLES = tuple(schema.metadata.sorted_tables)  # those that others refer to come first


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows by table, and the last number that events and jobs had."""

    rows: dict[str, int]
    events: int
    jobs: int


def move(source: Address, target: Address) -> Moved:
    """Copies everything in one transaction of the target; the source stays as it is.

    Raises:
        StoreError: where either cannot be opened, the target holds anything already, or what was written is
            not what was read: then the target is as it was.
    """
    here, there = database.opened(source), database.opened(target)
    try:
        with here.engine.connect() as reading, there.engine.connect() as writing:
            try:
                here.begin(reading)  # nobody writes meanwhile
                there.begin(writing)
                found = copied(here, there, reading, writing)
                writing.exec_driver_sql("COMMIT")
            except BaseException:
                writing.exec_driver_sql("ROLLBACK")
                raise
            finally:
                reading.exec_driver_sql("ROLLBACK")
    except sa.exc.DBAPIError as error:
        raise StoreError(f"cannot move the store to {told(target)}: {database.cause(error)}") from error
    finally:
        here.close()
        there.close()
    return found


def copied(here: Database, there: Database, reading: sa.Connection, writing: sa.Connection) -> Moved:
    """Copies everything within transactions of both that have begun, and compares; raises StoreError."""
    for table in TABLES:
        if writing.execute(sa.select(sa.func.count()).select_from(table)).scalar():
            raise StoreError(f"{there.name} is not empty: name a new database, or empty that one")
    rows: dict[str, int] = {}
    for table in TABLES:
        rows[table.name] = 0
        for batch in _batches(reading, table):
            writing.execute(table.insert(), batch)
            rows[table.name] += len(batch)
        if _digest(reading, table) != _digest(writing, table):
            raise StoreError(f"the table {table.name} came to {there.name} changed: nothing was moved")
    events = here.tip(reading)[0] or 0
    jobs = here.last_job(reading)
    there.skip_numbers(writing, "event", events)
    there.skip_numbers(writing, "job", jobs)
    return Moved(rows, events, jobs)


def _batches(connection: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, object]]]:
    [key] = table.primary_key.columns
    last: object = None
    while True:
        query = sa.select(table).order_by(key).limit(AT_ONCE)
        found = connection.execute(query if last is None else query.where(key > last)).mappings().all()
        if not found:
            return
        yield [dict(row) for row in found]
        last = found[-1][key.name]


def _digest(connection: sa.Connection, table: sa.Table) -> str:
    """Of all rows, in no order: both databases may sort texts differently."""
    whole = 0
    for batch in _batches(connection, table):
        for row in batch:
            whole ^= int.from_bytes(hashlib.sha256(canonical(row).encode()).digest())
    return f"{whole:064x}"
