"""How much a request asks for, by its method and path alone: known before any route is looked up."""

import re
from typing import Literal

Scope = Literal["read", "submit", "operate"]
SCOPES: tuple[Scope, ...] = ("read", "submit", "operate")  # each includes those before it
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
HEALTH = "/api/v1/health"
_OPERATORS = re.compile(r"/api/v1/(audit|tokens|decisions|purge|backup)(/|\Z)")
_ASKS = re.compile(r"/(api/v1/(plan|rehearse|policy/explain)|plan-preview|logout)\Z")
_SUBMITS = re.compile(r"/(api/v1/jobs|jobs|submit)(/|\Z)")
_OPEN = re.compile(r"/(login|static/.*|favicon\.ico)\Z")


def needed(method: str, path: str) -> Scope:
    """The scope that a request takes; whatever is not known here takes the widest."""
    if _OPERATORS.match(path):
        return "operate"
    if method in SAFE or (method == "POST" and _ASKS.match(path)):
        return "read"
    return "submit" if _SUBMITS.match(path) else "operate"


def includes(scope: str, wanted: Scope) -> bool:
    """Whether a token of one scope may do what takes another."""
    return scope in SCOPES and SCOPES.index(scope) >= SCOPES.index(wanted)


def is_open(method: str, path: str) -> bool:
    """Whether anybody may ask: for health, and for what it takes to sign in."""
    if path == HEALTH:
        return method in SAFE
    return bool(_OPEN.match(path)) and (method in SAFE or (method == "POST" and path == "/login"))
