"""`queue`, `show`, `logs` and `wait`: what jobs do."""

from datetime import datetime
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.array_text import array_lines
from tidewatt.scheduler.cli.following import (
    NO_DAEMON,
    NO_JOB_CODE,
    Tail,
    Watch,
    exit_code,
    follow,
    outputs,
    reasons,
)
from tidewatt.scheduler.cli.job_text import (
    ENDED,
    command_of,
    finish_by,
    job_lines,
    number,
    title,
    warning_lines,
)
from tidewatt.scheduler.cli.session import daemon, now_of
from tidewatt.scheduler.cli.text import cut, lasting, local, parsed, say, say_json, table, tell
from tidewatt.scheduler.client import Json, NoDaemon
from tidewatt.scheduler.errors import BadInput, SchedulerError

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


def show(job: given.Job, as_json: given.AsJson = False) -> None:
    """Show one job: plan, attempts, energy, emissions, saving, history; of an array its tasks."""
    client = daemon()
    found = client.job(job)
    if as_json:
        say_json(found)
        return
    lines = array_lines if "jobs" in found else job_lines
    for line in lines(found, now_of(client.status())):
        say(line)


def logs(
    job: given.Job,
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Print a job's output."""
    client = daemon()
    found = client.job(job)
    if "jobs" in found:
        raise BadInput(f"job {job} is an array: name one of its tasks, for example {found['jobs'][0]['key']}")
    if as_json:
        say_json({key: found[key] for key in ("id", "state", "stdout", "stderr")})
        return
    if found["state"] in ("waiting", "held") and found["plan"]:
        tell(
            f"tidewatt: job {job} has not started: it is {found['state']},"
            f" planned for {local(found['plan']['start'], now_of(client.status()))}"
        )
    if follow_it:
        ended = follow(Watch(client), job, outputs(client, found))
        for line in reasons(ended):
            tell(line)
        return
    empty = [tail for tail in outputs(client, found) if not tail.copy()]
    missing = [tail for tail in empty if isinstance(tail, Tail) and tail.active and not tail.path.exists()]
    if missing and found["state"] not in ("waiting", "held"):
        tell(f"tidewatt: {missing[0].path} is not there: the job has written nothing, or it was removed")


def wait(
    jobs: given.Jobs,
    as_json: given.AsJson = False,
) -> int:
    """Wait for jobs to end, and exit with the first code that is not zero.

    A job's own code, 128+n for a signal, 121 where it was cancelled or never ran, 120 without a daemon.
    """
    watch = Watch(daemon())
    try:
        ended = [watch.until_ended(job, lambda _job: False) for job in jobs]
    except SchedulerError as error:
        return _failed(error)
    if as_json:
        say_json({"jobs": ended})
    else:
        for job in ended:
            say(f"{title(job)} is {job['state']}" + (f": {job['reason']}" if job["reason"] else ""))
    return next((code for code in map(exit_code, ended) if code), 0)


def _failed(error: SchedulerError) -> int:
    tell(f"tidewatt: {error}")
    if error.exit_code == 2:
        return 2
    return NO_DAEMON if isinstance(error, NoDaemon) else NO_JOB_CODE
