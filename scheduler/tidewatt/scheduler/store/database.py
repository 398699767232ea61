"""The database file of the store: opened with what durability asks for, checked, and brought up to date."""

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from tidewatt.scheduler.errors import SchedulerError

HEAD = "0004"  # the newest migration


class StoreError(SchedulerError):
    """The store cannot be opened or written: what the user has to mend before trying again."""

    exit_code = 2


def opened(path: Path) -> sa.Engine:
    """The engine of a database that has all tables, readable by its owner only.

    Raises:
        StoreError: where it cannot be opened, is damaged, or was written by a newer Tidewatt.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = _engine(path)
        _migrate(engine, path)
    except (sa.exc.DBAPIError, OSError) as error:
        raise StoreError(f"cannot open the store {path}: {cause(error)}") from error
    path.chmod(0o600)
    return engine


def cause(error: Exception) -> str:
    """What the database itself said."""
    return str(getattr(error, "orig", None) or error)


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
        known = sa.inspect(connection).has_table("alembic_version")
        version = (
            connection.execute(sa.text("select version_num from alembic_version")).scalar() if known else None
        )
        verdict = connection.exec_driver_sql("pragma quick_check").scalar()
    if verdict != "ok":
        raise StoreError(f"the store {path} is damaged ({verdict}): restore a copy of it, or move it away")
    if version == HEAD:
        return
    if version is not None:
        if version > HEAD:
            raise StoreError(f"the store {path} was written by a newer Tidewatt (schema {version}): upgrade")
        _copy(path, path.with_suffix(f".db.{version}"))
    _upgrade(engine)


def _upgrade(engine: sa.Engine) -> None:
    from alembic import command  # imported only where there is something to migrate
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.exec_driver_sql("COMMIT")
