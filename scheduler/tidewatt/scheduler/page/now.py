"""The first screen: the grid of each region, the queue as a timeline over it, and what is free."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tidewatt.scheduler.page.curves import BACK, MOST_LANES, OPEN, bars, curves, picture
from tidewatt.scheduler.page.desk import Desk
from tidewatt.scheduler.page.routing import VisitorOf
from tidewatt.scheduler.page.templating import screen
from tidewatt.scheduler.schemas import JobView
from tidewatt.scheduler.status_schema import StatusView

ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Room:
    """How a region's GPUs and cores are shared out now."""

    region: str
    what: str
    total: int
    ours: int
    foreign: int
    free: int


def routes(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    """Adds the screen, its pieces and its numbers."""

    @pages.get("/")
    def now(request: Request) -> HTMLResponse:
        return screen("now.html", visitor_of(request), here="now", **_contents(desk))

    @pages.get("/page/now")
    def piece(request: Request) -> HTMLResponse:
        return screen("now_piece.html", visitor_of(request), **_contents(desk))

    @pages.get("/page/room")
    def room(request: Request) -> HTMLResponse:
        return screen("now_room.html", visitor_of(request), **_contents(desk))

    @pages.get("/page/now.json")
    def numbers() -> dict[str, Any]:
        status = desk.status()
        return picture(curves(desk, status), bars(timeline(desk, status.now), status.now), status.now)


def timeline(desk: Desk, now: datetime) -> list[JobView]:
    """Jobs that run, the next that are planned, and some that ended lately."""
    waiting = [job for job in desk.jobs(OPEN, None, 200) if job.plan is not None]
    waiting.sort(key=lambda job: (job.plan.start if job.plan else now, job.id))
    since = now - BACK
    ended = [job for job in desk.jobs(ENDED, None, MOST_LANES) if (_end(job) or job.submitted) >= since]
    return [*reversed(ended[:10]), *waiting[: MOST_LANES - len(ended[:10])]]


def _end(job: JobView) -> datetime | None:
    return max((each.ended for each in job.attempts if each.ended is not None), default=None)


def rooms(status: StatusView) -> list[Room]:
    """GPUs of each region that has some, else its cores."""
    foreign = {each.gpu_uuid for each in status.foreign}
    found = []
    for region in status.regions:
        here = region.backend == "local" and region.gpus > 0
        others = min(len(foreign), region.gpus - region.gpus_free) if here and len(status.regions) == 1 else 0
        if region.gpus:
            ours = region.gpus - region.gpus_free - others
            found.append(Room(region.name, "GPU", region.gpus, ours, others, region.gpus_free))
        ours = region.cpus - region.cpus_free
        found.append(Room(region.name, "core", region.cpus, ours, 0, region.cpus_free))
    return found


def _contents(desk: Desk) -> dict[str, Any]:
    status = desk.status()
    jobs = timeline(desk, status.now)
    return {
        "status": status,
        "rooms": rooms(status),
        "bars": bars(jobs, status.now),
        "jobs": jobs,
        "counts": status.jobs,
    }
