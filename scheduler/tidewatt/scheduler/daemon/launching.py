"""Starts attempts: commits first, then launches, so that a crash between the two can be told apart."""

import time
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from tidewatt.backends import lease
from tidewatt.backends.backend import Backend, BackendError, Launch, StopReason, Withdraw
from tidewatt.backends.clock import Clock, moment, time_ms
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.daemon import limiting
from tidewatt.scheduler.daemon.carriage import transfer_factors
from tidewatt.scheduler.daemon.carrier import Carrier
from tidewatt.scheduler.daemon.occupancy import blocked
from tidewatt.scheduler.daemon.orders import order, place_made
from tidewatt.scheduler.daemon.polling import Polls
from tidewatt.scheduler.daemon.polling import attempt_folder as attempt_folder
from tidewatt.scheduler.daemon.predecessors import waits
from tidewatt.scheduler.daemon.premises import place_factors
from tidewatt.scheduler.daemon.replanning import Queue
from tidewatt.scheduler.daemon.reserve import Reserve, reserve_of
from tidewatt.scheduler.daemon.resuming import origin_factors
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.store import Store, StoreError
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
SLOWEST_RETRY_S = 60.0
START_AGAIN_S = 2.0  # real seconds, after an attempt here could be neither started nor withdrawn
SEND_AGAIN_S = 10.0  # real seconds, after an attempt elsewhere could not be handed over


class NotFree(Refused):
    """A job cannot start at this instant: what it needs is in use."""


