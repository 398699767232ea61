"""Submissions that are asked for twice and carried out once, by a key that the client chose.

The key is stored in the transaction of the jobs themselves: there is no moment in which one is durable and
the other is not. What is kept is what cannot be told again later; the job is shown as it is when asked again.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.daemon.callers import current
from tidewatt.scheduler.daemon.tokens import real_ms
from tidewatt.scheduler.daemon.views import array_view, whole_view
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.request_schema import SubmitReply, SubmitRequest
from tidewatt.scheduler.store import Store, Transaction, schema

KEPT_MS = 7 * 86_400_000
SWEPT_MS = 600_000  # at most so often those are deleted that are older
LONGEST = 255
_EARLIER = sa.select(schema.idempotency).where(schema.idempotency.c.key == sa.bindparam("key"))


@dataclass(slots=True)
class _Pending:
    key: str
    digest: str
    sweeps: bool = False


_pending: ContextVar[_Pending | None] = ContextVar("pending", default=None)


class Idempotency:
    """Keys of submissions, a week of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._busy: dict[str, tuple[threading.Lock, int]] = {}
        self._swept_ms = 0

    def once(
        self, key: str | None, request: SubmitRequest, submit: Callable[[SubmitRequest], SubmitReply]
    ) -> tuple[SubmitReply, bool]:
        """The answer, and whether the same was submitted before.

        Raises:
            BadInput: The key was used for something else.
        """
        if key is None:
            return submit(request), False
        pending = _Pending(_named(key), _digest(request))
        with self._alone(pending.key):
            if (answer := self._earlier(pending, key)) is not None:
                return self._retold(answer), True
            now_ms = real_ms()
            if now_ms - self._swept_ms >= SWEPT_MS:
                pending.sweeps, self._swept_ms = True, now_ms
            token = _pending.set(pending)
            try:
                return submit(request), False
            finally:
                _pending.reset(token)

    def _earlier(self, pending: _Pending, key: str) -> dict[str, Any] | None:
        rows = self._store.rows(_EARLIER, key=pending.key)
        if not rows:
            return None
        if rows[0].digest != pending.digest:
            raise BadInput(
                f"the Idempotency-Key {key!r} was used for another submission: a new one needs a new key"
            )
        found: dict[str, Any] = rows[0].answer
        return found

    def _retold(self, answer: dict[str, Any]) -> SubmitReply:
        """What was answered then, with the jobs as they are now."""
        jobs = list(self._store.numbered(answer["jobs"]).values())
        told = {name: value for name, value in answer.items() if name != "jobs"}
        array = array_view(jobs, ()) if jobs[0].array else None
        return SubmitReply.model_validate({"job": whole_view(self._store, jobs[0]), "array": array, **told})

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """The same key at the same time waits; other keys do not."""
        with self._lock:
            lock, users = self._busy.get(key, (threading.Lock(), 0))
            self._busy[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._busy.pop(key)
                if users > 1:
                    self._busy[key] = lock, users - 1


def note(transaction: Transaction, numbers: list[int], told: dict[str, Any]) -> None:
    """Stores the key of the submission that is under way, where it has one, beside its jobs."""
    pending = _pending.get()
    if pending is None:
        return
    table, now = schema.idempotency, real_ms()
    if pending.sweeps:
        transaction.execute(table.delete().where(table.c.time_ms < now - KEPT_MS))
    row = {
        "key": pending.key,
        "digest": pending.digest,
        "time_ms": now,
        "answer": {"jobs": numbers} | told,
    }
    transaction.add(table, row)


def _named(key: str) -> str:
    """The key as it is stored: one user's never meets another's."""
    if not 0 < len(key) <= LONGEST or not key.isprintable() or not key.isascii():
        raise BadInput(f"an Idempotency-Key has 1 to {LONGEST} letters of ASCII")
    caller = current()
    return hashlib.sha256(f"{'' if caller is None else caller.uid}:{key}".encode()).hexdigest()


def _digest(request: SubmitRequest) -> str:
    text = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
