"""The chain as it travels in a bundle: some events whole, some in part, of others digests only."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidewatt.scheduler.proof.canonical import canonical, digest, parsed
from tidewatt.scheduler.proof.chain import Event, Tip, label, link, seal

_SEALED_AT_ONCE = 500
_FIELDS = ("seq", "time_ms", "kind", "job_id", "attempt_id", "reason", "payload")
_LABEL = {"seq", "time_ms", "kind", "job_id", "attempt_id", "body"}
_SHOWN = {*_FIELDS, "hidden"}
REASON = ""  # the name under which the digest of a reason that is kept back stands


@dataclass(frozen=True, slots=True)
class Shown:
    """How much of an event is shown: the fields of its payload (None: all), and its reason."""

    fields: frozenset[str] | None = None
    reason: bool = True


WHOLE = Shown()
LABEL = Shown(frozenset(), reason=False)  # when, what, of which job
Choice = Callable[[Event], Shown | None]
"""What of an event is shown; None for its digest only."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A stretch of a ledger: what it was chained to, the events that are shown, and its end."""

    before: Tip
    events: tuple[dict[str, Any], ...]
    end: Tip
    sealed: int  # events of which only a digest is there
    hashes: Mapping[int, str]  # by number, of all events


def written(events: Iterable[Event], before: Tip, choice: Choice) -> bytes:
    """The lines of a chain; every event must be there."""
    lines = [canonical({"after_seq": before.seq, "after_hash": before.hash})]
    sealed: list[str] = []
    for event in events:
        shown = choice(event)
        if shown is None:
            sealed.append(seal(event))
        if sealed and (shown is not None or len(sealed) == _SEALED_AT_ONCE):
            lines.append(canonical({"sealed": sealed}))
            sealed = []
        if shown is not None:
            lines.append(canonical(_told(event, shown)))
    if sealed:
        lines.append(canonical({"sealed": sealed}))
    return b"\n".join(lines) + b"\n"


def _told(event: Event, shown: Shown) -> dict[str, Any]:
    if shown == LABEL:
        return label(event)
    told = {name: event[name] for name in _FIELDS} | {"job_id": event["job_id"] or 0}
    payload = event["payload"]
    kept = payload if shown.fields is None else {k: v for k, v in payload.items() if k in shown.fields}
    hidden = {name: digest(value) for name, value in payload.items() if name not in kept}
    hidden |= event.get("hidden") or {}  # purged
    if REASON in hidden:
        del told["reason"]
    elif not shown.reason:
        del told["reason"]
        hidden[REASON] = digest(event["reason"])
    return told | {"payload": kept} | ({"hidden": hidden} if hidden else {})


def read(content: bytes) -> Chain:
    """The chain in a bundle; hashes follow from it, and are to be compared with those of signed heads.

    Raises:
        ValueError: where a line is not what a bundle writes.
    """
    first, *rest = content.splitlines()
    opening = parsed(first)
    before = tip = Tip(_whole(opening["after_seq"]), str(opening["after_hash"]))
    events: list[dict[str, Any]] = []
    hashes = {before.seq: before.hash}
    sealed = 0
    for line in rest:
        form = parsed(line)
        for found in _digests(form, events):
            tip = Tip(tip.seq + 1, link(tip.hash, found))
            hashes[tip.seq] = tip.hash
        if "sealed" in form:
            sealed += len(form["sealed"])
        elif form["seq"] != tip.seq:
            raise ValueError(f"event {form['seq']} stands where event {tip.seq} belongs")
    return Chain(before, tuple(events), tip, sealed, hashes)


def _digests(form: dict[str, Any], events: list[dict[str, Any]]) -> Iterator[str]:
    """The digest of each event of a line; those that are shown are added to `events`."""
    if set(form) == {"sealed"}:
        yield from form["sealed"]
        return
    events.append(form)
    if set(form) == _LABEL:
        yield digest(form)
        return
    hidden = form.get("hidden", {})
    needed = {*_FIELDS} - ({"reason"} if REASON in hidden else set())
    if not needed <= set(form) <= _SHOWN or (REASON in hidden and "reason" in form):
        raise ValueError("an event lacks a field, or has one too many")
    if set(hidden) & set(form["payload"]):
        raise ValueError("a field of an event is both shown and kept back")
    yield seal(form)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no number of an event")
    return value
