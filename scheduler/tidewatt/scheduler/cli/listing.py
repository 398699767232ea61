"""`queue`: jobs as lines of a table."""

from datetime import datetime
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.job_text import ENDED, command_of, finish_by, number, warning_lines
from tidewatt.scheduler.cli.session import daemon, now_of
from tidewatt.scheduler.cli.text import cut, lasting, local, parsed, say, say_json, table
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput

_LIVE = ("waiting", "held", "running", "paused")
_STATES = (*_LIVE, *sorted(ENDED))


def queue(
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also jobs that have ended.")] = False,
    states: Annotated[
        str | None, typer.Option("--state", metavar="STATES", help="waiting,running,...")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the newest.")] = 100,
    before: Annotated[int | None, typer.Option(metavar="JOB", help="Only jobs older than this one.")] = None,
    tasks: Annotated[
        bool, typer.Option("--tasks", help="Each task of an array on a line of its own.")
    ] = False,
    as_json: given.AsJson = False,
) -> None:
    """List jobs: those that wait or run, or all; an array is one line."""
    wanted = _states(states) if states is not None else () if everything else _LIVE
    client = daemon()
    jobs = client.jobs(wanted, limit, before, tasks=tasks)
    if as_json:
        say_json({"jobs": jobs})
        return
    now, several = now_of(client.status()), len({job["user"] for job in jobs}) > 1
    for line in table(
        ("JOB", "USER", "NAME", "STATE", "PRIORITY", "GPUS", "RUNS", "FINISH BY", "REGION", "COMMAND"),
        (_row(job, now, several=several) for job in jobs),
        right=(0, 4, 5),
    ):
        say(line)
    if not jobs:
        say(
            "no jobs" + ("" if everything else " wait or run (`tidewatt queue --all` lists those that ended)")
        )
    elif len(jobs) == limit:
        say(f"(older ones: `tidewatt queue --before {jobs[-1]['id']}`)")
    for job in jobs:
        if job["state"] not in ENDED:  # of those that have ended `show` tells them
            for line in warning_lines(job):
                say(f"job {number(job)}{line}")


def _states(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in found:
        if name not in _STATES:
            raise BadInput(f"there is no state {name!r}: known are {', '.join(_STATES)}")
    return found


def _row(job: Json, now: datetime, *, several: bool) -> tuple[str, ...]:
    """Its line; with its user where there are jobs of several."""
    kinds = "|".join(kind["kind"] for kind in job.get("kinds") or ()) or job["gpu_kind"]
    gpus = f"{kinds}:{job['gpus']}" if kinds and job["gpus"] else str(job["gpus"] or "")
    tasks = job.get("tasks") or {}
    region = job["attempts"][-1]["region"] if job["attempts"] else (job["plan"] or {}).get("region", "")
    return (
        f"{job['array']}_[{sum(tasks.values())}]" if tasks else number(job),
        job["user"] if several else "",
        cut(job["name"], 20),
        ", ".join(f"{count} {name}" for name, count in tasks.items()) or job["state"],
        str(job.get("priority") or ""),
        gpus,
        _runs(job, now),
        finish_by(job, now),
        region,
        command_of(job, 40),
    )


def _runs(job: Json, now: datetime) -> str:
    if job.get("tasks"):
        return f"{lasting(job['duration_s'])} each"
    if job["state"] == "waiting" and job["plan"]:
        return f"{local(job['plan']['start'], now)} for {lasting(job['duration_s'])}"
    if job["state"] == "running" and job["attempts"]:
        started = parsed(job["attempts"][-1]["started"])
        return "starting" if started is None else f"for {lasting((now - started).total_seconds())}"
    word = "ended" if job["state"] in ENDED else "since"
    return f"{word} {local(job['since'], now)}"
