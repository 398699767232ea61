"""What a backend is asked to start: an attempt of a job, in all its details."""

from pathlib import Path

from tidewatt.backends.backend import Launch
from tidewatt.scheduler.daemon.environments import environment_file
from tidewatt.scheduler.daemon.ownership import acting, own_place, owner_of
from tidewatt.scheduler.daemon.polling import attempt_folder
from tidewatt.scheduler.daemon.resuming import checkpoint_name, prepared
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.paths import mark
from tidewatt.scheduler.region_tables import limits_of
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord


def order(
    site: Site, store: Store, job: JobRecord, attempt: AttemptRecord, not_before_ms: int | None = None
) -> Launch:
    """What is asked of the attempt's backend, with what it goes on from, and what is left of its time limit.

    Its folder is made. `not_before_ms` is real, for engines that keep jobs until then.
    """
    earlier = [each for each in store.attempts([job.id])[job.id] if each.id != attempt.id]
    place = site.stated(attempt.region).checkpoints
    return prepared(_launch(site, job, attempt, not_before_ms), job, earlier, site.paths, place)


def place_made(site: Site, job: JobRecord, attempt: AttemptRecord) -> None:
    """Makes where a job of a shared server keeps its checkpoints, if its region has one place for all jobs.

    Raises:
        BackendError: Somebody else could reach into it.
    """
    place = site.stated(attempt.region).checkpoints
    if site.paths.system and place and job.pausing is not None:
        own_place(Path(place), checkpoint_name(job), owner_of(site.paths.job(job.id), site.paths))


def _launch(site: Site, job: JobRecord, attempt: AttemptRecord, not_before_ms: int | None) -> Launch:
    paths, settings = site.paths, site.settings
    folder = attempt_folder(paths, attempt)
    with acting(folder.parent, paths):
        folder.mkdir(mode=0o700, parents=not paths.system, exist_ok=True)
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
        clock=site.clock,
        variables=_variables(job) | _whereabouts(job, attempt),
        token=f"{mark(paths)}-{attempt.id.replace('.', '-')}",
        region=attempt.region,
        name=job.name,
        gpus=job.gpus,
        gpu_kind=attempt.pool,
        cpus=job.cpus,
        mem_mb=job.mem_mb,
        owner=owner_of(folder.parent, paths),
        not_before_ms=not_before_ms,
        limits=limits_of(site.stated(attempt.region)),
    )


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
