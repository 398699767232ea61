"""What is taken in the regions now: by running attempts, and by processes that are not ours."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.holdout import Arm, Lot
from tidewatt.scheduler.daemon import resuming
from tidewatt.scheduler.daemon.site import Foreign, Site
from tidewatt.scheduler.daemon.stints import stint_end
from tidewatt.scheduler.plan import Ask, Booking, Window
from tidewatt.scheduler.planning.capacity import names
from tidewatt.scheduler.planning.kinds import ALIKE, Ratios, ratios
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

FOREIGN_STAYS = timedelta(
    minutes=30
)  # how long a foreign process is taken to go on using a GPU; seen again, it is booked again


def ask(job: JobRecord, unfinished: Collection[int] = ()) -> Ask:
    """The job as the planner takes it; one that was told to start now has no deadline to wait for.

    Of its predecessors it waits for those that are `unfinished`.
    """
    lot = Lot.of(job.frozen)
    held_out = lot is not None and lot.arm is Arm.HELD_OUT
    asked = Ask(
        job_id=job.id,
        submitted=moment(job.submitted_ms),
        need=job.need,
        duration=timedelta(milliseconds=job.duration_ms),
        duration_source=job.duration_source,
        power_w=job.power_mw / 1000,
        power_source=job.power_source,
        finish_by=_moment(job.finish_by_ms),
        start_by=_moment(job.start_by_ms),
        regions=job.regions,
        exclude_regions=job.exclude_regions,
        home=str(job.frozen["home"]),
        late=job.late,
        at_once=job.asked or held_out,
        by_lot=held_out and not job.asked,
        guard_duration=None if job.guard_ms is None else timedelta(milliseconds=job.guard_ms),
        release=_moment(job.not_before_ms),
        after=tuple(sorted(number for number in job.predecessors if number in unfinished)),
        array=str(job.array) if job.array else "",
        array_limit=job.array_limit,
        priority=job.priority,
        kinds=job.kinds,
        data_gb=job.data_mb / 1000,
        postponed=job.postponed,
        user=job.user,
        project=job.project,
    )
    return resuming.rest(job, asked)


def accepts(job: JobRecord, pool: str) -> bool:
    """True where the job may run on GPUs of that pool; one without GPUs runs anywhere."""
    if not job.gpus:
        return True
    kinds = [kind.kind for kind in job.kinds] or [job.gpu_kind]
    return any(names(kind, pool) for kind in kinds)


def fares(job: JobRecord, attempt: AttemptRecord, site: Site) -> Ratios:
    """Speed and power of the job where an attempt runs, against what its estimates are of."""
    if not job.gpus:
        return ALIKE
    region = site.region(attempt.region)
    pools = () if region is None else region.pools
    pool = next((pool for pool in pools if pool.name == attempt.pool), Pool(attempt.pool, job.gpus))
    return ratios(ask(job), pool) or ALIKE


def expected_end(job: JobRecord, attempt: AttemptRecord, site: Site, now: datetime) -> datetime:
    """When a job that runs should be done; one that overran is given a twentieth of its estimate more.

    One that is to pause on its way is done when its plan says.
    """
    if job.plan is not None and stint_end(job, attempt.region, attempt.pool) is not None:
        return max(job.plan.window.end, now + timedelta(minutes=1))
    start = moment(attempt.started_ms or attempt.launched_ms)
    speed, _ = fares(job, attempt, site)
    duration = timedelta(milliseconds=resuming.rest_ms(job)) / speed
    return max(start + duration, now + max(duration / 20, timedelta(minutes=1)))


def bookings(
    live: Iterable[AttemptRecord],
    jobs: Mapping[int, JobRecord],
    foreign: Iterable[Foreign],
    site: Site,
    now: datetime,
) -> list[Booking]:
    """What running attempts and foreign processes occupy, from now on."""
    taken = [each for attempt in live for each in _running(attempt, jobs[attempt.job_id], site, now)]
    pools = {
        uuid: (region.name, pool.name)
        for region in site.regions
        for pool in region.pools
        for uuid in site.gpus_of(region, pool.name)
    }
    for uuid, who in {each.use.gpu_uuid: str(each) for each in foreign}.items():
        if uuid in pools:
            region, pool = pools[uuid]
            taken.append(Booking(region, pool, Window(now, now + FOREIGN_STAYS), 1, 0, 0, who))
    return taken


def blocked(
    job: JobRecord, region: Region, pool: str, live: Iterable[AttemptRecord], jobs: Mapping[int, JobRecord]
) -> str:
    """Why a job cannot start in a region at this instant, its GPUs aside; "" where it can."""
    if not accepts(job, pool):
        return f"it does not take {pool} GPUs"
    running = [(jobs[attempt.job_id], attempt.region) for attempt in live]
    tasks = sum(each.array == job.array for each, _ in running) if job.array_limit else 0
    if tasks and tasks >= job.array_limit:
        verb = "tasks run" if tasks > 1 else "task runs"
        return f"{tasks} {verb} of array {job.array}, of which at most {job.array_limit} may at a time"
    here = [each for each, place in running if place == region.name]
    need = job.need
    cpus = region.cpus - sum(each.cpus for each in here)
    if need.cpus > cpus:
        return f"it needs {need.cpus} CPUs and {cpus} of {region.cpus} are free in {region.name}"
    mem_mb = region.mem_mb - sum(each.mem_mb for each in here)
    if region.mem_mb and need.mem_mb > mem_mb:
        return (
            f"it needs {need.mem_mb} MB of memory and {mem_mb} of {region.mem_mb} are free in {region.name}"
        )
    return ""


def _running(attempt: AttemptRecord, job: JobRecord, site: Site, now: datetime) -> Iterator[Booking]:
    """What an attempt holds until its end or its next pause, and what is planned for it after that."""
    _, draws = fares(job, attempt, site)
    pauses = stint_end(job, attempt.region, attempt.pool)
    end = expected_end(job, attempt, site, now) if pauses is None else max(pauses, now)
    parts = [(attempt.region, attempt.pool, Window(min(now, moment(attempt.launched_ms)), end))]
    if pauses is not None and job.plan is not None:
        parts += [(each.region, each.pool, each.window) for each in job.plan.stints[1:]]
    for region, pool, window in parts:
        yield Booking(
            region,
            pool,
            window,
            job.gpus,
            job.cpus,
            job.mem_mb,
            f"job {job.id}",
            draws * job.power_mw / 1000,
            str(job.array) if job.array else "",
        )


def _moment(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else moment(time_ms)
