"""Receipts of ended jobs, in pages, and the same as metrics."""

from collections.abc import Iterator
from itertools import chain

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.access_schema import ReceiptsPage
from tidewatt.scheduler.daemon import lookback
from tidewatt.scheduler.daemon.callers import sees
from tidewatt.scheduler.daemon.overview import Overview
from tidewatt.scheduler.daemon.paging import Limit, Number, link
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.views import job_views
from tidewatt.scheduler.exports import openmetrics
from tidewatt.scheduler.schemas import JobView
from tidewatt.scheduler.store.records import JobRecord

MOST = 1_000  # receipts of one page
DAY_S = 86_400.0
LOOKED_AT = 500  # jobs read from the store at a time


class Receipts:
    """Ended jobs that have an account, newest first."""

    def __init__(self, service: Service) -> None:
        self._site = service.site
        self._store = service.store

    def page(
        self,
        since_s: float | None = None,
        project: str | None = None,
        user: str | None = None,
        before: int | None = None,
        limit: int = MOST,
    ) -> tuple[list[JobView], int | None]:
        """At most `limit` jobs with ids below `before`, and the next `before`, None where there are no more.

        `since_s`: those that ended within so many seconds. "" as project is that of jobs that have none.
        """
        since = lookback.since(since_s, self._site.clock.now())
        since_ms = 0 if since is None else time_ms(since)
        found: list[JobRecord] = []
        for job in chain.from_iterable(self._store.ended(before, LOOKED_AT)):
            if (
                sees(job)
                and job.settlement is not None
                and (job.ended_ms or 0) >= since_ms
                and project in (None, job.project)
                and user in (None, job.user)
            ):
                found.append(job)
            if len(found) > limit:
                break
        more = len(found) > limit
        return job_views(self._store, found[:limit]), found[limit - 1].id if more else None

    def every(self, since_s: float) -> Iterator[JobView]:
        """All receipts of the last seconds."""
        before: int | None = None
        while True:
            jobs, before = self.page(since_s, before=before)
            yield from jobs
            if before is None:
                return


def routes(api: FastAPI, service: Service, overview: Overview) -> None:
    """Adds `receipts` and `metrics` to the interface."""
    receipts = Receipts(service)

    @api.get("/api/v1/receipts")
    def page(
        since_s: float | None = None,
        project: str | None = None,
        user: str | None = None,
        before: Number | None = None,
        limit: Limit = MOST,
    ) -> ReceiptsPage:
        """Receipts of ended jobs, newest first, in pages."""
        found, further = receipts.page(since_s, project, user, before, limit)
        asked = {"since_s": since_s, "project": project, "user": user, "limit": limit}
        return ReceiptsPage(receipts=tuple(found), before=further, next=link("receipts", asked, further))

    @api.get("/api/v1/metrics", response_class=PlainTextResponse)
    def metrics(request: Request, since_s: float = DAY_S) -> PlainTextResponse:
        """Receipts as metrics, in Prometheus' text format or as OpenMetrics."""
        wants_open = openmetrics.MEDIA_TYPE in request.headers.get("accept", "")
        jobs = list(receipts.every(since_s))
        text = openmetrics.text(jobs, overview.report(since_s, "none"), openmetrics=wants_open)
        return PlainTextResponse(text, media_type=openmetrics.content_type(wants_open))
