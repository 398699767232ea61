"""The output of jobs, for those who cannot read its files themselves.

Of jobs that run elsewhere their backends tell; of those on this host it is for clients on other machines.
"""

import base64
from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, Query

from tidewatt.backends.rotation import Output
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.daemon.callers import own_only
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.ownership import acting
from tidewatt.scheduler.daemon.polling import attempt_folder
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.schemas import OutputView
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

MOST = 1_000_000  # bytes at once
Stream = Literal["stdout", "stderr"]


def output(
    service: Service, key: str, attempt_id: str, offset: int, stream: Stream = "stdout", *, here: bool = False
) -> OutputView:
    """What an attempt (without a name: the first one) has written, from a byte on.

    Attempts on this host count as one, by the last of them, as they write to one file; without `here` they
    are left out.

    Raises:
        BadInput: where there is no such job or attempt, or the key names an array.
        Refused: where it ran here and is somebody else's.
        BackendError: its engine does not tell.
    """
    jobs = named(parse_key(key), service.store)
    if len(jobs) != 1:
        raise BadInput(f"job {key} is an array: name one of its tasks, for example {jobs[0].key}")
    attempts = _asked(service, jobs[0], here=here)
    ids = [each.id for each in attempts]
    if attempt_id and attempt_id not in ids:
        where = "" if here else " elsewhere"
        raise BadInput(f"job {key} has no attempt {attempt_id}{where}: it has {', '.join(ids) or 'none'}")
    if offset < 0:
        raise BadInput(f"the offset {offset} is below 0")
    if not attempts:
        return OutputView(attempt_id="", offset=0, data="", following="")
    place = ids.index(attempt_id) if attempt_id else 0
    data = _read(service, jobs[0], attempts[place], stream, offset)
    return OutputView(
        attempt_id=ids[place],
        offset=offset + len(data),
        data=base64.b64encode(data).decode(),
        following=ids[place + 1] if place + 1 < len(ids) else "",
    )


def _asked(service: Service, job: JobRecord, *, here: bool) -> list[AttemptRecord]:
    found = service.store.attempts([job.id])[job.id]
    ours = [each for each in found if each.backend == HOST] if here else []
    return [each for each in found if each.backend != HOST or each in ours[-1:]]


def _read(service: Service, job: JobRecord, attempt: AttemptRecord, stream: Stream, offset: int) -> bytes:
    place = service.site.paths
    folder = attempt_folder(place, attempt)
    if attempt.backend != HOST:  # engines keep one stream
        found = service.site.backend_of(attempt.backend).logs(folder, offset, MOST)
        return found if stream == "stdout" else b""
    own_only([job], "shown what it writes")
    path = Path(job.stdout if stream == "stdout" else job.stderr)
    try:
        with acting(place.job(job.id), place):
            return Output(folder, path).read(offset, MOST)
    except OSError as error:
        raise Refused(f"the output {path} cannot be read: {error.strerror}") from error


def routes(api: FastAPI, service: Service) -> None:
    """Adds it to the interface."""

    @api.get("/api/v1/jobs/{key}/logs")
    def logs(
        key: str,
        attempt: str = "",
        offset: Annotated[int, Query(le=2**53)] = 0,
        stream: Stream = "stdout",
        *,
        here: Annotated[bool, Query(description="Also of attempts on the daemon's own host.")] = False,
    ) -> OutputView:
        """What a job has written: in pieces, each from the byte at which the one before ended."""
        return output(service, key, attempt, offset, stream, here=here)
