"""Where the environments of jobs are kept, 0600, until no attempt can need them any more."""

from collections.abc import Iterable
from pathlib import Path

from tidewatt.backends import environment
from tidewatt.scheduler.jobs import ENDED
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import JobRecord


def environment_file(paths: Paths, job: JobRecord) -> Path:
    """The job's environment; all tasks of an array have one."""
    return paths.job(job.array or job.id) / "env.json"


def forget(store: Store, paths: Paths, job_ids: Iterable[int]) -> None:
    """Deletes the environments of jobs that have ended; that of an array when all its tasks have."""
    jobs = [job for job in store.numbered(job_ids).values() if job.state in ENDED]
    counts = store.task_counts({job.array for job in jobs if job.array})
    for path in {environment_file(paths, job) for job in jobs if counts.get(job.array, {}).keys() <= ENDED}:
        environment.delete(path)
