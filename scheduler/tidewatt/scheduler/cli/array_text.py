"""Arrays as people read them."""

from collections.abc import Iterator
from datetime import datetime

from tidewatt.scheduler.cli.job_text import (
    ENDED,
    also_line,
    command_of,
    number,
    state,
    title,
    warning_lines,
)
from tidewatt.scheduler.cli.offer_text import offer_lines
from tidewatt.scheduler.cli.operator_text import note_lines
from tidewatt.scheduler.cli.text import cut, grams, lasting, local, painted, parsed, percent, table
from tidewatt.scheduler.client import Json


def submitted_array_lines(reply: Json, now: datetime) -> Iterator[str]:
    """The reply to a submit of an array."""
    array, job = reply["array"], reply["job"]
    limit = f", at most {array['limit']} at a time" if array["limit"] else ""
    standing = f"held until `tidewatt release {array['id']}`" if job["state"] == "held" else "planned"
    tasks = f"{array['size']} task{'s' * (array['size'] != 1)}"
    yield f"{painted(title(array), 'bold')} is {standing}: {tasks}, the first is {number(job)}{limit}"
    yield from _span_lines(array, now)
    if job["finish_by"]:
        yield f"  finish   each by {local(job['finish_by'], now)}"
    yield f"  length   {lasting(job['duration_s'])} each ({job['duration_source']})"
    yield from note_lines(reply)
    yield from offer_lines(reply["offers"], now)
    yield from warning_lines(job)


def changed_array_lines(array: Json, now: datetime, verb: str) -> Iterator[str]:
    """An array after a change: how many of its tasks are in which state, and when they run."""
    limit = f"; at most {array['limit']} run at a time" if array["limit"] else ""
    counts = ", ".join(f"{count} {name}" for name, count in array["tasks"].items())
    running = array["tasks"].get("running", 0)
    stopped = f"; {running} being stopped" if verb == "cancel" and running else ""
    yield f"{painted(title(array), 'bold')} is {state(array)}: {counts}{stopped or limit}"
    if verb == "cancel":
        yield from also_line(array)
    else:
        yield from _span_lines(array, now)


def array_lines(array: Json, now: datetime) -> Iterator[str]:
    """An array with all of its tasks."""
    yield from changed_array_lines(array, now, "")
    if array["jobs"]:
        yield f"  command  {command_of(array['jobs'][0], 200)}"
    rows = (_row(job, now) for job in array["jobs"])
    yield from (f"  {line}" for line in table(("TASK", "STATE", "STARTS", "REGION", "WHY"), rows))
    for job in array["jobs"]:
        for line in warning_lines(job):
            yield f"job {number(job)}{line}"


def _span_lines(array: Json, now: datetime) -> Iterator[str]:
    """When its planned tasks run, and what is expected of them together."""
    if array["state"] in ENDED:
        yield from _ended_lines(array, now)
        return
    if array["start"] is None or array["end"] is None:
        return
    yield f"  starts   the first {local(array['start'], now)}; the last ends about {local(array['end'], now)}"
    expected, immediate = array["expected_g"], array["immediate_g"]
    if expected is None or not immediate:
        return
    saving = 1 - expected / immediate
    less = f"{percent(abs(saving))} {'less' if saving >= 0 else 'MORE'}"
    yield f"  expects  {grams(expected)} CO2 above idle; each started at once {grams(immediate)}: {less}"


def _ended_lines(array: Json, now: datetime) -> Iterator[str]:
    """When the tasks of an array that is over have run."""
    runs = [run for job in array["jobs"] for run in job["attempts"] if run["started"] and run["ended"]]
    if runs:
        first, last = min(run["started"] for run in runs), max(run["ended"] for run in runs)
        yield f"  ran      from {local(first, now)} to {local(last, now)}"


def _row(job: Json, now: datetime) -> tuple[str, ...]:
    started = parsed(job["attempts"][-1]["started"]) if job["attempts"] else None
    plan = job["plan"] or {}
    waits = job["state"] == "waiting" and plan
    start = local(plan["start"], now) if waits else local(started, now) if started else ""
    region = job["attempts"][-1]["region"] if job["attempts"] else plan.get("region", "")
    why = plan["reason"] if waits else job["reason"]
    return str(job["array_task"]), job["state"], start, region, cut(why, 60)
