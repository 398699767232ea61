"""Whether the daemon is well, for whoever asks; and its own figures for Prometheus."""

import importlib.metadata
import time
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from tidewatt.scheduler.access_schema import HealthView
from tidewatt.scheduler.daemon.callers import only_uid
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.exports import openmetrics
from tidewatt.scheduler.exports.openmetrics import Family

SLOW_S = 60.0  # without a round


def routes(
    api: FastAPI, service: Service, turned_at: Callable[[], float], streams: Callable[[], int]
) -> None:
    """Adds `health` and `/metrics`; `turned_at` is when the newest round was, on the monotonic clock."""
    started = time.monotonic()
    version = importlib.metadata.version("tidewatt")

    @api.get("/api/v1/health", tags=["daemon"])
    def health() -> HealthView:
        """Whether the daemon answers and its rounds turn. The only path that needs no token."""
        late = time.monotonic() - max(turned_at(), started) > SLOW_S
        return HealthView(status="slow" if late else "ok", version=version)

    @api.get("/metrics", tags=["daemon"], response_class=PlainTextResponse)
    def metrics(request: Request) -> PlainTextResponse:
        """The daemon's own figures, in Prometheus' text format. Receipts: `/api/v1/metrics`."""
        wants_open = openmetrics.MEDIA_TYPE in request.headers.get("accept", "")
        now = time.monotonic()
        info = Family("tidewatt_daemon_info", "The daemon's version.")
        info.add(1, version=version)
        up = Family("tidewatt_daemon_up_seconds", "Time since the daemon started.")
        up.add(now - started)
        turned = Family("tidewatt_daemon_round_age_seconds", "Time since the newest round began.")
        turned.add(now - turned_at() if turned_at() else None)
        jobs = Family("tidewatt_jobs", "Jobs in the store, by state; those of whoever asks.")
        for state, count in sorted(service.store.count(only_uid()).items()):
            jobs.add(count, state=state)
        live = Family("tidewatt_attempts", "Attempts that occupy a region now, by region.")
        regions = {region.name: 0 for region in service.site.regions}
        for attempt in service.store.live_attempts():
            regions[attempt.region] = regions.get(attempt.region, 0) + 1
        for name, count in sorted(regions.items()):
            live.add(count, region=name)
        open_streams = Family("tidewatt_event_streams", "Event streams that are open.")
        open_streams.add(streams())
        events = Family("tidewatt_ledger_events_total", "The number of the newest event of the ledger.")
        events.add(service.store.newest())
        text = openmetrics.rendered([info, up, turned, jobs, live, open_streams, events], wants_open)
        return PlainTextResponse(text, media_type=openmetrics.content_type(wants_open))
