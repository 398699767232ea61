"""The store as one file: SQLite, with a write-ahead log and every commit on the disk."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from tidewatt.scheduler.store.database import HEAD, StoreError, cause, check_version, upgrade, version_of

CHECKED_BYTES = 500_000_000  # of a larger file every page is not read at each start: that takes minutes
_TIP = (  # asked at each submit, so in SQL that nobody has to put together first
    "select (select seq from sqlite_sequence where name = 'event'),"
    " (select hash from event order by seq desc limit 1)"
)


@dataclass(frozen=True, slots=True)
class Sqlite:
    """A database file. SQLite itself keeps the last number that each table gave."""

    engine: sa.Engine
    path: Path

    @classmethod
    def opened(cls, path: Path) -> "Sqlite":
        """The file, made where it is missing, with all tables; raises StoreError."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            engine = _engine(path)
            _migrate(engine, path)
        except (sa.exc.DBAPIError, OSError) as error:
            raise StoreError(f"cannot open the store {path}: {cause(error)}") from error
        path.chmod(0o600)
        return cls(engine, path)

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    def begin(self, connection: sa.Connection) -> None:
        """Takes the lock at once: a transaction that reads first could not write after others did."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def tip(self, connection: sa.Connection) -> tuple[int | None, str | None]:
        """By the table in which SQLite keeps the last number of each table."""
        number, newest = connection.exec_driver_sql(_TIP).one()
        return number, newest

    def numbered(self, connection: sa.Connection, seq: int) -> None:
        """SQLite remembers it."""

    def skip_numbers(self, connection: sa.Connection, table: str, up_to: int) -> None:
        """Raises the last number that SQLite keeps of the table."""
        last = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        key = last.c.name == table
        found = connection.execute(sa.select(last.c.seq).where(key)).scalar()
        if found is None:
            connection.execute(last.insert().values(name=table, seq=up_to))
        elif found < up_to:
            connection.execute(last.update().where(key).values(seq=up_to))

    def jobs_numbered(self, connection: sa.Connection, up_to: int) -> None:
        """SQLite remembers it."""

    def last_job(self, connection: sa.Connection) -> int:
        """As SQLite keeps it."""
        last = connection.exec_driver_sql("select seq from sqlite_sequence where name = 'job'").scalar()
        return int(last or 0)

    def alone(self) -> None:
        """The lock of the state folder sees to it."""

    def close(self) -> None:
        """Closes all connections; the write-ahead log is folded in."""
        self.engine.dispose()


def _engine(path: Path) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(url, connect_args={"isolation_level": None, "timeout": 10.0})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _migrate(engine: sa.Engine, path: Path) -> None:
    with engine.connect() as connection:
        version = version_of(connection)
        small = path.stat().st_size < CHECKED_BYTES
        verdict = connection.exec_driver_sql("pragma quick_check").scalar() if small else "ok"
    if verdict != "ok":
        raise StoreError(f"the store {path} is damaged ({verdict}): restore a copy of it, or move it away")
    if version == HEAD:
        return
    check_version(version, str(path))
    if version is not None:
        _copy(path, path.with_suffix(f".db.{version}"))
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        upgrade(connection)
        connection.exec_driver_sql("COMMIT")
