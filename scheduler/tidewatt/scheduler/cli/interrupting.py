"""`pause`, `resume` and `signal`."""

from collections.abc import Callable, Iterator
from datetime import datetime

from tidewatt.scheduler.array import Key
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli import pausing_options as asked
from tidewatt.scheduler.cli.array_text import changed_array_lines
from tidewatt.scheduler.cli.changing import changed_lines
from tidewatt.scheduler.cli.job_text import title
from tidewatt.scheduler.cli.session import daemon, now_of
from tidewatt.scheduler.cli.text import say, say_json, tell
from tidewatt.scheduler.client import Client, Json
from tidewatt.scheduler.errors import BadInput, SchedulerError
from tidewatt.scheduler.when import parse_duration


def pause(
    jobs: given.Jobs,
    for_: asked.For = None,
    stop: asked.Stop = False,
    checkpoint: asked.Checkpoint = False,
    as_json: given.AsJson = False,
) -> int:
    """Pause running jobs until `tidewatt resume`; those that wait are held.

    Without --stop or --checkpoint a job that was submitted with --pausable saves its work and ends, and any
    other one stands still.
    """
    if stop and checkpoint:
        raise BadInput("--stop and --checkpoint are two ways to pause: choose one")
    request: Json = {"mode": "stop" if stop else "checkpoint" if checkpoint else ""}
    if for_ is not None:
        request["for_s"] = parse_duration(for_, "--for").total_seconds()
    return _each(jobs, "pause", lambda client, job: client.pause(job, request), as_json)


def resume(jobs: given.Jobs, as_json: given.AsJson = False) -> int:
    """Let paused jobs go on."""
    return _each(jobs, "resume", lambda client, job: client.act(job, "resume"), as_json)


def signal(job: given.Job, name: asked.SignalName, as_json: given.AsJson = False) -> int:
    """Send a running job's processes a signal."""
    return _each(
        [job], f"SIG{name.upper().removeprefix('SIG')}", lambda client, key: client.signal(key, name), as_json
    )


def _each(jobs: list[Key], verb: str, act: Callable[[Client, Key], Json], as_json: bool) -> int:
    """Does it to every job, also after one was refused; the first refusal's code is the command's."""
    client, code = daemon(), 0
    changed: list[Json] = []
    for job in jobs:
        try:
            changed.append(act(client, job))
        except SchedulerError as error:
            if error.exit_code == 3:
                raise
            tell(f"tidewatt: {error}")
            code = code or error.exit_code
    if as_json:
        say_json({"jobs": changed} if len(jobs) > 1 else next(iter(changed), {}))
    elif changed:
        now = now_of(client.status())
        for each in changed:
            for line in _lines(each, verb, now):
                say(line)
    return code


def _lines(job: Json, verb: str, now: datetime) -> Iterator[str]:
    if "jobs" in job:
        yield from changed_array_lines(job, now, verb)
    elif verb == "pause" and job["state"] == "running":
        yield f"{title(job)} is being paused: `tidewatt resume {job['key']}` lets it go on"
    elif verb.startswith("SIG"):
        said = f"was sent {verb}" if not _elsewhere(job) else f"is being sent {verb}: {_asked(job)}"
        yield f"{title(job)} {said}"
    elif verb == "resume" and job["state"] == "paused":
        yield f"{title(job)} goes on{f': {_asked(job)}' if _elsewhere(job) else ''}"
    else:
        yield from changed_lines(job, now)


def _elsewhere(job: Json) -> bool:
    """True where it is for an engine elsewhere to do it."""
    return bool(job["attempts"]) and job["attempts"][-1]["backend"] != "local"


def _asked(job: Json) -> str:
    return f"{job['attempts'][-1]['region']} was asked, `tidewatt show {job['key']}` tells what came of it"
