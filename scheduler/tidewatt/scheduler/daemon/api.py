"""The daemon's HTTP interface: its routes, and how refusals look. Its doors are `doors` and `access`."""

from collections.abc import Callable
from typing import Annotated

import structlog
from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tidewatt.backends.backend import BackendError
from tidewatt.forecasting.errors import ForecastError
from tidewatt.scheduler.access_schema import JobsPage
from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.daemon import (
    auditing,
    budgeting,
    bundles,
    costing,
    described,
    drains,
    front_desk,
    health,
    hours,
    interrupting,
    keeping,
    observing,
    outputs,
    policy_views,
    pricing,
    purging,
    receipts,
    region_views,
    rehearsing,
    ruling,
    sharing,
    shifting,
    signing_in,
    streaming,
    token_views,
    trying_views,
    undoing,
)
from tidewatt.scheduler.daemon.access import Keys
from tidewatt.scheduler.daemon.asgi import refusal
from tidewatt.scheduler.daemon.callers import root_only
from tidewatt.scheduler.daemon.changing import Changes
from tidewatt.scheduler.daemon.idempotency import Idempotency
from tidewatt.scheduler.daemon.overview import Overview
from tidewatt.scheduler.daemon.paging import Limit, Number, link
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.streaming import Streams
from tidewatt.scheduler.daemon.strictness import StrictRoute, allowed
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.request_schema import (
    PlanReply,
    PlanRequest,
    RerunRequest,
    SubmitReply,
    SubmitRequest,
    UpdateRequest,
)
from tidewatt.scheduler.schemas import ArrayView, JobView, Message, Problem
from tidewatt.scheduler.status_schema import ForecastView, StatusView

log = structlog.get_logger()
TITLES = {404: "not found", 405: "not allowed here", 400: "bad request"}


class Done(Message):
    """It was done; there is nothing to tell."""


def app(
    service: Service,
    overview: Overview,
    keys: Keys,
    streams: Streams,
    turned_at: Callable[[], float],
    shutdown: Callable[[], None],
) -> FastAPI:
    """The routes; every answer is a message of `schemas`, every refusal a `Problem`."""
    api = FastAPI(
        title="Tidewatt",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,
    )
    api.router.route_class = StrictRoute
    api.state.keys = keys
    described.describe(api)
    _refusals(api)
    _looking(api, overview)
    _asking(api, service)
    changes = Changes(service)
    interrupting.routes(api, service, changes)  # before the verbs without a body
    _changing(api, service, changes)
    receipts.routes(api, service, overview)
    observing.routes(api, service)
    bundles.routes(api, service)
    budgeting.routes(api, service)
    hours.routes(api, service)
    costing.routes(api, service)
    pricing.routes(api, service)
    outputs.routes(api, service)
    sharing.routes(api, service)
    drains.routes(api, service)
    shifting.routes(api, service)
    region_views.routes(api, service)
    rehearsing.routes(api, service)
    policy_views.routes(api, service)
    ruling.routes(api, service)
    trying_views.routes(api, service)
    undoing.routes(api, service)
    purging.routes(api, service)
    keeping.routes(api, service)
    token_views.routes(api, keys.tokens, keys.sessions)
    signing_in.routes(api)
    auditing.routes(api, keys.audit)
    streaming.routes(api, streams)
    health.routes(api, service, turned_at, streams.__len__)
    front_desk.routes(api, service, overview, changes)

    @api.post("/api/v1/shutdown")
    def stop() -> Done:
        """Ends the daemon; running jobs go on."""
        root_only("end the shared daemon")
        shutdown()
        return Done()

    return api


def _looking(api: FastAPI, overview: Overview) -> None:
    @api.get("/api/v1/status")
    def status() -> StatusView:
        return overview.status()

    @api.get("/api/v1/jobs")
    def jobs(
        state: Annotated[str, Query(description="States, separated by commas; none: all.")] = "",
        before: Number | None = None,
        limit: Limit = 100,
        *,
        tasks: Annotated[bool, Query(description="Whether each task of an array is a line.")] = True,
        user: str | None = None,
        project: str | None = None,
    ) -> JobsPage:
        """Jobs, newest first, in pages."""
        states = tuple(filter(None, state.split(",")))
        found = overview.jobs(states, before, limit, tasks=tasks, user=user, project=project)
        further = found[-1].id if len(found) == limit else None
        asked = {"state": state, "limit": limit, "user": user, "project": project}
        asked |= {} if tasks else {"tasks": "false"}
        return JobsPage(jobs=tuple(found), before=further, next=link("jobs", asked, further))

    @api.get("/api/v1/forecast")
    def forecast(zone: str = "", signal: str = "", hours: float = 24) -> ForecastView:
        """Carbon intensity ahead of a zone, with its quantiles and sources."""
        return overview.forecast(zone, signal, hours)

    @api.get("/api/v1/report")
    def report(since_s: float | None = None, by: str = "", baseline: str = "") -> Report:
        """What jobs that ended in the last seconds used and saved."""
        return overview.report(since_s, by, baseline)


