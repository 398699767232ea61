"""Takes plain submissions in by the plans as they stand: as many a second as the disk and one core give.

Plain is a single job that waits for no other, may not be paused, and is subject to neither budgets nor lots.
Where such a job cannot be in time in what the others leave free, or the queue is not as simple either, the
whole queue is looked at, as for all other jobs.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog

from tidewatt.scheduler.daemon import idempotency, intake, limiting, policing
from tidewatt.scheduler.daemon.callers import user_name
from tidewatt.scheduler.daemon.drafting import draft
from tidewatt.scheduler.daemon.glancing import Glance
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.daemon.turnstile import Entry, Taken, Turnstile
from tidewatt.scheduler.daemon.vacancy import Vacancy
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.planning.learnt import Learnt
from tidewatt.scheduler.planning.offers import offered
from tidewatt.scheduler.planning.preview import offer_views
from tidewatt.scheduler.planning.standing import Standing
from tidewatt.scheduler.planning.terms import check
from tidewatt.scheduler.request_schema import SlackOffer, SubmitRequest
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.known import OPEN

log = structlog.get_logger()
BUSY = 4  # that come together: from there on they are not told what more slack would give


@dataclass(slots=True)
class _Batch:
    """What was let in and is not durable yet: the plans, and the events that tell of them."""

    size: int
    plans: list[tuple[Ask, Plan]] = field(default_factory=list)
    standing: Standing | None = None
    before: int = 0
    after: int = 0


class Express:
    """Plain submissions of one daemon; `glances` are told of what comes, so that nobody looks for it."""

    def __init__(self, site: Site, store: Store, vacancy: Vacancy, lock: threading.RLock) -> None:
        self._site, self._store, self._vacancy, self._lock = site, store, vacancy, lock
        self._turnstile = Turnstile(self._serve)
        self.glances: list[Glance] = []

    def __len__(self) -> int:
        """Submissions that wait for the group before them."""
        return len(self._turnstile)

    def take(
        self, request: SubmitRequest, told: tuple[str, ...], learnt: Learnt | None, folder: Path
    ) -> Taken | None:
        """The job, durable; None where the whole queue has to be looked at for it. Raises as `submit`."""
        return self._turnstile.through(Entry(request, told, learnt, folder)) if self._plain(request) else None

    def _plain(self, request: SubmitRequest) -> bool:
        settings = self._site.board.settings
        special = request.array or request.after or request.after_any or request.hold or request.snapshot
        return not (special or request.pausing or settings.budgets or settings.hold_out)

    def _serve(self, group: Sequence[Entry]) -> None:
        with self._lock:
            for batch in self._batches(group):
                self._store_all(batch)

    def _batches(self, group: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
        """All at once; but whose jobs are counted is looked at when what came before is stored."""
        counted = [entry.context.run(self._counted, entry.request) for entry in group]
        yield [entry for entry, alone in zip(group, counted, strict=True) if not alone]
        yield from ([entry] for entry, alone in zip(group, counted, strict=True) if alone)

    def _counted(self, request: SubmitRequest) -> bool:
        limits = self._site.board.settings.limits
        found = [limits.of_user(user_name())]
        found += [limits.of_project(request.project)] if request.project else []
        return any(limit.waiting is not None for limit in found)

    def _store_all(self, entries: Sequence[Entry]) -> None:
        batch = _Batch(len(entries))
        try:
            with self._store.together():
                for entry in entries:
                    entry.context.run(self._one, entry, batch)
                if batch.plans:
                    intake.sync_names(self._site.paths.jobs)
        except Exception as error:  # nothing of it is stored; each of them is told
            self._vacancy.forget()
            for entry in entries:
                entry.answer, entry.error = None, entry.error or error
            return
        if batch.plans:
            self._vacancy.took(batch.before, batch.after)
            # the guard looks at a job no earlier than this
            first = min(plan.window.start for _, plan in batch.plans) - self._site.settings.margin
            for glance in self.glances:
                glance.took(batch.before, batch.after, first)

    def _one(self, entry: Entry, batch: _Batch) -> None:
        try:
            entry.answer = self._admitted(entry, batch)
        except Exception as error:  # who asked is told
            entry.error = error

    def _admitted(self, entry: Entry, batch: _Batch) -> Taken | None:
        request, now = entry.request, self._site.clock.now()
        limits = self._site.board.settings.limits
        limiting.check(request, limits, self._store.jobs(OPEN) if self._counted(request) else ())
        asked = policing.opened(
            self._site, draft(self._site, self._store, request, now, entry.learnt), request
        )
        check(asked, self._site.regions, now)
        plan = None if asked.prefer else self._placed(asked, now, batch)
        if plan is None or batch.standing is None:
            return None
        offers = _offers(asked, batch.standing) if batch.size < BUSY else ()
        notes = (*entry.told, *policing.notes(self._site, request))
        answer = Taken(0, plan.window.start <= now, offers, asked.power_w, asked.power_source, notes)
        batch.standing.put(asked, plan)
        try:
            with self._store.transaction() as transaction:
                before, transaction.told = transaction.tip().seq, []
                answer.number = self._store_one(transaction, entry, asked, plan)
                idempotency.note(transaction, [answer.number], answer.kept())
                answer.events = transaction.told
                batch.before, batch.after = batch.before or before, transaction.tip().seq
        except BaseException:
            self._vacancy.forget()  # it stands there, and is not stored
            raise
        batch.plans.append((asked, plan))
        return answer

    def _store_one(self, transaction: Transaction, entry: Entry, asked: Ask, plan: Plan) -> int:
        nobody: tuple[int, ...] = ()
        [number] = intake.store_jobs(
            transaction, self._site, entry.request, asked, (nobody, nobody), [plan], [None], entry.folder,
            sync=False,
        )  # fmt: skip
        return number

    def _placed(self, asked: Ask, now: datetime, batch: _Batch) -> Plan | None:
        """Its plan in what the others leave free; None where there is none, or the planner fails."""
        try:
            standing = self._vacancy.standing(asked, now)
            if standing is None:
                return None
            if standing is not batch.standing:  # made anew, of what is stored: without those of the batch
                for each in batch.plans:
                    standing.put(*each)
                batch.standing = standing
            return standing.admit(asked, now)
        except SchedulerError:
            raise
        except Exception:  # a planner may raise anything; others are asked then
            log.exception("express.failed")
            self._vacancy.forget()
            return None


def _offers(asked: Ask, standing: Standing) -> tuple[SlackOffer, ...]:
    """What more slack would give; nothing where the planner fails, which is no reason to refuse a job."""
    try:
        return offer_views(offered(asked, standing))
    except Exception:
        log.exception("offers.failed")
        return ()
