"""Rows that a transaction adds: one statement for each table, when somebody reads them or it ends."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.store import schema
from tidewatt.scheduler.store.database import Database

_ORDER = {table.name: place for place, table in enumerate(schema.metadata.sorted_tables)}


class Added:
    """Rows by table that the database has not been given yet; all of one table name the same columns."""

    def __init__(self) -> None:
        self._rows: dict[sa.Table, list[dict[str, Any]]] = {}
        self._jobs: dict[int, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, table: sa.Table, row: dict[str, Any]) -> None:
        """Adds a row."""
        self._rows.setdefault(table, []).append(row)
        if table is schema.job:
            self._jobs[row["id"]] = row

    def change_job(self, number: int, values: Mapping[str, Any]) -> bool:
        """Sets columns of a job among them; False where it is none of them."""
        row = self._jobs.get(number)
        if row is not None:
            row.update(values)
        return row is not None

    def take(self, later: "Added") -> None:
        """Takes in what a later part added."""
        for table, rows in later._rows.items():
            self._rows.setdefault(table, []).extend(rows)
        self._jobs |= later._jobs
        later.forget()

    def forget(self) -> None:
        """Adds none of them."""
        self._rows, self._jobs = {}, {}

    def send(self, connection: sa.Connection, database: Database) -> None:
        """Gives them to the database; those first to which others refer."""
        for table in sorted(self._rows, key=lambda each: _ORDER[each.name]):
            connection.execute(table.insert(), self._rows[table])
        if self._jobs:
            database.jobs_numbered(connection, max(self._jobs))
        self.forget()
