"""What there is to tell, made of the events of the store."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.quantity import energy, mass
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.receipt_view import settlement_view
from tidewatt.scheduler.notices.table import Kind
from tidewatt.scheduler.store.records import JobRecord

TOLD_KINDS = (
    "job.running", "job.done", "job.failed", "at risk", "budget", "operator.decided", "operator.revoked",
)  # fmt: skip
ENDS = ("job.done", "job.failed")
DRAIN = "drain:"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell: to the user `uid` (None: the daemon's own), as any of `kinds`."""

    kinds: tuple[Kind, ...]
    title: str
    body: str
    uid: int | None = None
    job_id: int | None = None


def of_job(event: Mapping[str, Any], job: JobRecord, *, first_start: bool) -> Notice | None:
    """What an event says to the owner of its job; None where nothing is to be said."""
    kinds: tuple[Kind, ...]
    reason = f": {event['reason']}" if event["reason"] else ""
    match event["kind"]:
        case "job.running" if first_start:
            kinds, title, lines = ("started",), "runs", [f"It started at {_at(event['time_ms'])}{reason}."]
        case "job.done":
            late = _late(job)
            kinds, title = ("finished", "missed") if late else ("finished",), "is done"
            lines = [*late, *receipt_lines(job)]
            title += ", but late" if late else ""
        case "job.failed":
            late = _late(job)
            kinds, title = ("failed", "missed") if late else ("failed",), "failed"
            lines = [f"Why{reason or ': not known'}.", *late, *receipt_lines(job)]
        case "at risk":
            kinds, title = ("at-risk",), "is at risk"
            lines = [f"Its deadline is {_at(job.finish_by_ms)}{reason}."]
        case "budget":
            kinds, title, lines = ("budget",), "exceeds a budget", [f"{event['reason']}."]
        case _:
            return None
    return Notice(kinds, f"{_called(job)} {title}", "\n".join(lines), job.uid, job.id)


def of_site(event: Mapping[str, Any]) -> Notice | None:
    """What an event says to whoever operates the daemon."""
    decision = str(event["payload"].get("decision", ""))
    if event["kind"] == "budget":
        return Notice(("budget",), "a budget is reached", f"{event['reason']}.")
    if not decision.startswith(DRAIN):
        return None
    why = event["payload"].get("reason")
    body = f"{event['reason']}, by {event['payload'].get('user', 'somebody')}{f': {why}' if why else ''}."
    return Notice(("region",), str(event["reason"]), body)


def receipt_lines(job: JobRecord) -> Iterator[str]:
    """Energy, emissions and saving with its grade, as far as they are known."""
    if job.settlement is None:
        yield f"Its account follows: tidewatt receipt {job.key}"
        return
    view = settlement_view(Settlement.restored(job.settlement, cells=False))
    if view.energy_j is None:
        yield "Energy: not measured."
    else:
        yield f"Energy: {energy(view.energy_j)} used, {energy(view.facility_j)} with PUE {view.pue:g}."
    for ledger in view.ledgers:
        saved = ledger.saved_feasible_g
        line = f"By the {ledger.signal} signal: {mass(ledger.g)} CO2 in all"
        if saved is not None:
            less = "less" if saved >= 0 else "MORE"
            line += f", {mass(abs(saved))} {less} than by starting in its turn ({ledger.grade})"
        yield f"{line}."
    if not view.ledgers:
        yield "Emissions: not settled yet, what really happened on the grid is not known."
    yield f"All of it: tidewatt receipt {job.key}"


def _late(job: JobRecord) -> list[str]:
    if job.finish_by_ms is None or job.ended_ms is None or job.ended_ms <= job.finish_by_ms:
        return []
    return [f"It ended at {_at(job.ended_ms)}, its deadline was {_at(job.finish_by_ms)}."]


def _called(job: JobRecord) -> str:
    return f"job {job.key} ({job.name})" if job.name else f"job {job.key}"


def _at(time_ms: int | None) -> str:
    return "not known" if time_ms is None else f"{moment(time_ms):%Y-%m-%d %H:%M} UTC"
