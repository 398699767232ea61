"""Values as they come over the wire, each checked: records, times, numbers, and what a refusal says."""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.reply import Reply
from tidewatt.forecasting.feeds.secret import Secret, scrub

Record = Mapping[str, object]
SAID_LENGTH = 160


def record(value: object, what: str) -> Record:
    """`value`, which must be a JSON object; `what` names it in the FeedError otherwise raised."""
    if not isinstance(value, dict):
        raise FeedError(f"{what} is not an object but {_shape(value)}: the service's format has changed")
    return value


def records(value: object, what: str) -> list[Record]:
    """`value`, which must be a JSON array of objects."""
    if not isinstance(value, list):
        raise FeedError(f"{what} is not a list but {_shape(value)}: the service's format has changed")
    return [record(each, f"an entry of {what}") for each in value]


def moment(value: object, what: str) -> datetime:
    """The UTC time of an ISO 8601 text that says its zone; anything else is refused, never guessed."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
        if parsed is not None and parsed.tzinfo is not None:
            return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        parsed = None
    if parsed is None:
        raise FeedError(f"{what} is not a time but {_shape(value)}")
    raise FeedError(f"{what} has no time zone ({words(value)}): refused, since it could mean any")


def number(value: object, what: str) -> float | None:
    """A finite number, or None for null."""
    if value is None:
        return None
    try:
        parsed = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        parsed = math.inf
    if not math.isfinite(parsed):
        raise FeedError(f"{what} is not a number but {_shape(value)}: the service's format has changed")
    return parsed


def words(value: object) -> str:
    """A text of the service as one short printable line, which cannot steer a terminal or flood a log."""
    text = " ".join(str(value).split())
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= SAID_LENGTH else plain[: SAID_LENGTH - 3] + "..."


def refusal(reply: Reply) -> Record | None:
    """The JSON object of an error's body; None where it is none, as a proxy's page."""
    try:
        body = json.loads(reply.text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def check_page(reply: Reply, name: str) -> None:
    """Refuses a 403 that is no JSON object: what a proxy or a portal says is no word on the key."""
    if reply.status == 403 and refusal(reply) is None:
        raise FeedError(f"{name} answered 403 with a page, as proxies and portals do", transient=True)


def said(reply: Reply, secrets: Iterable[Secret] = ()) -> str:
    """What an error tells people, whichever of the usual fields holds it, without these credentials."""
    body = refusal(reply) or {}
    error = body.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    first = body.get("message") or body.get("msg") or inner or body.get("detail")
    return words(scrub(str(first), secrets)) if first else f"status {reply.status}"


def _shape(value: object) -> str:
    """What stands there instead, for people."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return repr(words(value)[:40])
