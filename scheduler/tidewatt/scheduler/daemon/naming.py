"""Which jobs a key means."""

from tidewatt.scheduler.array import Key
from tidewatt.scheduler.daemon.callers import sees
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import JobRecord


def named(key: Key, store: Store) -> list[JobRecord]:
    """The job of that number, the task, or all tasks of the array.

    Raises:
        BadInput: where there is none, or it is somebody else's.
    """
    if key.task is not None:
        task = store.task(key.job, key.task)
        found = [] if task is None else [task]
    else:
        found = store.array(key.job) or list(store.numbered([key.job]).values())
    if not found or not all(sees(job) for job in found):
        raise BadInput(f"there is no job {key}: `tidewatt queue --all` lists them")
    return found


def is_array(key: Key, jobs: list[JobRecord]) -> bool:
    """True where the key means all tasks of an array, be it of one."""
    return key.task is None and jobs[0].array == key.job
