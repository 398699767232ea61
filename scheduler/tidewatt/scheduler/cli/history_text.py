"""A job's history as people read it: what happened, and how its plan moved and why."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from tidewatt.scheduler.cli.text import lasting, local, percent
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.happenings import happened

_CHANGED = {
    "finish_by_ms": "deadline",
    "start_by_ms": "latest start",
    "duration_ms": "length",
    "estimate_ms": "length",
    "duration_source": "length",
    "guard_ms": "length",
    "time_limit_ms": "time limit",
    "late": "may be late",
    "exclude_regions": "excluded regions",
}


class _Planned(NamedTuple):
    """What a plan's event says."""

    start: datetime
    region: str
    pool: str
    saving: float | None  # against starting at once, expected

    @property
    def place(self) -> str:
        return self.region + (f" on {self.pool}" if self.pool else "")


def history_lines(job: Json, now: datetime) -> Iterator[str]:
    """A job's events, oldest first; plans with what became of the one before."""
    before: _Planned | None = None
    told: set[str] = set()
    for event in job["events"]:
        reason = f": {event['reason']}" if event["reason"] else ""
        if event["kind"] == "plan":
            planned = _planned(event["detail"])
            reason = f": {_moved(before, planned, now)}{_because(event, first=before is None)}"
            before = planned
        elif event["kind"] == "updated":
            reason = f": {_changes(event['reason'])}"
        elif event["kind"] == "attempt.ended" and "exit_code" in event["detail"]:
            reason = f" with exit code {event['detail']['exit_code']}{reason}"
        if event["kind"].startswith("settlement.") and event["kind"] in told:
            reason = f", restated{reason}"
        told.add(event["kind"])
        yield f"  {local(event['time'], now, seconds=True)}  {happened(event['kind'])}{reason}"


def _changes(columns: str) -> str:
    """What an update changed, each once."""
    return ", ".join(dict.fromkeys(_CHANGED.get(name, name) for name in columns.split(", ")))


def moves_line(job: Json) -> Iterator[str]:
    """How often the plan moved, where it did."""
    starts = [_planned(event["detail"]).start for event in job["events"] if event["kind"] == "plan"]
    moved = [after - before for before, after in pairwise(starts) if after != before]
    if moved:
        later = sum(step > timedelta(0) for step in moved)
        text = f"{len(moved)} times, {later or 'none'} of them later"
        if len(moved) == 1:
            text = f"once, {'later' if later else 'earlier'}"
        yield f"  moved    {text} (the history below says why)"


def _planned(detail: Json) -> _Planned:
    expected, immediate = detail.get("expected_ug"), detail.get("immediate_ug")
    saving = None if expected is None or not immediate else 1 - expected / immediate
    start = datetime.fromtimestamp(detail["start_ms"] / 1000, UTC)
    return _Planned(start, detail["region"], detail["pool"], saving)


def _moved(before: _Planned | None, after: _Planned, now: datetime) -> str:
    step_s = 0.0 if before is None else (after.start - before.start).total_seconds()
    fine = abs(step_s) < 120
    start = local(after.start, now, seconds=before is not None and fine)
    if before is None:
        text = f"starts {start} in {after.place}"
    elif abs(step_s) < 1:
        text = f"still {start}"
    else:
        way = "later" if step_s > 0 else "earlier"
        text = f"{lasting(abs(step_s))} {way}, from {local(before.start, now, seconds=fine)} to {start}"
    if before is not None and before.place != after.place:
        text += f", from {before.place} to {after.place}"
    return text + _expects(before, after)


def _expects(before: _Planned | None, after: _Planned) -> str:
    """The saving against starting at once that was expected, and the one expected before where it differs."""
    if after.saving is None:
        return ""
    now = percent(after.saving)
    if before is None or before.saving is None:
        return f"; expected to save {now}"
    was = percent(before.saving)
    return f"; expected to save {now} instead of {was}" if was != now else ""


def _because(event: Json, *, first: bool) -> str:
    why = event["detail"].get("reason", "")
    if first:
        return f"; {why}" if why else ""
    return f"; because of: {event['reason']}" if event["reason"] else ""
