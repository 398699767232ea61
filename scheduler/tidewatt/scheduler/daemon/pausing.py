"""What plans and owners ask of running attempts: to pause and to go on, until their backend has done it."""

from datetime import datetime, timedelta
from functools import partial

import structlog

from tidewatt.backends.backend import BackendError, Pause, PauseMode
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.asking import Asking, final
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.launching import attempt_folder
from tidewatt.scheduler.daemon.polling import Polls
from tidewatt.scheduler.daemon.resuming import (
    OWNER,
    PLAN,
    later,
    rest_ms,
    settled,
)
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.daemon.stints import cheaper, in_time, running_ms, short
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
RESUME = "resume"


class Pauser:
    """What the rounds call after they have planned."""

    def __init__(self, site: Site, store: Store, polls: Polls) -> None:
        self._site, self._store = site, store
        self._asking = Asking(site, store, polls)

    def turn(self) -> list[str]:
        """Pauses and resumes what is due; returns, in words, what may move the plans of others."""
        causes: list[str] = []
        live = {each.job_id: each for each in self._store.live_attempts()}
        for job in self._store.jobs([JobState.RUNNING, JobState.PAUSED]):
            with told("pause", job=job.id):
                causes += self._look(job, live.get(job.id))
        self._asking.forget({each.id for each in live.values()})
        return causes

    def pause(
        self,
        job: JobRecord,
        mode: PauseMode | None,
        lasts: timedelta | None = None,
        *,
        by: str = OWNER,
        reason: str = "its owner asked for a pause",
    ) -> None:
        """As somebody asks: by checkpoint where it can and that is worth it, unless a `mode` is named.

        What its owner paused waits for `resume`; `by` the plan it goes on as it is planned then.

        Raises:
            Refused: where this attempt cannot be paused so.
        """
        attempt = self._running(job)
        can = bool(job.pausing) and job.pausing is not None and job.pausing.get("by") == "checkpoint"
        if mode is PauseMode.CHECKPOINT and not can:
            raise Refused(
                f"job {job.key} was not submitted with --pausable: nobody knows how it saves its work;"
                " `tidewatt pause --stop` lets it stand still"
            )
        chosen = mode or (PauseMode.CHECKPOINT if can and not short(job, lasts) else PauseMode.STOP)
        now = self._site.clock.now()
        until_ms = None if lasts is None else time_ms(now + lasts)
        self._ask(job, attempt, chosen, by, reason, until_ms)

    def resume(self, job: JobRecord, who: str = "its owner") -> None:
        """Lets a paused job go on: at once where it stands still, else as it is planned now."""
        attempt = next((each for each in self._store.live_attempts() if each.job_id == job.id), None)
        now_ms = time_ms(self._site.clock.now())
        if attempt is None:
            with self._store.transaction() as transaction:
                transaction.append(now_ms, "resume asked", job_id=job.id)
                reason = f"let go on by {who}" if job.paused == OWNER else "goes on"
                transaction.move_job(
                    job.id, JobState.WAITING, reason, now_ms,
                    paused="", at_risk="", pausing=settled(job.pausing),
                )  # fmt: skip
            return
        self._wake(job, attempt, f"{who} asked")

    def signal(self, job: JobRecord, name: str, who: str = "its owner") -> None:
        """Sends a running job's processes a signal; elsewhere its engine is asked to.

        Raises:
            Refused: where it has none, or its backend cannot.
        """
        attempt = self._running(job)
        able, folder = self._asking.able(attempt), attempt_folder(self._site.paths, attempt)
        reason = f"SIG{name}, as {who} asked"

        def append(kind: str) -> None:
            with self._store.transaction() as transaction:
                now_ms = time_ms(self._site.clock.now())
                transaction.append(now_ms, kind, job_id=job.id, attempt_id=attempt.id, reason=reason)

        def send() -> None:
            able.signal(folder, name)
            append("signalled")

        if attempt.backend != HOST:
            append("signal asked")
        failed = partial(self._asking.warn, attempt, f"{reason}: attempt {attempt.id} could not be sent it")
        self._asking.ask(attempt, f"SIG{name}", send, failed)

    def _look(self, job: JobRecord, attempt: AttemptRecord | None) -> list[str]:
        record = job.pausing or {}
        now = self._site.clock.now()
        until_ms = record.get("until_ms")
        over = until_ms is not None and time_ms(now) >= until_ms
        if attempt is None:
            if job.state is not JobState.PAUSED:
                return []
            if over:
                self.resume(job)
                return [f"the pause of job {job.key} is over"]
            self._risk(job, now)
            return []
        if attempt.state is AttemptState.SUSPENDED:
            wakes = over or record.get("wanted") == RESUME or self._must_go_on(job, now)
            if wakes and (attempt.backend == HOST or not self._asking.lately(attempt, RESUME)):
                self._wake(job, attempt, "its pause is over")
            return []
        if attempt.state is not AttemptState.RUNNING:
            return []
        if job.paused and record.get("attempt") == attempt.id:
            self._ask_again(attempt, PauseMode(record["wanted"]))
            return []
        return self._end_stint(job, attempt, now)

    def _end_stint(self, job: JobRecord, attempt: AttemptRecord, now: datetime) -> list[str]:
        """Pauses at the end of a stint, if there is still time to."""
        plan, record = job.plan, job.pausing
        if plan is None or record is None or len(plan.stints) < 2 or job.stopping or job.paused:
            return []
        first, second = plan.stints[:2]
        gap = second.window.start - first.window.end
        here = (first.region, first.pool) == (second.region, second.pool)
        mode = cheaper(job, gap, here=here)
        saving = timedelta(milliseconds=record["checkpoint_ms"]) if mode is PauseMode.CHECKPOINT else _NONE
        if now < first.window.end - saving:
            return []
        if not isinstance(self._site.backend_of(attempt.backend), Pause):
            return self._skip(job, now, None, f"the backend {attempt.backend!r} cannot pause it")
        if (attempt.region, attempt.pool) != (first.region, first.pool):
            return self._skip(job, now, None, f"it runs in {attempt.region}, not as planned")
        costs = saving + timedelta(milliseconds=record["restart_ms"])
        if now + costs >= second.window.start:
            return self._skip(job, now, later(plan), "it would have to go on before it has stopped")
        if not self._in_time(job, attempt, second.window.start):
            return self._skip(job, now, None, "its deadline leaves no time for it")
        until_ms = time_ms(second.window.start) if mode is PauseMode.STOP else None
        reason = f"as planned: goes on at {second.window.start:%Y-%m-%d %H:%M} UTC in {second.region}"
        self._ask(job, attempt, mode, PLAN, reason, until_ms)
        return []

    def _in_time(self, job: JobRecord, attempt: AttemptRecord, start: datetime) -> bool:
        now_ms = time_ms(self._site.clock.now())
        ran_ms = running_ms(self._store.events(job.id), attempt.id, now_ms)
        return in_time(job, ran_ms, start, self._site.settings.margin)

    def _must_go_on(self, job: JobRecord, now: datetime) -> bool:
        """Whether a job that stands still by plan has to go on for its deadline's sake."""
        if job.finish_by_ms is None or job.paused == OWNER:
            return False
        attempts = self._store.attempts([job.id])[job.id]
        return not self._in_time(job, attempts[-1], now)

    def _skip(self, job: JobRecord, now: datetime, plan: Plan | None, reason: str) -> list[str]:
        """Lets the job run on."""
        kept = plan if plan is not None and plan.stints else None
        with self._store.transaction() as transaction:
            transaction.append(time_ms(now), "pause skipped", job_id=job.id, reason=reason)
            transaction.change_job(job.id, plan=kept)
        return [f"job {job.key} runs on"]

    def _risk(self, job: JobRecord, now: datetime) -> None:
        """Tells of a deadline that its owner's pause puts at risk."""
        if job.finish_by_ms is None or job.at_risk:
            return
        margin_ms = self._site.settings.margin // timedelta(milliseconds=1)
        longest_ms = rest_ms(job, max(job.duration_ms, job.guard_ms or 0))
        if time_ms(now) + longest_ms + margin_ms <= job.finish_by_ms:
            return
        reason = "its owner paused it, and its latest start has come: `tidewatt resume` lets it go on"
        with self._store.transaction() as transaction:
            transaction.append(time_ms(now), "at risk", job_id=job.id, reason=reason)
            transaction.change_job(job.id, at_risk=reason)

    def _ask(
        self,
        job: JobRecord,
        attempt: AttemptRecord,
        mode: PauseMode,
        by: str,
        reason: str,
        until_ms: int | None,
    ) -> None:
        """Commits that the pause is wanted, then asks the backend: a crash between the two is made good."""
        self._asking.able(attempt)
        now_ms = time_ms(self._site.clock.now())
        until = {} if until_ms is None else {"until_ms": until_ms}
        record = {**(settled(job.pausing) or {}), "wanted": str(mode), "attempt": attempt.id, **until}
        with self._store.transaction() as transaction:
            transaction.append(
                now_ms, "pause asked", {"mode": str(mode), "by": by, **until},
                job_id=job.id, attempt_id=attempt.id, reason=reason,
            )  # fmt: skip
            transaction.change_job(job.id, paused=by, pausing=record)
        try:
            self._send(attempt, mode)
        except BackendError as error:
            if by == OWNER and not error.transient:
                self._give_up(attempt, error, plan=job.plan)
                raise Refused(f"job {job.key} cannot be paused: {error}") from error
            if not error.transient:
                self._give_up(attempt, error, plan=None)
        log.info("job.pausing", job=job.id, mode=str(mode), by=by, reason=reason)

    def _ask_again(self, attempt: AttemptRecord, mode: PauseMode) -> None:
        if self._asking.lately(attempt, mode):
            return
        try:
            self._send(attempt, mode, again=True)
        except BackendError as error:
            if not error.transient:
                self._give_up(attempt, error, plan=None)

    def _send(self, attempt: AttemptRecord, mode: PauseMode, *, again: bool = False) -> None:
        pause = partial(self._asking.able(attempt).pause, attempt_folder(self._site.paths, attempt), mode)
        self._asking.ask(attempt, mode, pause, partial(self._not_paused, attempt, mode), again=again)

    def _not_paused(self, attempt: AttemptRecord, mode: PauseMode, error: Exception) -> None:
        """An engine elsewhere did not do it: it is asked again, unless that is of no use."""
        job = self._store.job(attempt.job_id)
        record = (job and job.pausing) or {}
        if job is None or (record.get("wanted"), record.get("attempt")) != (mode, attempt.id):
            return  # it is not wanted any more
        if final(error):
            self._give_up(attempt, error, plan=job.plan if job.paused == OWNER else None)
            return
        said = f"attempt {attempt.id} could not be told to pause, and is told again every few seconds"
        self._asking.warn(attempt, said, error)

    def _give_up(self, attempt: AttemptRecord, error: Exception, plan: Plan | None) -> None:
        """The job runs on: this pause will never come."""
        now_ms, sentence = time_ms(self._site.clock.now()), f"could not be paused: {error}"
        with self._store.transaction() as transaction:
            job = self._store.job(attempt.job_id)
            assert job is not None  # noqa: S101 - a foreign key says so
            transaction.append(now_ms, "warning", job_id=job.id, attempt_id=attempt.id, reason=sentence)
            transaction.change_job(
                job.id, paused="", plan=plan, pausing=_asked_for(settled(job.pausing)),
                warnings=(*job.warnings, sentence),
            )  # fmt: skip

    def _wake(self, job: JobRecord, attempt: AttemptRecord, reason: str) -> None:
        record = {**(job.pausing or {}), "wanted": RESUME, "attempt": attempt.id}
        again = record == job.pausing
        if not again:
            with self._store.transaction() as transaction:
                now_ms = time_ms(self._site.clock.now())
                transaction.append(
                    now_ms, "resume asked", job_id=job.id, attempt_id=attempt.id, reason=reason
                )
                transaction.change_job(job.id, pausing=record, plan=later(job.plan) or job.plan)
        resume = partial(self._asking.able(attempt).resume, attempt_folder(self._site.paths, attempt))
        said = f"attempt {attempt.id} could not be told to go on, and is told again every few seconds"
        self._asking.ask(attempt, RESUME, resume, partial(self._asking.warn, attempt, said), again=again)

    def _running(self, job: JobRecord) -> AttemptRecord:
        """Its attempt, which runs.

        Raises:
            Refused: where none does.
        """
        if job.state is JobState.RUNNING:
            for attempt in self._store.live_attempts():
                if attempt.job_id == job.id and attempt.state is AttemptState.RUNNING:
                    if job.paused:
                        raise Refused(f"job {job.key} is just being paused")
                    return attempt
        state = "just starting or pausing" if job.state is JobState.RUNNING else str(job.state)
        raise Refused(f"job {job.key} is {state}: only a job that runs can be paused or signalled")


def _asked_for(record: dict[str, object] | None) -> dict[str, object] | None:
    """The record of a job that may pause; None for one whose owner only tried to let it stand still."""
    return record or None


_NONE = timedelta(0)
