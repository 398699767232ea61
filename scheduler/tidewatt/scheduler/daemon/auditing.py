"""The audit log: who asked for what, by which way, and what came of it.

Everything that may change something is noted, and everything that was refused; what was only looked at is
not. Of what nobody known was refused, so many lines a minute are (`strangers`). Lines are gathered for a
moment and written together, so that a submission does not wait for two commits: a power cut may take the last
half second. The ledger, which holds what was changed, loses nothing.
"""

import queue
import threading
from collections.abc import MutableMapping
from typing import Any

import sqlalchemy as sa
import structlog
from fastapi import FastAPI

from tidewatt.backends.clock import moment
from tidewatt.scheduler.access_schema import AuditPage, AuditView
from tidewatt.scheduler.daemon.asgi import Asgi, Receive, Scope, Send
from tidewatt.scheduler.daemon.asked import network
from tidewatt.scheduler.daemon.callers import operator_only, through, user_name
from tidewatt.scheduler.daemon.paging import Limit, Number, link
from tidewatt.scheduler.daemon.scopes import SAFE
from tidewatt.scheduler.daemon.strangers import Strangers
from tidewatt.scheduler.daemon.tokens import Tokens, hidden, real_ms
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.store import Store, schema

log = structlog.get_logger()
KEPT_MS = 400 * 86_400_000
MOST_WAITING = 10_000
EVERY_S = 0.5
AT_ONCE = 500
LONGEST = 300  # letters of a path
REFUSED = (401, 403, 421, 429)


class Audit:
    """Writes the log, in a thread of its own; a store that cannot be written keeps nobody waiting."""

    def __init__(self, store: Store, tokens: Tokens) -> None:
        self._store, self._tokens = store, tokens
        self._strangers = Strangers()
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue(MOST_WAITING)
        self._used: dict[str, int] = {}
        self._lost = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def note(self, method: str, path: str, status: int, subject: str = "", user: str | None = None) -> None:
        """Notes a request of whoever asks now; `user` where that is nobody known."""
        way = through()
        if user == "" and not self._strangers.noted(network(way.address)):
            return
        line = {
            "time_ms": real_ms(),
            "user": user_name() if user is None else user,
            "way": way.way if user is None else "",
            "address": way.address,
            "method": method[:16],
            "path": hidden(path)[:LONGEST],
            "subject": hidden(subject)[:LONGEST],
            "status": status,
        }
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._lost += 1

    def used(self, token_id: str) -> None:
        """Notes that a token was used now."""
        self._used[token_id] = self._tokens.now_ms()

    def page(self, before: int | None, limit: int, user: str, method: str) -> list[AuditView]:
        """Lines with numbers below `before`, newest first."""
        self.flush()
        table = schema.audit
        query = sa.select(table).order_by(table.c.seq.desc()).limit(limit)
        query = query if before is None else query.where(table.c.seq < before)
        query = query.where(table.c.user == user) if user else query
        query = query.where(table.c.method == method.upper()) if method else query
        return [_view(row) for row in self._store.rows(query)]

    def flush(self) -> None:
        """Writes what is waiting."""
        lines: list[dict[str, Any]] = []
        while len(lines) < AT_ONCE and not self._waiting.empty():
            lines.append(self._waiting.get_nowait())
        used, self._used = self._used, {}
        try:
            if more := self._strangers.more():
                lines.append(_told(f"{more} more requests of nobody known were refused"))
            if lines or self._lost:
                self._write(lines)
            for token_id, at_ms in used.items():
                self._tokens.note_used(token_id, at_ms)
        except SchedulerError as error:
            self._lost += len(lines)
            log.error("audit.not_written", lines=len(lines), error=str(error))

    def close(self) -> None:
        """Writes all of it and ends."""
        self._stop.set()
        self._thread.join(5.0)
        self.flush()

    def _write(self, lines: list[dict[str, Any]]) -> None:
        table, now, lost = schema.audit, real_ms(), self._lost
        if lost:
            lines = [*lines, _told(f"{lost} lines were lost")]
        with self._store.transaction() as transaction:
            last = transaction.execute(sa.select(sa.func.max(table.c.seq))).scalar() or 0
            transaction.execute(
                table.insert(), [{**line, "seq": last + n} for n, line in enumerate(lines, start=1)]
            )
            transaction.execute(table.delete().where(table.c.time_ms < now - KEPT_MS))
        self._lost -= lost

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.flush()


class Audited:
    """The routes, each request noted that may change something or was refused."""

    def __init__(self, inner: Asgi, audit: Audit) -> None:
        self._inner, self._audit = inner, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Looks at the answer's status, and at its Location for the job that came of it."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        status, subject = 500, ""

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status, subject
            if message["type"] == "http.response.start":
                status = message["status"]
                found = dict(message.get("headers", ()))
                subject = found.get(b"location", b"").decode("latin-1").removeprefix("/api/v1/")
            await send(message)

        try:
            await self._inner(scope, receive, watched)
        finally:
            # signing in is noted where it is known who did
            if through().way and (scope["method"] not in SAFE or status in REFUSED):
                self._audit.note(scope["method"], scope["path"], status, subject)


def routes(api: FastAPI, audit: Audit) -> None:
    """Adds `audit` to the interface, for operators."""

    @api.get("/api/v1/audit", tags=["operators"])
    def listed(
        before: Number | None = None, limit: Limit = 100, user: str = "", method: str = ""
    ) -> AuditPage:
        """The audit log, newest first: who asked for what that changes something, and what was refused."""
        operator_only("read the audit log")
        found = audit.page(before, limit, user, method)
        further = found[-1].seq if len(found) == limit else None
        asked = {"limit": limit, "user": user, "method": method}
        return AuditPage(lines=tuple(found), before=further, next=link("audit", asked, further))


def _told(subject: str) -> dict[str, Any]:
    """A line of the log's own."""
    empty = {"user": "", "way": "", "address": "", "method": "", "path": "", "status": 0}
    return empty | {"time_ms": real_ms(), "subject": subject}


def _view(row: sa.Row[Any]) -> AuditView:
    values = dict(row._mapping)
    return AuditView(time=moment(values.pop("time_ms")), **values)
