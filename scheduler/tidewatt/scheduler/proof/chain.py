"""The chain over all events: whoever changes, removes or moves one changes every hash after it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.proof.canonical import digest

START = "0" * 64  # what the first event's hash is chained to
Event = Mapping[str, Any]
"""seq, time_ms, kind, job_id (None: of no job), attempt_id, reason, payload; its hash where it is kept."""


class ChainBroken(SchedulerError):  # noqa: N818 - it reads as what it says
    """The events are not those that were written."""


@dataclass(frozen=True, slots=True)
class Tip:
    """The last event of a chain and the hash that stands for everything up to it."""

    seq: int
    hash: str


EMPTY = Tip(0, START)


def label(event: Event) -> dict[str, Any]:
    """What is told of an event without its content: when, what, of which job, and the digest of its content.

    `body` is a digest over those of its reason and of each field of its payload, so that some fields can be
    shown and others kept back: their digests are then in `hidden`, by name ("" for the reason).
    """
    hidden: Mapping[str, str] = event.get("hidden") or {}
    fields = {name: digest(value) for name, value in event["payload"].items()}
    reason = hidden[""] if "" in hidden else digest(event["reason"])
    return {
        "seq": event["seq"],
        "time_ms": event["time_ms"],
        "kind": event["kind"],
        "job_id": event["job_id"] or 0,
        "attempt_id": event["attempt_id"],
        "body": digest({"reason": reason, "payload": fields | {k: v for k, v in hidden.items() if k}}),
    }


def seal(event: Event) -> str:
    """The digest of an event: of its label, in which the digest of its content is."""
    return digest(label(event))


def link(previous: str, sealed: str) -> str:
    """The hash of an event: SHA-256 over the bytes of the hash before it and of its own digest."""
    return hashlib.sha256(bytes.fromhex(previous) + bytes.fromhex(sealed)).hexdigest()


def follow(events: Iterable[Event], tip: Tip = EMPTY) -> Tip:
    """The tip after these events, each of which must carry the hash that the chain gives it.

    Raises:
        ChainBroken: at the first event that was changed, removed, added or moved.
    """
    for event in events:
        seq = event["seq"]
        if seq != tip.seq + 1:
            raise ChainBroken(_missing(tip.seq + 1, seq))
        found = link(tip.hash, seal(event))
        if found != event["hash"]:
            raise ChainBroken(
                f"the chain of events is broken at event {seq}: that event or one before it was changed"
            )
        tip = Tip(seq, found)
    return tip


def _missing(expected: int, found: int) -> str:
    if found < expected:
        return f"the chain of events is broken: event {found} stands where event {expected} belongs"
    which = f"event {expected} is" if found == expected + 1 else f"events {expected} to {found - 1} are"
    return f"the chain of events is broken: {which} missing"
