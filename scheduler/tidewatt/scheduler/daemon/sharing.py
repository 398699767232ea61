"""Who had how much of the GPUs lately, for fair shares; and what each may have at a time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.callers import current, only_uid
from tidewatt.scheduler.daemon.limiting import WAITING
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.server_tables import LimitTable
from tidewatt.scheduler.status_schema import LimitView, SharesView, ShareView
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import JobRecord

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tidewatt.scheduler.daemon.service import Service

LATELY = timedelta(days=7)
_OPEN = tuple(state for state in JobState if state not in ENDED)


def shares(store: Store, weights: Mapping[str, float], now: datetime) -> dict[str, float]:
    """GPU hours of the last 7 days over its weight, of each user and project; none without weights.

    Who has no weight of their own has 1.
    """
    if not weights:
        return {}
    found: dict[str, float] = {}
    for (user, project), hours in store.gpu_hours(time_ms(now - LATELY), time_ms(now)).items():
        for name in {user, project} - {""}:
            found[name] = found.get(name, 0.0) + hours / weights.get(name, 1.0)
    return found


class Shares:
    """What was used lately and is in use now, by user and project, beside weights and limits."""

    def __init__(self, service: "Service") -> None:
        self._site, self._store = service.site, service.store

    def view(self) -> SharesView:
        """Of everybody for operators; for others their own, and the sum of all."""
        now = self._site.clock.now()
        hours = self._store.gpu_hours(time_ms(now - LATELY), time_ms(now))
        jobs = self._store.jobs(_OPEN)
        caller, everybody = current(), only_uid() is None
        users = sorted({user for user, _ in hours} | {job.user for job in jobs})
        projects = sorted(({project for _, project in hours} | {job.project for job in jobs}) - {""})
        if caller is not None and not everybody:
            users, projects = [caller.name], []
        rows = [self._row(name, False, hours, jobs) for name in users]
        rows += [self._row(name, True, hours, jobs) for name in projects]
        weighed = bool(self._site.board.settings.shares)
        return SharesView(
            days=LATELY.days, weighed=weighed, gpu_hours=sum(hours.values()), shares=tuple(rows)
        )

    def _row(
        self, name: str, project: bool, hours: Mapping[tuple[str, str], float], jobs: list[JobRecord]
    ) -> ShareView:
        settings = self._site.board.settings
        theirs = [job for job in jobs if (job.project if project else job.user) == name]
        limit = settings.limits.of_project(name) if project else settings.limits.of_user(name)
        used = sum(each for key, each in hours.items() if key[project] == name)
        weight = settings.shares.get(name, 1.0)
        running = [job for job in theirs if job.state is JobState.RUNNING]
        return ShareView(
            name=name,
            project=project,
            weight=weight,
            gpu_hours=used,
            weighted_gpu_hours=used / weight,
            running=len(running),
            waiting=sum(job.state in WAITING for job in theirs),
            gpus=sum(job.gpus for job in running),
            limit=_limit_view(limit),
        )


def routes(api: "FastAPI", service: "Service") -> None:
    """Adds `shares` to the interface."""
    found = Shares(service)

    @api.get("/api/v1/shares")
    def shares() -> SharesView:
        return found.view()


def _limit_view(limit: LimitTable) -> LimitView:
    return LimitView(running=limit.running, waiting=limit.waiting, gpus=limit.gpus, priority=limit.priority)
