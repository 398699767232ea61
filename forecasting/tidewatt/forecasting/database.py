"""One SQLite file that is never in the way: a damaged one is set aside, a replaced one opened again."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import TypeVar

from tidewatt.forecasting.errors import ForecastError

T = TypeVar("T")
BUSY_S = 10.0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
PARTS = ("", "-wal", "-shm")


def _clock() -> datetime:
    return datetime.now(UTC)


class _Connection:
    """A connection with the lock of whoever uses it, and the file that it was opened on."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.open: sqlite3.Connection | None = None
        self.file: tuple[int, int] | None = None

    def close(self) -> None:
        with self.lock:
            if self.open is not None:
                with suppress(sqlite3.Error):
                    self.open.close()
            self.open = self.file = None


class Database:
    """A file of tables, for one writer and several readers in other threads and processes.

    Readers never wait for the writer. A damaged file is moved aside (`NAME.corrupt-TIME`) and a new one
    begun; `set_aside` lists such files and when. With `read_only` nothing is written, and a file
    that is not there answers as an empty one.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        version: int,
        *,
        read_only: bool = False,
        clock: Callable[[], datetime] = _clock,
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.set_aside: list[tuple[Path, datetime]] = []
        self._schema, self._version = schema, version
        self._clock = clock
        self._reader, self._writer = _Connection(), _Connection()
        self._opening = RLock()

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """What the question finds.

        Raises:
            ForecastError: the file cannot be read, or was written by a newer Tidewatt.
        """
        return self._with(self._reader, question)

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """What the change returns, once all of it is on the disk; or nothing of it is.

        Raises:
            ForecastError: it could not be written: transient, as for a full disk.
        """
        if self.read_only:
            raise ForecastError(f"{self.path} is open for reading only")

        def whole(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = change(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            return result

        return self._with(self._writer, whole)

    def outside(self, statement: str) -> None:
        """Runs a statement that no transaction may hold, such as giving free pages back."""
        self._with(self._writer, lambda connection: connection.executescript(statement))

    def close(self) -> None:
        """Closes the file; the next use opens it again."""
        self._reader.close()
        self._writer.close()

    def identity(self) -> tuple[int, int] | None:
        """Which file there is; another one once it was replaced."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _with(self, held: _Connection, use: Callable[[sqlite3.Connection], T]) -> T:
        with held.lock:
            try:
                return use(self._opened(held))
            except sqlite3.DatabaseError as error:
                if self.read_only or not _damaged(error):
                    raise self._error(error) from error
                self._move_aside(held)
            try:
                return use(self._opened(held))
            except sqlite3.DatabaseError as error:
                raise self._error(error) from error

    def _opened(self, held: _Connection) -> sqlite3.Connection:
        identity = self.identity()
        if held.open is not None and held.file == identity:
            return held.open
        held.close()
        held.file = identity
        with self._opening:
            held.open = self._open(identity is None)
        held.file = self.identity()
        return held.open

    def _open(self, missing: bool) -> sqlite3.Connection:
        if missing and self.read_only:
            return self._prepared(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        if missing:
            self._create()
        mode = "ro" if self.read_only else "rw"
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            return self._prepared(connection)
        except BaseException:
            connection.close()
            raise

    def _create(self) -> None:
        """An empty file of this user alone; what belongs to it later has the same mode."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise ForecastError(f"{self.path} cannot be made: {error.strerror}", transient=True) from error

    def _prepared(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """The connection, its tables made where they are not there."""
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found > self._version:
            raise ForecastError(f"{self.path} was written by a newer Tidewatt: use that one, or move it away")
        in_memory = self.identity() is None
        if found < self._version and (in_memory or not self.read_only):
            if not in_memory:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                f"BEGIN IMMEDIATE; {self._schema}; PRAGMA user_version = {self._version}; COMMIT"
            )
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _move_aside(self, held: _Connection) -> None:
        """Moves the damaged file away, unless another already has."""
        file = held.file
        held.close()
        with self._opening:
            self._move(file)

    def _move(self, file: tuple[int, int] | None) -> None:
        if file is not None and file != self.identity():
            return
        now = self._clock()
        name = f"{self.path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}"
        try:
            for part in PARTS:
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + part).rename(self.path.with_name(name + part))
        except OSError as error:
            text = f"{self.path} is damaged and cannot be moved away: {error.strerror}"
            raise ForecastError(text, transient=True) from error
        self.set_aside.append((self.path.with_name(name), now))

    def _error(self, error: sqlite3.DatabaseError) -> ForecastError:
        does = "is damaged" if _damaged(error) else "cannot be used"
        return ForecastError(f"{self.path} {does}: {error}", transient=True)


def _damaged(error: sqlite3.DatabaseError) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in DAMAGED
