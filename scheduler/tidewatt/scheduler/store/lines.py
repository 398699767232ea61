"""Long lists of jobs, read from their newest end and never as a whole."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.store import schema

Rows = Callable[[sa.Select[Any]], Sequence[sa.Row[Any]]]
Wanted = Sequence[sa.ColumnElement[bool]]


def newest_in(rows: Rows, states: Iterable[str], wanted: Wanted, limit: int) -> list[int]:
    """The newest jobs in any of these states, at most `limit`: of each state by its index."""
    job, found = schema.job.c, list[int]()
    for state in states:
        query = sa.select(job.id).where(job.state == state, *wanted).order_by(job.id.desc()).limit(limit)
        found += [row.id for row in rows(query)]
    return sorted(found, reverse=True)[:limit]


def newest_of_lines(rows: Rows, wanted: Wanted, before: int | None, limit: int) -> list[int]:
    """The newest job of each line with numbers below `before`, newest first, at most `limit`.

    The line of an array stands where its newest job is, and nowhere else.
    """
    job, found = schema.job.c, list[int]()
    arrays, last = set[int](), before
    while len(found) < limit:
        where = [*wanted, *([] if last is None else [job.id < last])]
        where += [job.array.not_in(arrays)] if arrays else []
        some = rows(sa.select(job.id, job.array).where(*where).order_by(job.id.desc()).limit(2 * limit))
        if not some:
            break
        for row in some:
            if not row.array or (row.array not in arrays and _leads(rows, wanted, row, before)):
                found.append(row.id)
            arrays |= {row.array} - {0}
        last = some[-1].id
    return found[:limit]


def _leads(rows: Rows, wanted: Wanted, row: sa.Row[Any], before: int | None) -> bool:
    """Whether no newer job of its array stands on an earlier page."""
    if before is None:
        return True
    newer = sa.select(schema.job.c.id).where(
        schema.job.c.array == row.array, schema.job.c.id >= before, *wanted
    )
    return not rows(newer.limit(1))
