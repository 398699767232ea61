"""The shapes of ASGI, by which layers of the interface are put around each other."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.responses import JSONResponse

from tidewatt.scheduler.schemas import Problem

PROBLEM = "application/problem+json"
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def refusal(problem: Problem, **headers: str) -> JSONResponse:
    """A problem as an answer (RFC 9457); `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse(problem.model_dump(), problem.status, named, media_type=PROBLEM)
