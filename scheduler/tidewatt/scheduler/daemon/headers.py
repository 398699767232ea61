"""Headers of every answer over TCP: a browser is told to run nothing but ours and to keep nothing."""

from collections.abc import MutableMapping
from typing import Any

CSP = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
STRICT = {
    b"content-security-policy": CSP.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
}
_KEPT = b"public, max-age=3600"
_PRIVATE = b"no-store"
_TLS_ONLY = b"max-age=31536000"


def stricter(message: MutableMapping[str, Any], path: str, *, secure: bool) -> None:
    """Adds them to the start of an answer; what a route says of itself stays, but for what is strict."""
    headers = [each for each in message.get("headers", ()) if each[0].lower() not in STRICT]
    said = {name.lower() for name, _ in headers}
    headers += STRICT.items()
    if b"cache-control" not in said:
        headers.append((b"cache-control", _KEPT if path.startswith("/static/") else _PRIVATE))
    if secure:
        headers.append((b"strict-transport-security", _TLS_ONLY))
    message["headers"] = headers
