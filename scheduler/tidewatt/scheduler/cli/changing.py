"""`update`, `cancel`, `hold`, `release` and `start`: what is changed of jobs."""

from collections.abc import Iterator
from datetime import datetime

from tidewatt.scheduler.array import Key
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.array_text import changed_array_lines
from tidewatt.scheduler.cli.job_text import also_line, plan_lines, state, title, warning_lines
from tidewatt.scheduler.cli.session import daemon, now_of
from tidewatt.scheduler.cli.text import say, say_json, tell
from tidewatt.scheduler.cli.wish import Wish, times
from tidewatt.scheduler.cli.wording import priority_of, retries_of
from tidewatt.scheduler.client import Client, Json
from tidewatt.scheduler.errors import BadInput, SchedulerError


def update(
    job: given.Job,
    finish_by: given.FinishBy = None,
    start_by: given.StartBy = None,
    duration: given.Duration = None,
    time: given.TimeLimit = None,
    name: given.Name = None,
    project: given.Project = None,
    region: given.Regions = None,
    exclude_region: given.ExcludeRegions = None,
    late: given.Late = False,
    priority: given.Priority = None,
    retries: given.Retries = None,
    deadline: given.Deadline = None,
    begin: given.Begin = None,
    as_json: given.AsJson = False,
) -> None:
    """Change what a job that has not started asks for; it is planned again."""
    client = daemon()
    wish = Wish(finish_by=finish_by, start_by=start_by, duration=duration, time=time)
    request: Json = times(wish, lambda: now_of(client.status())) | ({"late": True} if late else {})
    plain: Json = {"name": name, "project": project, "regions": region, "exclude_regions": exclude_region}
    if priority is not None:
        plain["priority"] = priority_of(priority)
    if retries is not None:
        plain["retries"] = retries_of(retries)
    request |= {key: value for key, value in plain.items() if value is not None}
    if not request:
        raise BadInput("nothing to change was given: for example `tidewatt update 12 --finish-by 18h`")
    changed = client.update(job, request)
    if as_json:
        say_json(changed)
        return
    _show(client, [changed], "update")


def cancel(jobs: given.Jobs, as_json: given.AsJson = False) -> int:
    """Cancel jobs; running ones get SIGTERM, and SIGKILL after the grace period."""
    return _each(jobs, "cancel", as_json)


def hold(jobs: given.Jobs, as_json: given.AsJson = False) -> int:
    """Keep waiting jobs from starting until they are released; their deadlines stay."""
    return _each(jobs, "hold", as_json)


def release(jobs: given.Jobs, as_json: given.AsJson = False) -> int:
    """Let held jobs be planned again."""
    return _each(jobs, "release", as_json)


def start(jobs: given.Jobs, as_json: given.AsJson = False) -> int:
    """Start waiting jobs now, as soon as they fit, whatever the grid does."""
    return _each(jobs, "start", as_json)


def _each(jobs: list[Key], verb: str, as_json: bool) -> int:
    """Does it to every job, also after one was refused; the first refusal's code is the command's."""
    client = daemon()
    changed: list[Json] = []
    code = 0
    for job in jobs:
        try:
            changed.append(client.act(job, verb))
        except SchedulerError as error:
            if error.exit_code == 3:
                raise
            tell(f"tidewatt: {error}{_advice(job, verb, error)}")
            code = code or error.exit_code
    if as_json:
        say_json({"jobs": changed} if len(jobs) > 1 else next(iter(changed), {}))
    elif changed:
        _show(client, changed, verb)
    return code


def _advice(job: Key, verb: str, error: SchedulerError) -> str:
    """How a deadline is changed, for a command that has no such option."""
    late = verb in ("release", "start") and "is in the past" in str(error)
    return f" with `tidewatt update {job} --finish-by 18h`" if late else ""


def _show(client: Client, changed: list[Json], verb: str) -> None:
    now = now_of(client.status())
    for job in changed:
        if "jobs" in job:
            for line in changed_array_lines(job, now, verb):
                say(line)
            continue
        if verb == "start" and job["state"] == "waiting":
            say(f"{title(job)} starts as soon as it fits, whatever the grid does")
            continue  # its old plan is void, and the new one is made by the daemon's next round
        if verb == "cancel" and job["state"] == "running":
            say(f"{title(job)} is being stopped")
            for line in also_line(job):
                say(line)
            continue
        for line in changed_lines(job, now):
            say(line)


def changed_lines(job: Json, now: datetime) -> Iterator[str]:
    """A job after a change: its state, and its plan where it waits."""
    reason = f": {job['reason']}" if job["reason"] else ""
    yield f"{title(job)} is {state(job)}{reason}"
    yield from also_line(job)
    if job["state"] == "waiting" and job["plan"]:
        yield from plan_lines(job["plan"], now)
    yield from warning_lines(job)