class Launcher:
    """Launches attempts on the site's backend."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
        self.polls = Polls(site, store)
        self._carrier = Carrier(site, store)
        self.reserve = Reserve(reserve_of(site.paths))
        self.refused: dict[str, str] = {}  # attempts that their engine would not take, and why
        self._unsent: dict[str, float] = {}  # not known to be handed over -> try again at; inf: being tried
        self._poisoned: dict[
            int, tuple[int, float]
        ] = {}  # job -> (launches that came to nothing, try again at)

    def launch(
        self,
        job: JobRecord,
        region: Region,
        pool: str,
        found: Queue,
        reason: str,
        begin: datetime | None = None,
        *,
        urgent: bool = False,
    ) -> AttemptRecord:
        """Starts the job's next attempt, or has its engine start it when it may begin (None: now).

        An engine that keeps jobs gets it at once and the job is parked: it runs when the engine says so. An
        `urgent` one is tried also where it was refused a while ago.

        Raises:
            NotFree: where what it needs is in use at this instant, or jobs have to end before it.
        """
        if job.id in found.parked:
            raise NotFree(f"it waits in the queue of {found.parked[job.id].region} already")
        _, again_at = self._poisoned.get(job.id, (0, 0.0))
        if time.monotonic() < again_at:
            raise NotFree("its last launch came to nothing: it is tried again within a minute")
        refusal = self._site.refusals.of(job.id, region.name)
        if refusal is not None and not urgent:
            raise NotFree(str(refusal))
        later = begin is not None and begin > self._site.clock.now()
        sentence = waits(job, self._store) if later else self._blocked(job, region, pool, found)
        sentence = sentence or self._carrier.waits(job, region)
        if sentence:
            raise NotFree(sentence)
        gpus = () if later else self._free_gpus(job, region, pool, found)
        begin = begin if later else None
        commit = partial(self._commit, job, region, pool, gpus, reason, begin)
        try:
            attempt = commit()
        except StoreError as error:
            if not (urgent and self.reserve.give(error)):
                raise
            attempt = commit()
        self.submit(job, attempt, None if begin is None else real_ms(self._site.clock, begin))
        log.info("job.launched", job=job.id, attempt=attempt.id, region=region.name, reason=reason)
        return attempt

    def came_to_nothing(self, job_id: int) -> None:
        """Remembers that a launch was poisoned: the next one waits, each time twice as long."""
        count = self._poisoned.get(job_id, (0, 0.0))[0] + 1
        self._poisoned[job_id] = (count, time.monotonic() + min(0.5 * 2**count, SLOWEST_RETRY_S))

    def came_up(self, attempt: AttemptRecord) -> None:
        """Forgets earlier failures of a job that runs now."""
        self._poisoned.pop(attempt.job_id, None)
        self._site.refusals.forget(attempt.job_id, attempt.region)
        self._unsent.pop(attempt.id, None)

    def _blocked(self, job: JobRecord, region: Region, pool: str, found: Queue) -> str:
        """Why it may not start now, whatever was planned; "" where it may."""
        now_ms = time_ms(self._site.clock.now())
        if job.not_before_ms is not None and now_ms < job.not_before_ms:
            return f"it failed, and is tried again at {moment(job.not_before_ms):%H:%M:%S} UTC"
        barrier = self._site.board.barrier(job, region.name)
        jobs = {**found.not_ended, **found.jobs}
        limits = self._site.board.settings.limits
        limited = limiting.blocked(job, limits, (*found.live, *found.queued), jobs)
        tasks = [each for each in found.queued if job.array_limit and jobs[each.job_id].array == job.array]
        return (
            waits(job, self._store)
            or barrier
            or limited
            or blocked(job, region, pool, (*found.live, *tasks), jobs)
        )

    def _free_gpus(self, job: JobRecord, region: Region, pool: str, found: Queue) -> tuple[str, ...]:
        """UUIDs on this host; of other places, whose engine chooses them, only their number is looked at."""
        if not job.gpus:
            return ()
        if region.backend != HOST:
            _count(job, region, pool, found)
            return ()
        ours = {
            uuid: f"{uuid} is used by job {each.job_id}" for each in found.live for uuid in each.gpu_uuids
        }
        taken = {each.use.gpu_uuid: str(each) for each in found.foreign} | ours
        candidates = [uuid for uuid in self._site.gpus_of(region, pool) if uuid not in taken]
        leased = {
            uuid: f"{uuid} is leased by {holder}"
            for uuid, holder in lease.holders(candidates).items()
            if holder
        }
        free = [uuid for uuid in candidates if uuid not in leased]
        if len(free) < job.gpus:
            who = "; ".join(
                (taken | leased)[uuid] for uuid in self._site.gpus_of(region, pool) if uuid in taken | leased
            )
            raise NotFree(
                f"it needs {job.gpus} GPUs and {len(free)} are free in {region.name}:"
                f" {who or 'the host has no more'}"
            )
        return tuple(free[: job.gpus])

    def submit(self, job: JobRecord, attempt: AttemptRecord, not_before_ms: int | None = None) -> None:
        """Hands the attempt to its backend; one elsewhere is told over its line. Safe to repeat."""
        backend = self._site.backend_of(attempt.backend)
        if attempt.backend == HOST:
            self._start(job, attempt, backend)
            return
        self._unsent[attempt.id] = time.monotonic() + SEND_AGAIN_S
        launch = order(self._site, self._store, job, attempt, not_before_ms)
        self._unsent[attempt.id] = float("inf")
        send, failed = partial(self._send, backend, launch), partial(self._not_sent, attempt, backend)
        self.polls.tell(attempt.backend, send, failed)

    def _start(self, job: JobRecord, attempt: AttemptRecord, backend: Backend) -> None:
        """Starts it here, or makes sure that it never starts; where neither can be written: soon again."""
        self._unsent.pop(attempt.id, None)
        try:
            launch = order(self._site, self._store, job, attempt)
            place_made(self._site, job, attempt)
            backend.submit(launch)
        except (BackendError, OSError) as error:
            log.error("attempt.not_launched", attempt=attempt.id, error=str(error))
            self.reserve.give(error)
            if not _poisoned(backend, attempt_folder(self._site.paths, attempt)):
                self._unsent[attempt.id] = time.monotonic() + START_AGAIN_S

    def unsent(self, attempt: AttemptRecord) -> bool:
        """Whether it is time to hand it over again: the last try failed, perhaps before anything was sent."""
        return time.monotonic() >= self._unsent.get(attempt.id, float("inf"))

    def _send(self, backend: Backend, launch: Launch) -> None:
        backend.submit(launch)
        self._unsent.pop(launch.attempt_id, None)

    def _not_sent(self, attempt: AttemptRecord, backend: Backend, error: Exception) -> None:
        """Its status finds out what came of it; what was refused for good is withdrawn."""
        if isinstance(error, BackendError) and error.transient:
            self._unsent[attempt.id] = time.monotonic() + SEND_AGAIN_S
            return
        self._unsent.pop(attempt.id, None)
        self.refused[attempt.id] = str(error)
        with suppress(BackendError, OSError):
            backend.stop(attempt_folder(self._site.paths, attempt), StopReason.CANCELLED)

    def _commit(
        self,
        job: JobRecord,
        region: Region,
        pool: str,
        gpus: tuple[str, ...],
        reason: str,
        begin: datetime | None,
    ) -> AttemptRecord:
        now_ms, keeps = time_ms(self._site.clock.now()), self._site.keeps(region.backend)
        earlier = self._store.attempts([job.id])[job.id]
        attempt = AttemptRecord(
            id=f"{job.id}.{len(earlier) + 1}",
            job_id=job.id,
            state=AttemptState.LAUNCHING,
            since_ms=now_ms,
            region=region.name,
            pool=pool,
            gpu_uuids=gpus,
            launched_ms=now_ms,
            factors=self._factors(job, region, pool, earlier)
            | ({"begin_ms": now_ms if begin is None else time_ms(begin)} if keeps else {}),
        )
        with self._store.transaction() as transaction:
            transaction.check_waiting(job.id)  # the guard may have launched it beside a round that hangs
            transaction.add_attempt(attempt)
            if not keeps:
                transaction.move_job(job.id, JobState.RUNNING, reason, now_ms, at_risk="", paused="")
        return attempt

    def _factors(
        self, job: JobRecord, region: Region, pool: str, earlier: list[AttemptRecord]
    ) -> dict[str, Any]:
        """What its account will need of the place, as it is now; models of hardware only where known."""
        cpu_model = self._site.host.cpu_name if region.backend == HOST else ""
        factor = self._site.clock.factor
        return {
            "zones": dict(region.zones),
            "pue_micro": round(region.pue * MICRO),
            "pue_source": region.pue_source,
            **({"gpu_model": pool} if job.gpus and pool else {}),
            **({"cpu_model": cpu_model} if cpu_model else {}),
            **({"replay_factor_milli": round(1000 * factor)} if factor != 1 else {}),
            **({"backend": region.backend} if region.backend != HOST else {}),
            **place_factors(self._site, region.name),
            **transfer_factors(job, earlier, region, self._site),
            **origin_factors(job),
        }


def _poisoned(backend: Backend, folder: Path) -> bool:
    """Whether it certainly never starts, or has been started already."""
    if not isinstance(backend, Withdraw):
        return True
    try:
        backend.poison(folder)
    except (BackendError, OSError):
        return False
    return True


def real_ms(clock: Clock, at: datetime) -> int:
    """The real Unix milliseconds of a moment of the jobs' clock."""
    return clock.real_ms + round((time_ms(at) - clock.replay_ms) / clock.factor)


def _count(job: JobRecord, region: Region, pool: str, found: Queue) -> None:
    """Raises NotFree where our own attempts leave too few GPUs of a place whose engine counts for itself."""
    there = [each for each in found.live if (each.region, each.pool) == (region.name, pool)]
    has = sum(each.gpus for each in region.pools if each.name == pool)
    free = has - sum(found.jobs[each.job_id].gpus for each in there if each.job_id in found.jobs)
    if free < job.gpus:
        raise NotFree(f"it needs {job.gpus} GPUs and {free} of {has} are free in {region.name}")
