"""Tells people what they want to know, in a thread of its own: nothing that is sent holds up the daemon.

It follows the events of the store, so that whatever happened is told, also after a restart: at least once,
and twice only where the daemon was killed between sending and writing that down.
"""

import pwd
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from tidewatt.backends.backend import BackendError, Owner
from tidewatt.backends.owner import acting_as, owner
from tidewatt.forecasting.refresh import Health
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.notices.notice import ENDS, TOLD_KINDS, Notice, of_job, of_site
from tidewatt.scheduler.notices.outbox import OWN, Letter, Outbox
from tidewatt.scheduler.notices.sending import sent
from tidewatt.scheduler.notices.table import FILE, KINDS, NotifyTable, own_table
from tidewatt.scheduler.store import Store, schema
from tidewatt.scheduler.store.records import JobRecord

log = structlog.get_logger()
LOOK_EVERY_S = 2.0
RECEIPT_WITHIN_S = 30.0  # so long the news of an end waits for the account
AT_ONCE = 500
KNOWN_FOR_S = 60.0  # a user's own wishes
DOWN_FOR_S = 1800.0  # a source has to fail for so long before that is news
Sender = Callable[[Sequence[str], Sequence[dict[str, Any]], Owner | None], list[list[int]]]


class Notifier:
    """Follows the store, and sends what somebody wants to know. `health` tells of sources."""

    def __init__(
        self, site: Site, store: Store, health: Callable[[], Sequence[Health]], send: Sender = sent
    ) -> None:
        self._site, self._store, self._health, self._send = site, store, health, send
        self._path = site.paths.home / "notices.json"
        self._outbox = Outbox.read(self._path)
        if self._outbox.seq < 0 or self._outbox.seq > store.newest():  # the first start, or another store
            self._outbox.seq = store.newest()
        self._known: dict[int, tuple[float, NotifyTable]] = {}
        self._down: dict[str, tuple[float, bool]] = {}  # since when, and whether that was told
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="notices", daemon=True)

    def begin(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Has it end after what it is at; what is not sent yet is sent after the next start."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            with told("notify"):
                self.turn(datetime.now(UTC))

    def turn(self, now: datetime) -> None:
        """Looks for news as of `now`, which is real time, and sends what is due."""
        changed = self._look(now)
        for notice in (*self._awaited(now.timestamp()), *self._sources()):
            self._put(notice, now)
            changed = True
        for to in list(self._outbox.digests):
            self._outbox.close_digest(to, self._table(to), now)
        changed = self._outbox.send(self._table, self._deliver, now) or changed
        if changed:
            self._outbox.keep(self._path)

    def _look(self, now: datetime) -> bool:
        """Takes in new events; True where there were any."""
        newest = self._store.newest()
        if newest == self._outbox.seq:
            return False
        column = schema.event.c
        query = sa.select(schema.event).where(
            column.seq > self._outbox.seq, column.seq <= newest, column.kind.in_(TOLD_KINDS)
        )
        rows = self._store.rows(query.order_by(column.seq).limit(AT_ONCE))
        for row in rows if self._anybody else ():
            event = dict(row._mapping)
            if event["kind"] in ENDS:
                self._outbox.ends.append((now.timestamp() + RECEIPT_WITHIN_S, event))
            else:
                for notice in self._notices(event):
                    self._put(notice, now)
        self._outbox.seq = rows[-1].seq if len(rows) == AT_ONCE else newest
        return True

    @property
    def _anybody(self) -> bool:
        """Whether anybody can want to know anything."""
        table = self._site.settings.notify
        return self._site.paths.system or bool(table.urls) or table.url_file is not None

    def _notices(self, event: dict[str, Any]) -> list[Notice]:
        job = self._store.job(event["job_id"]) if event["job_id"] is not None else None
        found: list[Notice | None] = []
        if job is not None:
            started = event["kind"] == "job.running" and self._first_start(job, event["seq"])
            found.append(of_job(event, job, first_start=started))
        if job is None or (self._site.paths.system and event["kind"] == "budget"):
            found.append(of_site(event))
        return [notice for notice in found if notice is not None]

    def _first_start(self, job: JobRecord, seq: int) -> bool:
        column = schema.event.c
        query = sa.select(sa.func.min(column.seq).label("first")).where(
            column.job_id == job.id, column.kind == "job.running"
        )
        return bool(self._store.rows(query)[0].first == seq)

    def _awaited(self, at_s: float) -> list[Notice]:
        """The ends whose account is there by now, or has been waited for long enough."""
        found: list[Notice] = []
        for due_s, event in list(self._outbox.ends):
            job = self._store.job(event["job_id"])
            waits = 0 < due_s - at_s <= RECEIPT_WITHIN_S  # more: the clock was set back
            if job is None or job.settlement is not None or not waits:
                self._outbox.ends.remove((due_s, event))
                found += self._notices(event)
        return found

    def _sources(self) -> list[Notice]:
        """Sources that have failed for long, and those that answer again."""
        failing = {each.source: each.text for each in self._health() if not each.ok}
        now, found = time.monotonic(), list[Notice]()
        for source in failing:
            self._down.setdefault(source, (now, False))
        for source, (since, said) in list(self._down.items()):
            if source not in failing:
                del self._down[source]
                if said:
                    found.append(
                        Notice(("source",), f"{source} answers again", "Plans are made on it again.")
                    )
            elif not said and now - since > DOWN_FOR_S:
                self._down[source] = (since, True)
                body = f"{failing[source]}. The next source of the chain decides; every plan says which."
                found.append(Notice(("source",), f"{source} does not answer", body))
        return found

    def _put(self, notice: Notice, now: datetime) -> None:
        table = self._table(OWN if notice.uid is None else notice.uid)
        asked = None if notice.job_id is None else self._asked(notice.job_id)
        wanted = table.events if asked is None else asked
        if set(wanted) & set(notice.kinds) and (table.urls or table.url_file):
            self._outbox.put(notice, table, now)

    def _asked(self, job_id: int) -> list[str] | None:
        """The kinds that were asked for with the job itself; None where none were."""
        column = schema.event.c
        query = sa.select(schema.event).where(column.job_id == job_id, column.kind == "submitted").limit(1)
        rows = self._store.rows(query)
        asked = rows[0].payload.get("notify") if rows else None
        return None if asked is None else [each for each in asked if each in KINDS]

    def _table(self, to: int) -> NotifyTable:
        """What a recipient wants; nothing where that cannot be read."""
        if to == OWN:
            own: NotifyTable = self._site.settings.notify
            return own
        looked_at, table = self._known.get(to, (float("-inf"), NotifyTable()))
        if time.monotonic() - looked_at > KNOWN_FOR_S:
            table = self._read(to)
            self._known[to] = (time.monotonic(), table)
        return table

    def _read(self, uid: int) -> NotifyTable:
        """The user's own file, read with the user's rights; its targets are taken out of it at once."""
        try:
            who, home = owner(uid, uid), Path(pwd.getpwuid(uid).pw_dir)
            with acting_as(who):
                table = own_table(home / ".config" / "tidewatt" / FILE)
                targets = table.targets()
        except (KeyError, OSError, SchedulerError, BackendError) as error:
            log.warning("notice.settings", uid=uid, why=type(error).__name__)
            return NotifyTable()
        return NotifyTable.model_validate({**table.model_dump(), "urls": targets, "url_file": None})

    def _deliver(self, to: int, table: NotifyTable, letters: Sequence[Letter]) -> list[list[int] | None]:
        messages = [{"title": each.title, "body": each.body, "left": each.left} for each in letters]
        try:
            who = None if to == OWN else owner(to, to)
            return [*self._send(table.targets(), messages, who)]
        except (SchedulerError, BackendError) as error:
            log.warning("notice.unsent", why=str(error))
            return [None for _ in letters]
