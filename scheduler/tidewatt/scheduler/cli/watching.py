"""`show`, `logs` and `wait`: what jobs do."""

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
from tidewatt.scheduler.cli.job_text import job_lines, title
from tidewatt.scheduler.cli.session import daemon, now_of
from tidewatt.scheduler.cli.text import local, say, say_json, tell
from tidewatt.scheduler.client import NoDaemon
from tidewatt.scheduler.errors import BadInput, SchedulerError


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
