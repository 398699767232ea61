"""Jobs that run where nothing new may start: told, never stranded, and moved where that was asked for."""

from collections.abc import Sequence

from tidewatt.backends.backend import BackendError, PauseMode
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.pausing import Pauser
from tidewatt.scheduler.daemon.resuming import PLAN
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.operator_schema import EvictedView
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

GOES_ON = "it runs there already and goes on"


def evicted(
    service: Service, attempts: Sequence[AttemptRecord], why: str, *, evict: bool
) -> tuple[EvictedView, ...]:
    """What becomes of jobs that run where `why` says that nothing new starts; call it under the lock.

    Each keeps running with a warning, or is asked to save its work where `evict` is set and it can.
    """
    jobs = service.store.numbered({each.job_id for each in attempts})
    pauser = Pauser(service.site, service.store, service.watcher.polls)
    found = []
    for attempt in attempts:
        job = jobs[attempt.job_id]
        if job.state is not JobState.RUNNING:
            continue
        sentence = _paused(pauser, job, why) if evict else ""
        goes = evict and not sentence
        said = f"paused, to go on where it may: {why}" if goes else f"{why}; {GOES_ON}"
        _tell(service, job, said if goes or not sentence else f"{said} ({sentence})", warn=not goes)
        found.append(EvictedView(job=job.key, evicted=goes, sentence=sentence or said))
    return tuple(found)


def _paused(pauser: Pauser, job: JobRecord, why: str) -> str:
    """Asks the job to save its work and leave; returns why it cannot, "" where it can."""
    try:
        pauser.pause(job, PauseMode.CHECKPOINT, by=PLAN, reason=why)
    except (SchedulerError, BackendError) as error:
        return str(error)
    return ""


def _tell(service: Service, job: JobRecord, sentence: str, *, warn: bool) -> None:
    now_ms = time_ms(service.site.clock.now())
    with service.store.transaction() as transaction:
        transaction.append(now_ms, "barred", job_id=job.id, reason=sentence)
        if warn and sentence not in job.warnings:
            transaction.change_job(job.id, warnings=(*job.warnings, sentence))