def _asking(api: FastAPI, service: Service) -> None:
    @api.get("/api/v1/jobs/{key}")
    def job(key: str) -> JobView | ArrayView:
        return service.view(key)

    @api.post("/api/v1/plan")
    def plan(request: PlanRequest) -> PlanReply:
        return service.plan(request)


def _changing(api: FastAPI, service: Service, changes: Changes) -> None:
    keys = Idempotency(service.store)

    @api.post("/api/v1/jobs")
    def submit(
        request: SubmitRequest,
        response: Response,
        idempotency_key: Annotated[
            str | None, Header(min_length=1, max_length=255, description="The same key submits once.")
        ] = None,
    ) -> SubmitReply:
        """Takes a job in: when this is answered, it is durable and will run."""
        answer, again = keys.once(idempotency_key, request, service.submit)
        response.headers["Location"] = f"/api/v1/jobs/{answer.job.id}"
        if again:
            response.headers["Idempotency-Replayed"] = "true"
        return answer

    @api.patch("/api/v1/jobs/{key}")
    def update(key: str, request: UpdateRequest) -> JobView | ArrayView:
        return changes.update(key, request)

    @api.post("/api/v1/jobs/{key}/rerun")
    def rerun(key: str, request: RerunRequest) -> SubmitReply:
        return service.rerun(key, request)

    @api.post("/api/v1/jobs/{key}/cancel")
    def cancel(key: str) -> JobView | ArrayView:
        """Cancels a job, or all tasks of an array that have not ended."""
        return changes.cancel(key)

    @api.post("/api/v1/jobs/{key}/hold")
    def hold(key: str) -> JobView | ArrayView:
        """Keeps a waiting job from starting."""
        return changes.hold(key)

    @api.post("/api/v1/jobs/{key}/release")
    def release(key: str) -> JobView | ArrayView:
        """Lets a held job go."""
        return changes.release(key)

    @api.post("/api/v1/jobs/{key}/start")
    def start(key: str) -> JobView | ArrayView:
        """Starts a waiting job as soon as it fits, whatever the grid does."""
        return changes.start(key)


def _refusals(api: FastAPI) -> None:
    @api.exception_handler(SchedulerError)
    def refused(_request: Request, error: SchedulerError) -> JSONResponse:
        status = 422 if error.exit_code == 2 else 409
        return refusal(Problem(title="refused", status=status, detail=str(error), exit_code=error.exit_code))

    @api.exception_handler(BackendError)
    def failed_there(_request: Request, error: BackendError) -> JSONResponse:
        return refusal(Problem(title="refused", status=409, detail=str(error)))

    @api.exception_handler(ForecastError)
    def unknown(_request: Request, error: ForecastError) -> JSONResponse:
        return refusal(Problem(title="refused", status=422, detail=str(error), exit_code=2))

    @api.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> JSONResponse:
        log.error("request.failed", path=request.url.path, exc_info=error)
        detail = f"the daemon could not do this ({type(error).__name__}): its log says why"
        return refusal(Problem(title="failed", status=500, detail=detail))

    @api.exception_handler(HTTPException)
    def elsewhere(request: Request, error: HTTPException) -> JSONResponse:
        title = TITLES.get(error.status_code, "refused")
        answer = refusal(Problem(title=title, status=error.status_code, detail=str(error.detail)))
        if error.status_code == 405:
            answer.headers["Allow"] = ", ".join(allowed(api, request.scope))
        return answer

    @api.exception_handler(RequestValidationError)
    def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return refusal(Problem(title="bad input", status=422, detail=f"{where}: {first['msg']}", exit_code=2))
