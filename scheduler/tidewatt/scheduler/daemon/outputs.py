"""The output of jobs that run elsewhere, read through their backends."""

import base64

from fastapi import FastAPI

from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.polling import attempt_folder
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.schemas import OutputView

MOST = 1_000_000  # bytes at once


def output(service: Service, key: str, attempt_id: str, offset: int) -> OutputView:
    """What an attempt elsewhere (without a name: the first one) has written, from a byte on.

    Raises:
        BadInput: where there is no such job or attempt, or the key names an array.
        BackendError: its engine does not tell.
    """
    jobs = named(parse_key(key), service.store)
    if len(jobs) != 1:
        raise BadInput(f"job {key} is an array: name one of its tasks, for example {jobs[0].key}")
    there = [each for each in service.store.attempts([jobs[0].id])[jobs[0].id] if each.backend != HOST]
    ids = [each.id for each in there]
    if attempt_id and attempt_id not in ids:
        raise BadInput(f"job {key} has no attempt {attempt_id} elsewhere: it has {', '.join(ids) or 'none'}")
    if offset < 0:
        raise BadInput(f"the offset {offset} is below 0")
    if not there:
        return OutputView(attempt_id="", offset=0, data="", following="")
    place = ids.index(attempt_id) if attempt_id else 0
    attempt = there[place]
    folder = attempt_folder(service.site.paths, attempt)
    data = service.site.backend_of(attempt.backend).logs(folder, offset, MOST)
    return OutputView(
        attempt_id=attempt.id,
        offset=offset + len(data),
        data=base64.b64encode(data).decode(),
        following=ids[place + 1] if place + 1 < len(ids) else "",
    )


def routes(api: FastAPI, service: Service) -> None:
    """Adds it to the interface."""

    @api.get("/api/v1/jobs/{key}/logs")
    def logs(key: str, attempt: str = "", offset: int = 0) -> OutputView:
        return output(service, key, attempt, offset)
