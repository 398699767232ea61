"""The database of the store: opened with what durability asks for, checked, and brought up to date."""

from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from tidewatt.scheduler.errors import SchedulerError

HEAD = "0009"  # the newest migration
# what a database, or the line to it, raises; the second where a line that broke is used once more
FAILURES = (sa.exc.DBAPIError, sa.exc.PendingRollbackError)


class StoreError(SchedulerError):
    """The store cannot be opened or written: what the user has to mend before trying again."""

    exit_code = 2


class Database(Protocol):
    """One kind of database; its connections commit each statement unless `begin` was called."""

    @property
    def engine(self) -> sa.Engine:
        """What opens its connections."""
        ...

    @property
    def name(self) -> str:
        """What it is called in messages; never with a password."""
        ...

    def begin(self, connection: sa.Connection) -> None:
        """Begins a transaction beside which nobody else writes."""
        ...

    def tip(self, connection: sa.Connection) -> tuple[int | None, str | None]:
        """The last number ever given to an event, and the hash of the last event that is there."""
        ...

    def numbered(self, connection: sa.Connection, seq: int) -> None:
        """Remembers that an event got this number, whatever becomes of the event."""
        ...

    def skip_numbers(self, connection: sa.Connection, table: str, up_to: int) -> None:
        """Gives no number up to this one to any later "job" or "event"."""
        ...

    def jobs_numbered(self, connection: sa.Connection, up_to: int) -> None:
        """After jobs were stored under numbers that the caller gave them, this one last."""
        ...

    def last_job(self, connection: sa.Connection) -> int:
        """The last number ever given to a job."""
        ...

    def alone(self) -> None:
        """Makes this process the only writer; raises StoreError where another daemon is it."""
        ...

    def close(self) -> None:
        """Closes all connections."""
        ...


def opened(where: Path | sa.URL) -> Database:
    """A database that has all tables: a file readable by its owner only, or one of a PostgreSQL server.

    Raises:
        StoreError: where it cannot be opened, is damaged, or was written by a newer Tidewatt.
    """
    if isinstance(where, Path):
        from tidewatt.scheduler.store.sqlite import Sqlite

        return Sqlite.opened(where)
    from tidewatt.scheduler.store.postgresql import Postgresql  # only there: psycopg is an extra

    return Postgresql.opened(where)


def cause(error: Exception) -> str:
    """What the database itself said."""
    return str(getattr(error, "orig", None) or error).strip()


def version_of(connection: sa.Connection) -> str | None:
    """The newest migration that a database has had; None for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(sa.text("select version_num from alembic_version")).scalar()
    return version


def check_version(version: str | None, name: str) -> None:
    """Raises StoreError for a database of a newer Tidewatt."""
    if version is not None and version > HEAD:
        raise StoreError(f"the store {name} was written by a newer Tidewatt (schema {version}): upgrade")


def upgrade(connection: sa.Connection) -> None:
    """Runs the migrations that are missing, in the transaction of the connection."""
    from alembic import command  # imported only where there is something to migrate
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
