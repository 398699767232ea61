"""Several writing transactions that are stored as one: a disk is waited for once, not for each of them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace

import sqlalchemy as sa

from tidewatt.scheduler.store.added import Added
from tidewatt.scheduler.store.database import FAILURES, Database
from tidewatt.scheduler.store.known import Changes, Known
from tidewatt.scheduler.store.transaction import Last, Transaction


class Joint:
    """Begins with its first part; a part that raises is undone alone, unless the database itself failed."""

    def __init__(self, writing: AbstractContextManager[object], database: Database, known: Known) -> None:
        self._writing, self._database, self._known = writing, database, known
        self._changes = Changes()
        self._added, self._last = Added(), Last()
        self._held = ExitStack()
        self._connection: sa.Connection | None = None
        self._failed: sa.exc.SQLAlchemyError | None = None

    @contextmanager
    def part(self) -> Iterator[Transaction]:
        """One of them; raises what the database raised once, from then on.

        One that only adds rows is kept until the end; the database is told of a part where it does more.
        """
        if self._failed is not None:
            raise self._failed
        connection, before = self._begun(), replace(self._last)
        begun: list[str] = []

        def begin() -> None:
            self._added.send(connection, self._database)
            connection.exec_driver_sql("SAVEPOINT part")
            begun.append("part")

        transaction = Transaction(connection, self._database, self._last, begin)
        try:
            try:
                yield transaction
                if begun:
                    transaction.added.send(connection, self._database)
            except FAILURES:
                raise
            except BaseException:
                self._last = before
                if begun:
                    connection.exec_driver_sql("ROLLBACK TO SAVEPOINT part")
                raise
            finally:
                with suppress(sa.exc.SQLAlchemyError):  # a failed one is rolled back as a whole
                    if begun:
                        connection.exec_driver_sql("RELEASE SAVEPOINT part")
        except FAILURES as error:
            self._failed = error
            raise
        self._added.take(transaction.added)
        self._changes.add(transaction.changes)

    def end(self) -> None:
        """Makes all of it durable; raises what the database raised, then nothing of it is stored."""
        with self._held:
            if self._connection is None:
                return
            if self._failed is not None:
                self._roll_back()
                raise self._failed
            try:
                self._added.send(self._connection, self._database)
                if self._changes.seq:
                    self._database.numbered(self._connection, self._changes.seq)
                with self._known.committing(self._changes):
                    self._connection.exec_driver_sql("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def undo(self) -> None:
        """Stores nothing of it."""
        with self._held:
            self._roll_back()

    def _begun(self) -> sa.Connection:
        if self._connection is None:
            with ExitStack() as held:
                held.enter_context(self._writing)
                connection = held.enter_context(self._database.engine.connect())
                self._database.begin(connection)
                self._connection, self._held = connection, held.pop_all()
        return self._connection

    def _roll_back(self) -> None:
        if self._connection is not None:
            with suppress(sa.exc.SQLAlchemyError):  # after a full disk SQLite has done it already
                self._connection.exec_driver_sql("ROLLBACK")
