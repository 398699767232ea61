"""A consistent copy of a store in one SQLite file, while a daemon may be writing."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from tidewatt.scheduler.proof.chain import START
from tidewatt.scheduler.store import database
from tidewatt.scheduler.store.address import Address, told
from tidewatt.scheduler.store.database import StoreError
from tidewatt.scheduler.store.moving import copied

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@dataclass(frozen=True, slots=True)
class Copied:
    """How far the chain of events and the numbers of jobs had come in the copy."""

    events: int
    hash: str
    jobs: int
    schema: str


def copy(source: Address, target: Path) -> Copied:
    """Copies the store as it is at one instant into a new file, readable by its owner only.

    Nobody who writes has to wait: SQLite reads beside its writer, PostgreSQL from a snapshot.

    Raises:
        StoreError: The store cannot be read, or the copy cannot be written or is damaged.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    try:
        if isinstance(source, Path):
            copy_file(source, target)
        else:
            _copy_rows(source, target)
        return _read(target)
    except (sqlite3.Error, sa.exc.DBAPIError) as error:
        target.unlink(missing_ok=True)
        raise StoreError(f"cannot copy the store {told(source)}: {database.cause(error)}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def copy_file(source: Path, target: Path) -> None:
    """Copies an SQLite database by SQLite's own backup, in one step and to one file."""
    if not source.exists():
        raise StoreError(f"there is no store at {source} to copy")
    with closing(sqlite3.connect(source, timeout=10.0)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")  # or what is in its log would stay behind


def _copy_rows(source: sa.URL, target: Path) -> None:
    here, there = database.opened(source), database.opened(target)
    try:
        with here.engine.connect() as reading, there.engine.connect() as writing:
            reading.exec_driver_sql(_SNAPSHOT)
            there.begin(writing)
            copied(here, there, reading, writing)
            writing.exec_driver_sql("COMMIT")
            reading.exec_driver_sql("ROLLBACK")
    finally:
        here.close()
        there.close()
    with closing(sqlite3.connect(target)) as new:
        new.execute("PRAGMA journal_mode=DELETE")


def _read(path: Path) -> Copied:
    with closing(sqlite3.connect(path)) as connection:

        def one(query: str) -> object:
            row = connection.execute(query).fetchone()
            return None if row is None else row[0]

        verdict = one("PRAGMA quick_check")
        if verdict != "ok":
            raise StoreError(f"the copy of the store is damaged ({verdict}): is the store itself?")
        events = one("select seq from sqlite_sequence where name = 'event'")
        jobs = one("select seq from sqlite_sequence where name = 'job'")
        newest = one("select hash from event order by seq desc limit 1")
        version = one("select version_num from alembic_version")
    return Copied(int(str(events or 0)), str(newest or START), int(str(jobs or 0)), str(version))
