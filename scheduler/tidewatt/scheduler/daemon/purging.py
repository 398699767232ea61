"""Purges what tells of people from ended jobs: names, commands, paths, labels, logs, environments.

Numbers stay: when a job ran, what it used, saved and cost, and its receipt. An event of the ledger keeps the
digests of what it said, and a new event names who purged it; so the chain and all bundles still verify, and
say what was purged.
"""

import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from tidewatt.backends.backend import BackendError
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon import history
from tidewatt.scheduler.daemon.callers import operator_only, root_only, user_name
from tidewatt.scheduler.daemon.ownership import acting
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import ENDED
from tidewatt.scheduler.proof import purged
from tidewatt.scheduler.purge_schema import PurgeReply, PurgeRequest
from tidewatt.scheduler.store import cleansing
from tidewatt.scheduler.store.cleansing import Part
from tidewatt.scheduler.store.records import JobRecord

if TYPE_CHECKING:
    from fastapi import FastAPI

log = structlog.get_logger()
AT_ONCE = 100  # jobs of one transaction and one event: a tenth of a second
PAGE = 2_000  # jobs looked at in one turn
_KEPT = ("readings", "collected.json", "engine.json")  # in an attempt's folder: what its account stands on
_LOG_NAMES = ("output.log", "supervisor.log")


@dataclass(slots=True)
class _Done:
    """What went so far."""

    jobs: int = 0
    events: int = 0
    files: int = 0
    bytes: int = 0
    purges: list[int] = field(default_factory=list)
    elsewhere: int = 0  # logs that lie where users put them


