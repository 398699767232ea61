"""`submit`, `run`, `plan` and `rerun`: from flags to a request, and the daemon's answer in words."""

import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.job_text import offer_lines, plan_lines, submitted_lines
from tidewatt.scheduler.cli.session import clock, daemon, now_of, working_folder
from tidewatt.scheduler.cli.text import local, say, say_json
from tidewatt.scheduler.cli.wish import (
    Wish,
    check_command,
    defaults,
    file_of,
    folder_of,
    labels_of,
    plan_request,
)
from tidewatt.scheduler.client import Client, Json, NoDaemon


def submit(
    command: given.Command,
    finish_by: given.FinishBy = None,
    start_by: given.StartBy = None,
    duration: given.Duration = None,
    time: given.TimeLimit = None,
    gpus: given.Gpus = None,
    cpus: given.Cpus = None,
    mem: given.Memory = None,
    name: given.Name = None,
    project: given.Project = None,
    label: given.Labels = None,
    output: given.Output = None,
    error: given.ErrorOutput = None,
    chdir: given.Chdir = None,
    env: given.Env = None,
    no_env: given.NoEnv = False,
    region: given.Regions = None,
    exclude_region: given.ExcludeRegions = None,
    snapshot: given.Snapshot = None,
    hold: given.Hold = False,
    late: given.Late = False,
    deadline: given.Deadline = None,
    begin: given.Begin = None,
    as_json: given.AsJson = False,
) -> None:
    """Hand a job to the daemon; once acknowledged, it is not lost.

    With --finish-by it runs in the cleanest window that meets the deadline, else as soon as it fits.
    """
    wish = Wish(
        finish_by=finish_by, start_by=start_by, duration=duration, time=time, gpus=gpus, cpus=cpus, mem=mem,
        region=region, exclude_region=exclude_region, project=project, label=label, env=env,
        no_env=no_env or None, snapshot=snapshot,
    )  # fmt: skip
    reply, now = send(command, wish, name, chdir, (output, error), hold, late)
    if as_json:
        say_json(reply)
        return
    for line in submitted_lines(reply, now):
        say(line)


def send(
    command: list[str],
    wish: Wish,
    name: str | None,
    chdir: str | None,
    outputs: tuple[str | None, str | None],
    hold: bool,
    late: bool,
) -> tuple[Json, datetime]:
    """The SubmitReply for a new job, and the daemon's time."""
    client = _present()
    current = working_folder()
    wish = wish.over(defaults(current, os.environ))
    folder = folder_of(chdir, current)
    env = _environment(wish)
    check_command(command, folder, (env or {}).get("PATH") or os.environ.get("PATH", os.defpath))
    now = _DaemonTime(client)
    request = plan_request(wish, now) | {
        "late": late,
        "argv": command,
        "cwd": str(folder),
        "env": env,
        "name": name or "",
        "project": wish.project or "",
        "labels": labels_of(wish.label),
        "stdout": file_of(outputs[0], folder),
        "stderr": file_of(outputs[1], folder),
        "hold": hold,
        "snapshot": bool(wish.snapshot),
        "umask": _umask(),
        "source": _source(folder),
    }
    return client.submit(request), now()


class _DaemonTime:
    """The daemon's time, which a replay makes another than ours; asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._now: datetime | None = None

    def __call__(self) -> datetime:
        if self._now is None:
            self._now = now_of(self._client.status())
        return self._now


def _present() -> Client:
    """The client, if there may be a daemon: found out before the working tree is read."""
    client = daemon()
    if not client.path.exists():
        raise NoDaemon
    return client


def _environment(wish: Wish) -> dict[str, str] | None:
    """The variables that the job keeps; None for none."""
    from tidewatt.backends.environment import select

    keep = None if wish.env is None else list(wish.env)
    # the operator's deny list is the daemon's to apply
    return select(os.environ, keep, bool(wish.no_env), ()) or None


def _umask() -> int:
    """Ours, so that the job's files are as open as if it had been started by hand."""
    current = os.umask(0o077)  # it can only be read by setting it
    os.umask(current)
    return current


def _source(folder: Path) -> Json:
    from tidewatt.backends.source import record

    return asdict(record(folder))


def plan(
    finish_by: given.FinishBy = None,
    start_by: given.StartBy = None,
    duration: given.Duration = None,
    time: given.TimeLimit = None,
    gpus: given.Gpus = None,
    cpus: given.Cpus = None,
    mem: given.Memory = None,
    region: given.Regions = None,
    exclude_region: given.ExcludeRegions = None,
    late: given.Late = False,
    grid: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Plan on this recorded grid file, without a daemon.")
    ] = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="Plan as if it were this time.")] = None,
    zone: given.Zone = None,
    signal: given.Signal = None,
    hindsight: given.Hindsight = False,
    config: given.Config = None,
    deadline: given.Deadline = None,
    begin: given.Begin = None,
    as_json: given.AsJson = False,
) -> None:
    """Show the decision that submit would make, without submitting.

    Works without a daemon too, for an empty queue; --grid, --now, --zone, --signal, --hindsight and
    --config never ask one.
    """
    wish = Wish(
        finish_by=finish_by, start_by=start_by, duration=duration, time=time, gpus=gpus, cpus=cpus, mem=mem,
        region=region, exclude_region=exclude_region,
    ).over(defaults(working_folder(), os.environ))  # fmt: skip
    alone = any(value is not None for value in (grid, now, zone, signal, config)) or hindsight
    reply, then = (None, clock()) if alone else _daemons_plan(wish, late)
    if reply is None:
        from tidewatt.scheduler.cli.offline import Setting, plan_alone

        setting = Setting(grid=grid, now=now, zone=zone, signal=signal, hindsight=hindsight, config=config)
        reply, then = plan_alone(wish, late, setting)
    if as_json:
        say_json(reply)
        return
    _show_plan(reply, then)


def _daemons_plan(wish: Wish, late: bool) -> tuple[Json | None, datetime]:
    """The daemon's PlanReply, or None where none runs; and its time."""
    client = daemon()
    now = _DaemonTime(client)
    try:
        return client.plan(plan_request(wish, now) | {"late": late}), now()
    except NoDaemon:
        return None, clock()


def _show_plan(reply: Json, now: datetime) -> None:
    if reply["empty_queue"]:
        say(f"plan for an empty queue (no daemon was asked), as of {local(now, None)}")
    if reply["hindsight"]:
        say("planned in hindsight: on what was observed later, which nobody could have known")
    for line in plan_lines(reply["plan"], now, f"{reply['power_w']:.3g} W ({reply['power_source']})"):
        say(line)
    say(f"  length   {_length(reply)}")
    for line in offer_lines(reply["offers"], now):
        say(line)


def _length(reply: Json) -> str:
    from tidewatt.scheduler.cli.text import lasting

    return f"{lasting(reply['duration_s'])} ({reply['duration_source']})"


def rerun(
    job: given.Job,
    env: given.Env = None,
    no_env: given.NoEnv = False,
    as_json: given.AsJson = False,
) -> None:
    """Run a job again as a new job, in the environment of whoever says so now."""
    client = _present()
    kept = _environment(Wish(env=env, no_env=no_env or None).over(defaults(working_folder(), os.environ)))
    reply: Any = client.rerun(job, {"env": kept})
    if as_json:
        say_json(reply)
        return
    for line in submitted_lines(reply, now_of(client.status())):
        say(line)
