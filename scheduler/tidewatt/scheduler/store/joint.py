"""Several writing transactions that are stored as one: a disk is waited for once, not for each of them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import sqlalchemy as sa

from tidewatt.scheduler.store.database import FAILURES, Database
from tidewatt.scheduler.store.known import Changes, Known
from tidewatt.scheduler.store.transaction import Transaction


class Joint:
    """Begins with its first part; a part that raises is undone alone, unless the database itself failed."""

    def __init__(self, writing: AbstractContextManager[object], database: Database, known: Known) -> None:
        self._writing, self._database, self._known = writing, database, known
        self._changes = Changes()
        self._held = ExitStack()
        self._connection: sa.Connection | None = None
        self._failed: sa.exc.SQLAlchemyError | None = None

    @contextmanager
    def part(self) -> Iterator[Transaction]:
        """One of them; raises what the database raised once, from then on."""
        if self._failed is not None:
            raise self._failed
        connection = self._begun()
        try:
            connection.exec_driver_sql("SAVEPOINT part")
            try:
                transaction = Transaction(connection, self._database)
                yield transaction
                transaction.finish()
                self._changes.add(transaction.changes)
            except FAILURES:
                raise
            except BaseException:
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT part")
                raise
            finally:
                with suppress(sa.exc.SQLAlchemyError):  # a failed one is rolled back as a whole
                    connection.exec_driver_sql("RELEASE SAVEPOINT part")
        except FAILURES as error:
            self._failed = error
            raise

    def end(self) -> None:
        """Makes all of it durable; raises what the database raised, then nothing of it is stored."""
        with self._held:
            if self._connection is None:
                return
            if self._failed is not None:
                self._roll_back()
                raise self._failed
            try:
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
