"""Has a store of then go on now: what ran or waited when it was copied may have run since.

Attempts that are still to be seen are taken over, others are closed as lost; jobs that waited are held for
their owners. So nothing is ever started again by itself.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from tidewatt.backends import claim, durable
from tidewatt.backends.clock import moment
from tidewatt.scheduler.daemon.polling import attempt_folder
from tidewatt.scheduler.daemon.predecessors import settle_followers
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.store import Store, Transaction, schema
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

LEAST_GAP = 10_000  # numbers of jobs that nobody gets: the lost store may have given them
REFERENCE = "engine.json"  # in an attempt's folder: what its engine calls it
KIND = "restored"
_WAITING = (JobState.WAITING, JobState.HELD, JobState.PAUSED)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and what became of jobs that had not ended; times in Unix milliseconds."""

    home: str
    taken_ms: int
    events: int
    key: str  # fingerprint of the key that had signed the ledger; "": none is known
    heads: int
    adopted: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)  # they waited for jobs that were lost
    left_out: list[str] = field(default_factory=list)
    next_job: int = 0
    aside: str = ""  # where readings of a meter lie that went on by itself; "": there are none


@dataclass(slots=True)
class Reviver:
    """Has a store of then go on now."""

    store: Store
    draft: Paths
    place: Paths
    told: dict[str, Any]
    found: Restored
    now_ms: int

    @property
    def _home_then(self) -> str:
        return str(self.told["home"])

    def all(self, user: str, *, go_on: bool) -> Restored:
        """Closes, holds, and tells it in the ledger, as one; returns what became of whom."""
        live = self.store.live_attempts()
        jobs = self.store.numbered({each.job_id for each in live})
        lost = [each for each in live if not self._there(each)]
        stays = {each.job_id for each in live} - {each.job_id for each in lost}
        last = int(self.told["store"]["jobs"])
        with self.store.transaction() as transaction:
            over: dict[int, tuple[str, JobState]] = {}
            for attempt in lost:
                self._close(transaction, attempt, jobs[attempt.job_id], over)
            self.found.adopted.extend(jobs[number].key for number in sorted(stays))
            self.found.cancelled.extend(settle_followers(transaction, self.store, over, self.now_ms))
            for job in self.store.jobs(_WAITING):
                self._again(transaction, job, stays | {*over, *self.found.cancelled}, go_on=go_on)
            transaction.execute(schema.session.delete())
            gap = max(LEAST_GAP, last)
            transaction.skip_numbers(last + gap)
            transaction.append(self.now_ms, KIND, self._record(user), reason=self._words())
        return replace(self.found, next_job=last + gap + 1)

    def _there(self, attempt: AttemptRecord) -> bool:
        """Whether it can still be followed: its folder is where it was, and somebody answers for it."""
        if self._home_then != str(self.place.home):
            return False
        folder = attempt_folder(self.draft, attempt)
        if attempt.backend != HOST:
            return (folder / REFERENCE).is_file() and not (folder / REFERENCE).is_symlink()
        try:
            taken = claim.read(folder)
        except (OSError, durable.CorruptError):
            return False
        return taken is not None and taken.process is not None and taken.process.alive()

    def _close(
        self,
        transaction: Transaction,
        attempt: AttemptRecord,
        job: JobRecord,
        over: dict[int, tuple[str, JobState]],
    ) -> None:
        """Its attempt is over as far as anybody knows; a job that ran has failed, one that waited is held."""
        reason = f"lost: {self._words()}, and what became of it since is not known"
        transaction.move_attempt(
            attempt, AttemptState.ENDED, reason, self.now_ms, ended_ms=self.found.taken_ms
        )
        if job.state in (JobState.RUNNING, JobState.PAUSED):
            transaction.move_job(
                job.id, JobState.FAILED, reason, self.now_ms,
                ended_ms=self.found.taken_ms, keeps_env=False, at_risk="", plan=None,
            )  # fmt: skip
            over[job.id] = job.key, JobState.FAILED
            self.found.lost.append(job.key)

    def _again(self, transaction: Transaction, job: JobRecord, known: set[int], *, go_on: bool) -> None:
        """A job that waited: its files are where they are now, and it starts when its owner says so."""
        if job.id in known:
            return
        self._moved(transaction, job)
        if job.state is JobState.HELD or go_on:
            return
        why = f"{self._words()}: it may have run since; `tidewatt release {job.key}` lets it go"
        if job.state is JobState.PAUSED:
            transaction.move_job(job.id, JobState.WAITING, self._words(), self.now_ms, paused="")
        transaction.move_job(job.id, JobState.HELD, why, self.now_ms, plan=None, at_risk="")
        self.found.held.append(job.key)

    def _moved(self, transaction: Transaction, job: JobRecord) -> None:
        """What lay in the state folder of then lies in this one."""
        then, now = f"{self._home_then}/", f"{self.place.home}/"
        if then == now:
            return

        def moved(path: str) -> str:
            return now + path.removeprefix(then) if path.startswith(then) else path

        source = {k: moved(v) if isinstance(v, str) else v for k, v in job.source.items()}
        transaction.change_job(job.id, stdout=moved(job.stdout), stderr=moved(job.stderr), source=source)

    def _record(self, user: str) -> dict[str, Any]:
        found = self.found
        return {
            "user": user, "taken_ms": found.taken_ms, "events": found.events, "key": found.key,
            "adopted": found.adopted, "lost": found.lost, "held": found.held,
        }  # fmt: skip

    def _words(self) -> str:
        return f"restored from a backup of {moment(self.found.taken_ms):%Y-%m-%d %H:%M} UTC"