class Purging:
    """Purges, for whoever may."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site, self._store = service.site, service.store

    def purge(self, request: PurgeRequest) -> PurgeReply:
        """Purges in parts, each of which is whole in itself; or says what would be.

        Raises:
            BadInput: Nobody and no time is named.
            Refused: Whoever asks may not.
        """
        operator_only("purge what others left")
        root_only("purge what others left")
        if not request.user and request.older_than_s is None:
            raise BadInput("say what to purge: --user NAME, --older-than 400d, or both")
        whole = not request.logs and not request.paths
        part = Part(names=whole, paths=whole or request.paths)
        logs, done = whole or request.logs, _Done()
        for jobs in self._chosen(request, part, logs=logs, whole=whole):
            with self._service.lock:
                self._purge(jobs, part, done, request, logs=logs, whole=whole)
        named = whole and bool(request.user) and request.older_than_s is None
        lines = cleansing.audited(self._store.rows, request.user) if named else 0
        if named:
            with self._service.lock:
                self._user(request, done)
        if not request.dry_run:
            self._store.fold()
            self._sign()
            log.info("purged", user=user_name(), jobs=done.jobs, events=done.events, purges=done.purges)
        return PurgeReply(
            dry_run=request.dry_run,
            jobs=done.jobs,
            events=done.events,
            files=done.files,
            bytes=done.bytes,
            audit_lines=lines,
            purges=tuple(done.purges),
            stays=tuple(self._stays(request, done, whole=whole)),
        )

    def _chosen(
        self, request: PurgeRequest, part: Part, *, logs: bool, whole: bool
    ) -> Iterator[list[JobRecord]]:
        """Ended jobs that are meant, and of which something is left."""
        before_ms = None
        if request.older_than_s is not None:
            before_ms = time_ms(self._site.clock.now() - timedelta(seconds=request.older_than_s))
        before: int | None = None
        while jobs := self._store.jobs(ENDED, before=before, limit=PAGE, user=request.user or None):
            before = jobs[-1].id
            meant = [job for job in jobs if before_ms is None or _ended_ms(job) < before_ms]
            left = [
                job for job in meant if cleansing.tells(job, part) or self._files(job, logs=logs, whole=whole)
            ]
            yield from (left[first : first + AT_ONCE] for first in range(0, len(left), AT_ONCE))

    def _purge(
        self,
        jobs: Sequence[JobRecord],
        part: Part,
        done: _Done,
        request: PurgeRequest,
        *,
        logs: bool,
        whole: bool,
    ) -> None:
        """Files first: what a crash leaves behind is found again by the rows."""
        for job in jobs:
            self._remove(job, done, logs=logs, whole=whole, dry_run=request.dry_run)
            done.elsewhere += logs and not self._own(job.stdout)
        done.jobs += len(jobs)
        events = [each for job in jobs for each in self._store.events(job.id)]
        rows = cleansing.lacking(events, part.fields)
        done.events += len(rows)
        if request.dry_run or not (rows or part.names or part.paths):
            return
        told = {"jobs": purged.stretches(job.id for job in jobs), "events": []}
        with self._store.transaction() as transaction:
            transaction.thoroughly()
            done.purges.append(self._tell(transaction, told, part, logs=logs))
            cleansing.cleanse_events(transaction, rows)
            for job in jobs:
                cleansing.cleanse_job(transaction, job, part)
        self._store.forget()

    def _user(self, request: PurgeRequest, done: _Done) -> None:
        """What stands outside jobs with the user's name."""
        theirs = [
            each
            for kind in history.KINDS
            if kind != purged.KIND
            for each in self._store.events_of(kind)
            if each["payload"].get("user") == request.user
        ]
        rows = cleansing.lacking(theirs, purged.PURGEABLE)
        done.events += len(rows)
        if request.dry_run:
            return
        with self._store.transaction() as transaction:
            transaction.thoroughly()
            if rows:
                told = {"jobs": [], "events": [row["number"] for row in rows]}
                done.purges.append(self._tell(transaction, told, Part(True, True), logs=False))
            cleansing.cleanse_events(transaction, rows)
            cleansing.cleanse_user(transaction, request.user)
        self._site.board.decided(self._store.decisions())

    def _sign(self) -> None:
        """Signs a head with what tells of the purge; where that cannot be now, its turn comes."""
        if self._service.ledger is not None:
            with suppress(Refused, OSError):
                self._service.ledger.sign()

    def _tell(self, transaction: Any, told: dict[str, Any], part: Part, *, logs: bool) -> int:
        what = [name for name, gone in (("names", part.names), ("paths", part.paths), ("logs", logs)) if gone]
        record = {"user": user_name(), "what": what, **told}
        count = sum(last - first + 1 for first, last in told["jobs"]) or len(told["events"])
        said = f"{', '.join(what)} of {count} {'jobs' if told['jobs'] else 'decisions'} were purged"
        transaction.append(time_ms(self._site.clock.now()), purged.KIND, record, reason=said)
        return int(transaction.tip().seq)

    def _remove(self, job: JobRecord, done: _Done, *, logs: bool, whole: bool, dry_run: bool) -> None:
        """Removes what goes of a job's folder, with its owner's rights: it may lead anywhere."""
        for path in self._files(job, logs=logs, whole=whole):
            with self._as_owner(job):
                done.files += 1
                done.bytes += _remove(path, dry_run=dry_run)

    def _files(self, job: JobRecord, *, logs: bool, whole: bool) -> list[Path]:
        """What lies in the job's folder and goes; what its account stands on stays."""
        found: list[Path] = []
        if not logs and not whole:
            return found
        with self._as_owner(job):
            for path in sorted(self._site.paths.job(job.id).iterdir()):
                if path.name.isdecimal() and not path.is_symlink() and path.is_dir():
                    inside = [each for each in path.iterdir() if each.name not in _KEPT]
                    found += [each for each in inside if whole or _is_log(each)]
                elif whole or _is_log(path):
                    found.append(path)
        return found

    @contextmanager
    def _as_owner(self, job: JobRecord) -> Iterator[None]:
        """What is not there, or is nobody's, is passed over."""
        with (
            suppress(FileNotFoundError, NotADirectoryError, BackendError),
            acting(self._site.paths.job(job.id), self._site.paths),
        ):
            yield

    def _own(self, path: str) -> bool:
        return not path or Path(path).is_relative_to(self._site.paths.jobs)

    def _stays(self, request: PurgeRequest, done: _Done, *, whole: bool) -> Iterator[str]:
        if request.user:
            going = [job for job in self._store.jobs(user=request.user) if job.state not in ENDED]
            if going:
                yield f"{len(going)} jobs of {request.user} have not ended: they stay as they are"
            if tokens := cleansing.holding(self._store.rows, request.user):
                yield f"{tokens} tokens of {request.user} were not revoked: `tidewatt token revoke` ends them"
        if done.elsewhere:
            yield f"logs of {done.elsewhere} jobs lie where their users put them: they are theirs to remove"
        if whole and done.jobs:
            yield "backups, bundles and earlier copies of the store still hold what was purged here"
            yield "of each word a digest stays in the ledger: who guesses the word can tell that it was it"


def _ended_ms(job: JobRecord) -> int:
    return job.since_ms if job.ended_ms is None else job.ended_ms


def _is_log(path: Path) -> bool:
    return path.name.startswith(_LOG_NAMES)


def _remove(path: Path, *, dry_run: bool) -> int:
    """Removes a file, link or folder; its bytes."""
    try:
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            size = sum(each.lstat().st_size for each in path.rglob("*") if each.is_file())
            if not dry_run:
                shutil.rmtree(path, ignore_errors=True)
            return size
        if not dry_run:
            path.unlink()
    except FileNotFoundError:
        return 0
    return found.st_size


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `purge` to the interface."""
    purging = Purging(service)

    @api.post("/api/v1/purge")
    def purge(request: PurgeRequest) -> PurgeReply:
        """Purges what tells of people from ended jobs; numbers and the chain of events stay."""
        return purging.purge(request)
