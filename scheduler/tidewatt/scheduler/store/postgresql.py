"""The store in a PostgreSQL database: one writer at a time, by a lock that ends with its transaction."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.store.database import HEAD, StoreError, cause, check_version, upgrade, version_of

_WRITING = 0x7469_6465_7701  # keys of advisory locks: "tidew", then what is locked
_SERVING = 0x7469_6465_7702
_TIP = (
    "select (select last from counter where name = 'event'),"
    " (select hash from event order by seq desc limit 1)"
)
_PATIENCE = {  # so that a server that is cut off is noticed; what the URL says goes before it
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
}
_NUMBERED = sa.text("update counter set last = :seq where name = 'event'")
_SKIP = sa.text("select setval('job_id_seq', :up_to)")


@dataclass(slots=True)
class Postgresql:
    """A database of a server. `epoch` tells this daemon from those that served the database before it."""

    engine: sa.Engine
    name: str
    epoch: int | None = None
    _serving: list[sa.Connection] = field(default_factory=list)

    @classmethod
    def opened(cls, url: sa.URL) -> "Postgresql":
        """The database, which has to be there, with all tables; raises StoreError."""
        name = url.set(password=None, query={}, drivername="postgresql").render_as_string()
        try:
            engine = sa.create_engine(
                url.set(query={**_PATIENCE, **url.query}), isolation_level="AUTOCOMMIT", pool_pre_ping=True
            )
        except ImportError:
            raise StoreError(
                "a store in PostgreSQL needs psycopg: pip install 'tidewatt[postgres]'"
            ) from None
        sa.event.listen(engine, "after_cursor_execute", _committed)
        try:
            _migrate(engine, name)
        except sa.exc.DBAPIError as error:
            raise StoreError(f"cannot open the store {name}: {cause(error)}") from error
        return cls(engine, name)

    def begin(self, connection: sa.Connection) -> None:
        """Waits for other writers; raises StoreError where another daemon has taken the database over."""
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_WRITING})")
        if self.epoch is None:
            return
        found = connection.exec_driver_sql("select last from counter where name = 'epoch'").scalar()
        if found != self.epoch:
            raise StoreError(
                f"another daemon serves the store {self.name} now: stop one of them (`tidewatt down`)"
            )

    def tip(self, connection: sa.Connection) -> tuple[int | None, str | None]:
        """By a table of our own: a sequence would not go back with its transaction."""
        number, newest = connection.exec_driver_sql(_TIP).one()
        return number, newest

    def numbered(self, connection: sa.Connection, seq: int) -> None:
        """Keeps it with the transaction."""
        connection.execute(_NUMBERED, {"seq": seq})

    def skip_numbers(self, connection: sa.Connection, table: str, up_to: int) -> None:
        """Moves the sequence of the jobs, or the counter of the events, on."""
        if table == "event":
            self.numbered(connection, max(up_to, self.tip(connection)[0] or 0))
            return
        if up_to > self.last_job(connection):
            connection.execute(_SKIP, {"up_to": up_to})

    def jobs_numbered(self, connection: sa.Connection, up_to: int) -> None:
        """Moves the sequence on; no number goes back with a transaction that is undone."""
        connection.execute(_SKIP, {"up_to": up_to})

    def last_job(self, connection: sa.Connection) -> int:
        """As its sequence keeps it."""
        last, given = connection.exec_driver_sql("select last_value, is_called from job_id_seq").one()
        return int(last) if given else 0

    def alone(self) -> None:
        """Holds a lock while it is connected, and draws an epoch that outlives a lost connection."""
        connection = self.engine.connect()
        self._serving.append(connection)
        if not connection.exec_driver_sql(f"select pg_try_advisory_lock({_SERVING})").scalar():
            raise StoreError(
                f"a daemon on another machine or in another folder serves the store {self.name} already"
            )
        self.epoch = connection.exec_driver_sql(
            "update counter set last = last + 1 where name = 'epoch' returning last"
        ).scalar_one()

    def close(self) -> None:
        """Closes all connections, and lets others serve the database."""
        for connection in self._serving:
            connection.invalidate()
            connection.close()
        self._serving.clear()
        self.engine.dispose()


def _committed(
    _connection: object, cursor: Any, statement: str, _parameters: object, _context: object, _many: bool
) -> None:
    """Raises StoreError where a COMMIT undid everything: the server says so without an error."""
    if statement == "COMMIT" and cursor.statusmessage != "COMMIT":
        raise StoreError("the change was not stored: a part of it had failed before; try again")


def _migrate(engine: sa.Engine, name: str) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_WRITING})")
        version = version_of(connection)
        check_version(version, name)
        if version != HEAD:
            upgrade(connection)
        connection.exec_driver_sql("COMMIT")
