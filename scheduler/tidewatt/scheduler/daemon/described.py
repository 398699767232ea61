"""The interface's own description (OpenAPI 3.1): who may ask, and how every refusal looks."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tidewatt.scheduler.daemon.asgi import PROBLEM
from tidewatt.scheduler.daemon.scopes import HEALTH, needed
from tidewatt.scheduler.schemas import Problem

TEXT = """Tidewatt runs training when and where electricity is clean. Times are RFC 3339 with a zone, numbers
carry their units in their names, and every refusal is a problem (RFC 9457) that says what to do next.

Over TCP each request carries `Authorization: Bearer TOKEN`; `tidewatt token create` makes one. A token of the
scope `read` looks, `submit` submits and changes its user's own jobs, `operate` does what operators do."""

PROBLEMS = {
    "400": "The request cannot be read.",
    "401": "No token, or one that is wrong, revoked or over.",
    "403": "The token's scope does not reach so far, or the request comes from another site's page.",
    "404": "There is no such path.",
    "409": "Sound, but it cannot be granted now: the detail says why.",
    "413": "The request is too long.",
    "421": "The daemon does not answer to that name.",
    "422": "The request has to be changed: the detail says what.",
    "429": "Too many wrong tokens from here: `Retry-After` says when to try again.",
    "500": "The daemon failed; its log says why.",
}
TAGS = (
    ("jobs", "Jobs: submit, look at, change, pause, cancel."),
    ("plans", "Decisions without a job."),
    ("grid", "Carbon intensity, seen and ahead."),
    ("regions", "Where jobs may run, and what operators decided about it."),
    ("policies", "Who may run what where."),
    ("reports", "What jobs used and saved, receipts and bundles of proof."),
    ("events", "The ledger as it grows."),
    ("operators", "Limits, shares, budgets, what was decided and undoing it, purges, the audit log."),
    ("access", "Tokens and sign-in codes."),
    ("daemon", "The daemon itself."),
)
_BY_PATH = (
    ("/api/v1/jobs", "jobs"),
    ("/api/v1/plan", "plans"),
    ("/api/v1/rehearse", "plans"),
    ("/api/v1/forecast", "grid"),
    ("/api/v1/observed", "grid"),
    ("/api/v1/prices", "grid"),
    ("/api/v1/regions", "regions"),
    ("/api/v1/drains", "regions"),
    ("/api/v1/shifting", "regions"),
    ("/api/v1/policy", "policies"),
)
_REPORTS = ("report", "receipts", "costs", "metrics", "hours", "bundle", "ledger")
_OPERATORS = ("budgets", "shares", "decisions", "purge", "backup")


def describe(api: FastAPI) -> None:
    """Has the interface describe itself at /api/v1/openapi.json."""

    def described() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _completed(get_openapi(
                title="Tidewatt", version=api.version, description=TEXT, routes=api.routes,
                tags=[{"name": name, "description": text} for name, text in TAGS],
            ))  # fmt: skip
        return api.openapi_schema

    api.openapi = described  # type: ignore[method-assign] # as FastAPI's own pages do it


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    parts = found.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    named = {f"Problem{status}": _problem(int(status), text) for status, text in PROBLEMS.items()}
    parts["responses"] = named
    for path, verbs in found["paths"].items():
        for verb, operation in verbs.items():
            _complete(path, verb, operation)
    return found


def _complete(path: str, verb: str, operation: dict[str, Any]) -> None:
    open_to_all = path == HEALTH
    operation["security"] = [] if open_to_all else [{"token": []}]
    operation.setdefault("tags", [_tag(path)])
    scope = "" if open_to_all else f"Scope: `{needed(verb.upper(), path)}`."
    operation["description"] = "\n\n".join(filter(None, (operation.get("description", ""), scope)))
    for status in PROBLEMS:
        operation["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}


def _problem(status: int, text: str) -> dict[str, Any]:
    example = {"type": "about:blank", "title": "refused", "status": status, "detail": text, "exit_code": 1}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {PROBLEM: {"schema": schema, "example": example}}}


def _tag(path: str) -> str:
    part = path.removeprefix("/api/v1/").partition("/")[0]
    if part in _REPORTS:
        return "reports"
    if part in _OPERATORS:
        return "operators"
    return next((tag for start, tag in _BY_PATH if path.startswith(start)), "daemon")
