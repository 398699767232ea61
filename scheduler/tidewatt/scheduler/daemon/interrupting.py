"""`pause`, `resume` and `signal`: what clients may do to jobs on their way; of an array, to all its tasks."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from fastapi import FastAPI

from tidewatt.backends.backend import BackendError, PauseMode
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.daemon.callers import current
from tidewatt.scheduler.daemon.changing import Changes
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.pausing import Pauser
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.pausing_schema import PauseRequest, SignalRequest, signal_name
from tidewatt.scheduler.schemas import ArrayView, JobView
from tidewatt.scheduler.store.records import JobRecord


class Interruptions:
    """The verbs, under the service's lock."""

    def __init__(self, service: Service, changes: Changes) -> None:
        self._service, self._changes = service, changes
        self._pauser = Pauser(service.site, service.store, service.watcher.polls)

    def pause(self, key: str, request: PauseRequest) -> JobView | ArrayView:
        """Pauses jobs that run, until they are resumed or the given time is over; waiting ones are held.

        Raises:
            Refused: where none of them can be paused so.
        """
        mode = PauseMode(request.mode) if request.mode else None
        lasts = None if request.for_s is None else timedelta(seconds=request.for_s)

        def pause(job: JobRecord) -> None:
            self._pauser.pause(job, mode, lasts, reason=f"{_who(job)} asked for a pause")

        with self._service.lock:
            jobs = named(parse_key(key), self._service.store)
            if all(job.state in (JobState.WAITING, JobState.HELD) for job in jobs):
                if lasts is not None:
                    raise Refused(f"job {key} does not run: `tidewatt hold` keeps it until it is released")
                return self._changes.hold(key)
            going = [job for job in jobs if job.state is JobState.RUNNING]
            self._each(key, going or jobs, pause)
        return self._done(key, "paused")

    def resume(self, key: str) -> JobView | ArrayView:
        """Lets paused jobs go on, as soon as they are planned to; what the plan paused starts at once.

        Raises:
            Refused: where none of them is paused.
        """
        with self._service.lock:
            jobs = named(parse_key(key), self._service.store)
            if all(job.state is JobState.HELD for job in jobs):
                return self._changes.release(key)
            paused = [job for job in jobs if job.state is JobState.PAUSED]
            if not paused and any(job.state is JobState.WAITING and job.paused for job in jobs):
                return self._changes.start(key)
            if not paused and any(job.state is JobState.RUNNING and job.paused for job in jobs):
                raise Refused(
                    f"job {key} is still being paused: resume it when `tidewatt status` says paused"
                )
            if not paused:
                raise Refused(f"job {key} is {jobs[0].state}: there is nothing to resume")
            self._each(key, paused, lambda job: self._pauser.resume(job, _who(job)))
        return self._done(key, "resumed")

    def signal(self, key: str, request: SignalRequest) -> JobView | ArrayView:
        """Sends running jobs a signal.

        Raises:
            BadInput: where there is no such signal.
            Refused: where none of them runs.
        """
        name = signal_name(request.name)
        with self._service.lock:
            jobs = named(parse_key(key), self._service.store)
            going = [job for job in jobs if job.state is JobState.RUNNING]
            self._each(key, going or jobs, lambda job: self._pauser.signal(job, name, _who(job)))
        return self._done(key, "signalled")

    def _each(self, key: str, jobs: Sequence[JobRecord], act: Callable[[JobRecord], None]) -> None:
        """Does it to every job that allows it; refuses where none does, for the first one's reason."""
        refused: list[Exception] = []
        for job in jobs:
            try:
                act(job)
            except (Refused, BackendError) as error:
                refused.append(error)
        if refused and len(refused) == len(jobs):
            raise refused[0]

    def _done(self, key: str, verb: str) -> JobView | ArrayView:
        self._service.wake(f"job {key} was {verb}")
        return self._service.view(key)


def _who(job: JobRecord) -> str:
    """Who asks, from the job's point of view."""
    caller = current()
    return "its owner" if caller is None or caller.uid == job.uid else f"the operator {caller.name}"


def routes(api: FastAPI, service: Service, changes: Changes) -> None:
    """The verbs over HTTP."""
    verbs = Interruptions(service, changes)

    @api.post("/api/v1/jobs/{key}/pause")
    def pause(key: str, request: PauseRequest) -> JobView | ArrayView:
        return verbs.pause(key, request)

    @api.post("/api/v1/jobs/{key}/resume")
    def resume(key: str) -> JobView | ArrayView:
        return verbs.resume(key)

    @api.post("/api/v1/jobs/{key}/signal")
    def signal(key: str, request: SignalRequest) -> JobView | ArrayView:
        return verbs.signal(key, request)
