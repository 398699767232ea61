"""`plan`: a decision without a job, for one job or for a whole queue from files."""

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.job_text import offer_lines, plan_lines
from tidewatt.scheduler.cli.session import DaemonTime, Setting, clock, daemon, working_folder
from tidewatt.scheduler.cli.text import lasting, local, say, say_json
from tidewatt.scheduler.cli.wish import Wish, defaults, plan_request
from tidewatt.scheduler.client import Json, NoDaemon
from tidewatt.scheduler.errors import BadInput


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
    jobs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Plan this whole queue: CSV, Parquet or JSON, one row a job."),
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --jobs: the [[region]] tables of the places.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, metavar="N", help="With --jobs: how long the search may last.")
    ] = None,
    levers: Annotated[
        bool | None,
        typer.Option(
            "--levers/--no-levers",
            help="With --jobs: what time alone and one region alone would give.  [up to 10,000 jobs]",
        ),
    ] = None,
    deadline: given.Deadline = None,
    begin: given.Begin = None,
    as_json: given.AsJson = False,
) -> None:
    """Show the decision that submit would make, without submitting.

    Works without a daemon too, for an empty queue; --grid, --now, --zone, --signal, --hindsight and
    --config never ask one. With --jobs and --regions a whole queue is planned from files.
    """
    setting = Setting(grid=grid, now=now, zone=zone, signal=signal, hindsight=hindsight, config=config)
    if jobs is not None or regions is not None:
        one = (finish_by, start_by, duration, time, gpus, cpus, mem, region, exclude_region, late or None)
        _plan_queue(jobs, regions, setting, seconds, levers, any(each is not None for each in one), as_json)
        return
    if seconds is not None or levers is not None:
        raise BadInput("--seconds and --levers belong to a whole queue: give --jobs and --regions")
    wish = Wish(
        finish_by=finish_by, start_by=start_by, duration=duration, time=time, gpus=gpus, cpus=cpus, mem=mem,
        region=region, exclude_region=exclude_region,
    ).over(defaults(working_folder(), os.environ))  # fmt: skip
    alone = any(value is not None for value in (grid, now, zone, signal, config)) or hindsight
    reply, then = (None, clock()) if alone else _daemons_plan(wish, late)
    if reply is None:
        from tidewatt.scheduler.cli.offline import plan_alone

        reply, then = plan_alone(wish, late, setting)
    if as_json:
        say_json(reply)
        return
    _show(reply, then)


def _plan_queue(
    jobs: Path | None,
    regions: Path | None,
    setting: Setting,
    seconds: float | None,
    levers: bool | None,
    one: bool,
    as_json: bool,
) -> None:
    """Plans a whole queue from files; `one` says that options of a single job were given."""
    if jobs is None or regions is None:
        raise BadInput("a whole queue needs both files: --jobs with its jobs and --regions with their places")
    if one:
        raise BadInput("--jobs plans a whole queue: what a single job wants stands in that file's columns")
    if setting.config is not None:
        raise BadInput("with --jobs the settings are those of --regions FILE: leave --config out")
    from tidewatt.scheduler.cli.queue_planning import planned

    answer, view, then = planned(jobs, regions, setting, seconds, levers)
    if as_json:
        say_json(view)
        return
    from tidewatt.scheduler.cli.queue_text import queue_lines

    for line in queue_lines(answer, view, then, shutil.get_terminal_size().columns):
        say(line)


def _daemons_plan(wish: Wish, late: bool) -> tuple[Json | None, datetime]:
    """The daemon's PlanReply, or None where none runs; and its time."""
    client = daemon()
    now = DaemonTime(client)
    try:
        return client.plan(plan_request(wish, now) | {"late": late}), now()
    except NoDaemon:
        return None, clock()


def _show(reply: Json, now: datetime) -> None:
    if reply["empty_queue"]:
        say(f"plan for an empty queue (no daemon was asked), as of {local(now, None)}")
    if reply["hindsight"]:
        say("planned in hindsight: on what was observed later, which nobody could have known")
    for line in plan_lines(reply["plan"], now, f"{reply['power_w']:.3g} W ({reply['power_source']})"):
        say(line)
    say(f"  length   {lasting(reply['duration_s'])} ({reply['duration_source']})")
    for line in offer_lines(reply["offers"], now):
        say(line)
