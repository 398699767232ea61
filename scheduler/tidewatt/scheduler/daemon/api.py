"""The daemon's HTTP interface: a Unix socket for its own user; TCP only where asked for, with a token."""

import hashlib
import hmac
import os
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from tidewatt.backends.backend import BackendError
from tidewatt.forecasting.errors import ForecastError
from tidewatt.scheduler.daemon import (
    budgeting,
    bundles,
    drains,
    hours,
    interrupting,
    observing,
    outputs,
    policy_views,
    receipts,
    region_views,
    rehearsing,
    sharing,
    shifting,
)
from tidewatt.scheduler.daemon.callers import root_only
from tidewatt.scheduler.daemon.changing import Changes
from tidewatt.scheduler.daemon.overview import Overview
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.request_schema import (
    PlanReply,
    PlanRequest,
    RerunRequest,
    SubmitReply,
    SubmitRequest,
    UpdateRequest,
)
from tidewatt.scheduler.schemas import ArrayView, JobView, Problem
from tidewatt.scheduler.status_schema import ForecastView, StatusView

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
log = structlog.get_logger()
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class PeerCheckedProtocol(H11Protocol):
    """HTTP on a Unix socket, for processes of the daemon's own user and of root; others are hung up on."""

    def connection_made(self, transport: Any) -> None:
        """Reads the peer's uid from the kernel before the first byte."""
        connection: socket.socket = transport.get_extra_info("socket")
        size = struct.calcsize("3i")
        _pid, uid, _gid = struct.unpack(
            "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        )
        super().connection_made(transport)
        if uid not in {os.getuid(), 0}:
            transport.abort()


class TokenChecked:
    """Lets requests pass that carry the token and name a loopback host; checked before routing."""

    def __init__(self, inner: Asgi, token_sha256: str, port: int) -> None:
        self._inner = inner
        self._token_sha256 = token_sha256
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401 or 421 itself where the request may not pass."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            token = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
            problem = None
            if headers.get(b"host", b"") not in self._hosts or b"origin" in headers:
                problem = Problem(
                    title="wrong host", status=421, detail="this daemon answers loopback addresses only"
                )
            elif not hmac.compare_digest(hashlib.sha256(token).hexdigest(), self._token_sha256):
                problem = Problem(
                    title="no access", status=401, detail="send the token that `tidewatt up` printed"
                )
            if problem is not None:
                await _answer(problem)(scope, receive, send)
                return
        await self._inner(scope, receive, send)


def app(service: Service, overview: Overview, shutdown: Callable[[], None]) -> FastAPI:
    """The routes; every answer is a message of `schemas`, every refusal a `Problem`."""
    api = FastAPI(title="Tidewatt", version="1", docs_url=None, redoc_url=None)
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
    outputs.routes(api, service)
    sharing.routes(api, service)
    drains.routes(api, service)
    shifting.routes(api, service)
    region_views.routes(api, service)
    rehearsing.routes(api, service)
    policy_views.routes(api, service)

    @api.post("/api/v1/shutdown")
    def stop() -> dict[str, str]:
        root_only("end the shared daemon")
        shutdown()
        return {}

    return api


def _looking(api: FastAPI, overview: Overview) -> None:
    @api.get("/api/v1/status")
    def status() -> StatusView:
        return overview.status()

    @api.get("/api/v1/jobs")
    def jobs(
        state: str = "", before: int | None = None, limit: int = 100, *, tasks: bool = True
    ) -> dict[str, list[JobView]]:
        states = tuple(filter(None, state.split(",")))
        return {"jobs": overview.jobs(states, before, min(max(limit, 1), 1000), tasks=tasks)}

    @api.get("/api/v1/forecast")
    def forecast(zone: str = "", signal: str = "", hours: float = 24) -> ForecastView:
        return overview.forecast(zone, signal, hours)

    @api.get("/api/v1/report")
    def report(since_s: float | None = None, by: str = "", baseline: str = "") -> Any:
        return overview.report(since_s, by, baseline)


def _asking(api: FastAPI, service: Service) -> None:
    @api.get("/api/v1/jobs/{key}")
    def job(key: str) -> JobView | ArrayView:
        return service.view(key)

    @api.post("/api/v1/plan")
    def plan(request: PlanRequest) -> PlanReply:
        return service.plan(request)


def _changing(api: FastAPI, service: Service, changes: Changes) -> None:
    @api.post("/api/v1/jobs")
    def submit(request: SubmitRequest) -> SubmitReply:
        return service.submit(request)

    @api.patch("/api/v1/jobs/{key}")
    def update(key: str, request: UpdateRequest) -> JobView | ArrayView:
        return changes.update(key, request)

    @api.post("/api/v1/jobs/{key}/rerun")
    def rerun(key: str, request: RerunRequest) -> SubmitReply:
        return service.rerun(key, request)

    @api.post("/api/v1/jobs/{key}/{verb}")
    def act(key: str, verb: Literal["cancel", "hold", "release", "start"]) -> JobView | ArrayView:
        return {
            "cancel": changes.cancel,
            "hold": changes.hold,
            "release": changes.release,
            "start": changes.start,
        }[verb](key)


def _refusals(api: FastAPI) -> None:
    @api.exception_handler(SchedulerError)
    def refused(_request: Request, error: SchedulerError) -> JSONResponse:
        status = 422 if error.exit_code == 2 else 409
        return _answer(Problem(title="refused", status=status, detail=str(error), exit_code=error.exit_code))

    @api.exception_handler(BackendError)
    def failed_there(_request: Request, error: BackendError) -> JSONResponse:
        return _answer(Problem(title="refused", status=409, detail=str(error)))

    @api.exception_handler(ForecastError)
    def unknown(_request: Request, error: ForecastError) -> JSONResponse:
        return _answer(Problem(title="refused", status=422, detail=str(error), exit_code=2))

    @api.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> JSONResponse:
        log.error("request.failed", path=request.url.path, exc_info=error)
        detail = f"the daemon could not do this ({type(error).__name__}): its log says why"
        return _answer(Problem(title="failed", status=500, detail=detail))

    @api.exception_handler(RequestValidationError)
    def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return _answer(Problem(title="bad input", status=422, detail=f"{where}: {first['msg']}", exit_code=2))


def _answer(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.model_dump(), problem.status, media_type="application/problem+json")
