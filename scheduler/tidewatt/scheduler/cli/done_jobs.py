"""Jobs that were done here, to be simulated again."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.simulation.submitted import Submitted, ordered, submitted
from tidewatt.scheduler.simulation.trace import home_of
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.address import address
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord


def done_jobs(place: Paths, regions: tuple[Region, ...], slack: timedelta) -> tuple[Submitted, ...]:
    """All jobs that are done, as long as they ran; `slack` is granted to those that had no deadline.

    A home that is none of the regions becomes theirs; jobs that ran before it was measured are left out.

    Raises:
        BadInput: there is none.
    """
    where = address(place)
    if isinstance(where, Path) and not where.exists():
        raise BadInput(
            "no job was ever submitted here: name a file with --jobs, or make some up with --generate"
        )
    store = Store(where)
    try:
        done = store.jobs([JobState.DONE])
        attempts = store.attempts([job.id for job in done])
    finally:
        store.close()
    found = [_submitted(job, attempts[job.id], regions, slack) for job in done]
    if not any(found):
        raise BadInput("no job is done yet: name a file with --jobs, or make some up with --generate")
    return ordered(job for job in found if job is not None)


def _submitted(
    job: JobRecord, attempts: list[AttemptRecord], regions: tuple[Region, ...], slack: timedelta
) -> Submitted | None:
    """The job as it ran; None where its start or end is not known."""
    last = attempts[-1] if attempts else None
    if last is None or last.started_ms is None or last.ended_ms is None or last.ended_ms <= last.started_ms:
        return None
    ran = timedelta(milliseconds=last.ended_ms - last.started_ms)
    made = ask(job)
    known = {region.name for region in regions}
    return submitted(
        replace(
            made,
            home=made.home if made.home in known else home_of(regions),
            regions=tuple(name for name in made.regions if name in known),
            finish_by=made.finish_by or made.submitted + made.duration + slack,
            start_by=None,
            release=None,
            after=(),
            late=False,
            at_once=False,
        ),
        ran,
    )
