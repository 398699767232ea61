"""Starts attempts: commits first, then launches, so that a crash between the two can be told apart."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from tidewatt.backends import lease
from tidewatt.backends.backend import BackendError, Launch, Withdraw
from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.daemon.carriage import transfer_factors
from tidewatt.scheduler.daemon.environments import environment_file
from tidewatt.scheduler.daemon.occupancy import blocked
from tidewatt.scheduler.daemon.predecessors import waits
from tidewatt.scheduler.daemon.premises import place_factors
from tidewatt.scheduler.daemon.replanning import Queue
from tidewatt.scheduler.daemon.resuming import origin_factors, prepared
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.paths import Paths, mark
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.region_tables import limits_of
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
SLOWEST_RETRY_S = 60.0


class NotFree(Refused):
    """A job cannot start at this instant: what it needs is in use."""


def attempt_folder(paths: Paths, attempt: AttemptRecord) -> Path:
    """The attempt's own folder."""
    return paths.job(attempt.job_id) / str(attempt.number)


class Launcher:
    """Launches attempts on the site's backend."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
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
    ) -> AttemptRecord:
        """Starts the job's next attempt.

        Raises:
            NotFree: where what it needs is in use at this instant, or jobs have to end before it.
        """
        _, again_at = self._poisoned.get(job.id, (0, 0.0))
        if time.monotonic() < again_at:
            raise NotFree("its last launch came to nothing: it is tried again within a minute")
        if sentence := self._blocked(job, region, pool, found):
            raise NotFree(sentence)
        gpus = self._free_gpus(job, region, pool, found)
        attempt = self._commit(job, region, pool, gpus, reason)
        self._submit(job, attempt)
        log.info("job.launched", job=job.id, attempt=attempt.id, region=region.name, reason=reason)
        return attempt

    def came_to_nothing(self, job_id: int) -> None:
        """Remembers that a launch was poisoned: the next one waits, each time twice as long."""
        count = self._poisoned.get(job_id, (0, 0.0))[0] + 1
        self._poisoned[job_id] = (count, time.monotonic() + min(0.5 * 2**count, SLOWEST_RETRY_S))

    def came_up(self, job_id: int) -> None:
        """Forgets earlier failures of a job that runs now."""
        self._poisoned.pop(job_id, None)

    def _blocked(self, job: JobRecord, region: Region, pool: str, found: Queue) -> str:
        """Why it may not start now, whatever was planned; "" where it may."""
        now_ms = time_ms(self._site.clock.now())
        if job.not_before_ms is not None and now_ms < job.not_before_ms:
            return f"it failed, and is tried again at {moment(job.not_before_ms):%H:%M:%S} UTC"
        barrier = self._site.board.barrier(job, region.name)
        return waits(job, self._store) or barrier or blocked(job, region, pool, found.live, found.jobs)

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

    def _commit(
        self, job: JobRecord, region: Region, pool: str, gpus: tuple[str, ...], reason: str
    ) -> AttemptRecord:
        now_ms = time_ms(self._site.clock.now())
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
            factors=self._factors(job, region, pool, earlier),
        )
        with self._store.transaction() as transaction:
            transaction.add_attempt(attempt)
            transaction.move_job(job.id, JobState.RUNNING, reason, now_ms, at_risk="")
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

    def _submit(self, job: JobRecord, attempt: AttemptRecord) -> None:
        backend = self._site.backend_of(attempt.backend)
        try:
            backend.submit(self._prepared(job, attempt))
        except (BackendError, OSError) as error:
            log.error("attempt.not_launched", attempt=attempt.id, error=str(error))
            if isinstance(backend, Withdraw):  # else its status tells whether the engine has it
                with suppress(BackendError):
                    backend.poison(attempt_folder(self._site.paths, attempt))

    def _prepared(self, job: JobRecord, attempt: AttemptRecord) -> Launch:
        """With what it goes on from, and what is left of its time limit."""
        earlier = [each for each in self._store.attempts([job.id])[job.id] if each.id != attempt.id]
        place = self._site.stated(attempt.region).checkpoints
        return prepared(self._launch(job, attempt), job, earlier, self._site.paths, place)

    def _launch(self, job: JobRecord, attempt: AttemptRecord) -> Launch:
        paths, settings = self._site.paths, self._site.settings
        folder = attempt_folder(paths, attempt)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        snapshot = Path(job.source["snapshot"]) if job.snapshot else None
        return Launch(
            attempt_id=attempt.id,
            folder=folder,
            argv=job.argv,
            cwd=Path(job.cwd),
            environment_file=environment_file(paths, job) if job.keeps_env else None,
            stdout=Path(job.stdout),
            stderr=Path(job.stderr),
            gpu_uuids=attempt.gpu_uuids,
            time_limit_s=None if job.time_limit_ms is None else job.time_limit_ms / 1000,
            grace_s=settings.grace_s,
            source_digest="" if snapshot else str(job.source.get("digest", "")),
            snapshot=snapshot,
            umask=job.umask,
            readings=paths.readings,
            meter_interval_s=settings.meter_interval_s,
            clock=self._site.clock,
            variables=_variables(job) | _whereabouts(job, attempt),
            token=f"{mark(paths)}-{attempt.id.replace('.', '-')}",
            region=attempt.region,
            name=job.name,
            gpus=job.gpus,
            gpu_kind=attempt.pool,
            cpus=job.cpus,
            mem_mb=job.mem_mb,
            limits=limits_of(self._site.stated(attempt.region)),
        )


def _count(job: JobRecord, region: Region, pool: str, found: Queue) -> None:
    """Raises NotFree where our own attempts leave too few GPUs of a place whose engine counts for itself."""
    there = [each for each in found.live if (each.region, each.pool) == (region.name, pool)]
    has = sum(each.gpus for each in region.pools if each.name == pool)
    free = has - sum(found.jobs[each.job_id].gpus for each in there if each.job_id in found.jobs)
    if free < job.gpus:
        raise NotFree(f"it needs {job.gpus} GPUs and {free} of {has} are free in {region.name}")


def _whereabouts(job: JobRecord, attempt: AttemptRecord) -> dict[str, str]:
    """Where and for when it was planned, as it may tell it to whoever keeps track of its runs."""
    zones = ",".join(dict.fromkeys(attempt.factors["zones"].values()))
    told = {"TIDEWATT_JOB_REGION": attempt.region, "TIDEWATT_JOB_ZONE": zones}
    if job.plan is not None:
        window = (job.plan.window.start, job.plan.window.end)
        told["TIDEWATT_JOB_WINDOW"] = "/".join(f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in window)
    return {name: value for name, value in told.items() if value}


def _variables(job: JobRecord) -> dict[str, str]:
    """What a task of an array learns of it."""
    if not job.array:
        return {}
    return {
        "TIDEWATT_ARRAY_JOB_ID": str(job.array),
        "TIDEWATT_ARRAY_TASK_ID": str(job.array_task),
        "TIDEWATT_ARRAY_COUNT": str(job.array_size),
    }
