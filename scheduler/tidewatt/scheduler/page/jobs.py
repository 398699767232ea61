"""All jobs in pages, one job with its plan, power, output and receipt, and what may be done to it."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.page.curves import bars, curve, picture
from tidewatt.scheduler.page.desk import Desk
from tidewatt.scheduler.page.routing import VisitorOf, back
from tidewatt.scheduler.page.templating import screen
from tidewatt.scheduler.schemas import ArrayView, JobView

PER_PAGE = 50
STATES = ("running", "paused", "waiting", "held", "done", "failed", "cancelled")
VERBS = {
    "waiting": ("start", "hold", "cancel"),
    "held": ("release", "cancel"),
    "running": ("pause", "cancel"),
    "paused": ("resume", "cancel"),
}
ACTS = frozenset(verb for verbs in VERBS.values() for verb in verbs)


def routes(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    """Adds the list, the screen of a job and its verbs."""

    @pages.get("/jobs")
    def listed(request: Request, state: str = "", before: int | None = None) -> HTMLResponse:
        states = (state,) if state else ()
        if state and state not in STATES:
            raise BadInput(f"there is no job state {state!r}: choose from {', '.join(STATES)}")
        found = desk.jobs(states, before, PER_PAGE + 1)
        following = found[PER_PAGE - 1].id if len(found) > PER_PAGE else None
        values: dict[str, Any] = {
            "jobs": found[:PER_PAGE],
            "state": state,
            "states": STATES,
            "before": before,
        }
        return screen("jobs.html", visitor_of(request), here="jobs", following=following, **values)

    @pages.get("/jobs/{key}")
    def one(request: Request, key: str) -> HTMLResponse:
        job = desk.job(key)
        if isinstance(job, ArrayView):
            return screen("array.html", visitor_of(request), here="jobs", array=job)
        return screen("job.html", visitor_of(request), here="jobs", **_contents(desk, job))

    @pages.get("/page/jobs/{key}/live")
    def live(request: Request, key: str) -> HTMLResponse:
        job = _single(desk, key)
        answer = screen("job_live.html", visitor_of(request), **_contents(desk, job))
        if job.state not in VERBS:
            answer.headers["HX-Refresh"] = "true"  # it has ended: the whole screen tells how
        return answer

    @pages.get("/page/jobs/{key}/log")
    def log(request: Request, key: str) -> HTMLResponse:
        job = _single(desk, key)
        return screen("job_log.html", visitor_of(request), job=job, tail=desk.tail(job))

    @pages.get("/page/jobs/{key}/power.json")
    def power(key: str) -> dict[str, Any]:
        found = desk.power(_single(desk, key))
        starts = [each / 1000 for each in found.start_ms]
        return {"start": starts, "watts": found.watts, "how": found.how, "latest": found.latest_w}

    @pages.get("/page/jobs/{key}/plan.json")
    def plan(key: str) -> dict[str, Any]:
        job = _single(desk, key)
        return plan_picture(desk, job)

    @pages.post("/jobs/{key}/{verb}")
    def act(key: str, verb: str) -> Response:
        if verb not in ACTS:
            raise BadInput(f"a job cannot be told to {verb!r} here")
        desk.act(key, verb)
        return back(f"/jobs/{key}")


def plan_picture(desk: Desk, job: JobView) -> dict[str, Any]:
    """The grid around a job's plan or run, with its stretches."""
    now, status = desk.now(), desk.status()
    region = next((each for each in status.regions if each.name == _region_of(job)), None)
    lanes = bars([job], now)
    if region is None or not region.zone:
        return picture([], lanes, now)
    first = min([each.start for each in lanes] + [now])
    last = max([each.end for each in lanes] + ([job.finish_by] if job.finish_by else []) + [now])
    signal = job.plan.signal if job.plan is not None and job.plan.signal else region.signal
    signal = signal if signal in ("average", "marginal") else "average"
    earlier = min(max(now - first + timedelta(hours=2), timedelta(hours=3)), timedelta(days=7))
    hours = min(max((last - now) / timedelta(hours=1) + 4, 12.0), 24.0 * 7)
    return picture([curve(desk, region.zone, signal, region.name, now, hours, earlier)], lanes, now)


def _region_of(job: JobView) -> str:
    if job.plan is not None:
        return job.plan.region
    return job.attempts[-1].region if job.attempts else ""


def _single(desk: Desk, key: str) -> JobView:
    job = desk.job(key)
    if isinstance(job, ArrayView):
        raise BadInput(f"{key} is an array: name one of its tasks")
    return job


def _contents(desk: Desk, job: JobView) -> dict[str, Any]:
    return {
        "job": job,
        "verbs": VERBS.get(job.state, ()) if job.pausable or job.state != "running" else ("pause", "cancel"),
        "tail": desk.tail(job),
        "power": desk.power(job),
        "bars": bars([job], desk.now()),
        "open": job.state in VERBS,
    }
