"""Transactions that are stored as one leave what they would have left one after the other."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.test_store import job
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.ledger import examined
from tidewatt.scheduler.store.transaction import MoveError, Transaction

VERBS = ("add", "change", "hold", "release", "finish", "note", "change the note afterwards", "fail")
parts = st.lists(st.lists(st.tuples(st.sampled_from(VERBS), st.integers(1, 4)), max_size=4), max_size=8)


NUMBERS = sa.text("select id from job")


class FailedError(Exception):
    """A part's own fault."""


@contextmanager
def opened() -> Iterator[tuple[Store, Path]]:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "tidewatt.db")
        yield store, Path(folder) / "heads.jsonl"
        store.close()


def act(transaction: Transaction, verb: str, number: int) -> None:
    """One verb, on a job that may not be there."""
    match verb:
        case "add":
            made = transaction.add_job(job(user=f"user {number}"))
            transaction.append(1000, "submitted", {"frozen": {"home": "local"}}, job_id=made)
        case "change":
            transaction.change_job(number, priority=number)
        case "note":
            transaction.append(1000, "note", {"of": [number]})
        case "change the note afterwards":
            told: dict[str, Any] = {"of": [number]}
            transaction.append(1000, "note", told)
            told["of"].append(0)
        case "fail":
            raise FailedError
        case _:
            to = {"hold": JobState.HELD, "release": JobState.WAITING, "finish": JobState.DONE}[verb]
            if number not in {row.id for row in transaction.execute(NUMBERS)}:
                raise FailedError
            transaction.move_job(number, to, "", 2000)


def run(store: Store, asked: list[list[tuple[str, int]]], *, together: bool) -> tuple[Any, ...]:
    with store.together() if together else nullcontext():
        for part in asked:
            with suppress(FailedError, MoveError), store.transaction() as transaction:
                for verb, number in part:
                    act(transaction, verb, number)
    return store.jobs(), store.events(), store.tip(), store.count()


@settings(deadline=None, max_examples=60)
@given(parts)
def test_together_or_one_by_one_the_same_is_stored_and_its_chain_holds(
    asked: list[list[tuple[str, int]]],
) -> None:
    with opened() as (one, heads), opened() as (many, _):
        assert run(one, asked, together=True) == run(many, asked, together=False)
        assert not examined(one, heads, None).wrong
