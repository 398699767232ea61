"""`plan`: a decision without a job, for one job or for a whole queue from files."""

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.flags import WHERE_AND_WHEN, Order, flagged
from tidewatt.scheduler.cli.job_text import plan_lines
from tidewatt.scheduler.cli.offer_text import offer_lines
from tidewatt.scheduler.cli.operator_text import note_lines
from tidewatt.scheduler.cli.session import DaemonTime, Setting, clock, daemon, working_folder
from tidewatt.scheduler.cli.text import lasting, local, say, say_json
from tidewatt.scheduler.cli.wish import Wish, defaults, plan_request
from tidewatt.scheduler.cli.wording import after_of
from tidewatt.scheduler.client import Json, NoDaemon
from tidewatt.scheduler.errors import BadInput, Refused


@flagged(WHERE_AND_WHEN)
def plan(
    wish: Wish,
    order: Order,
    grid: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Plan on this recorded grid file, without a daemon.")
    ] = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="Plan as if it were this time.")] = None,
    zone: given.Zone = None,
    signal: given.Signal = None,
    hindsight: given.Hindsight = False,
    config: given.Config = None,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="Show carbon against delay and cost, for an empty queue.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --frontier: draw it, as .svg or .png.")
    ] = None,
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
    as_json: given.AsJson = False,
) -> None:
    """Show the decision that submit would make, without submitting.

    Works without a daemon too, for an empty queue; --grid, --now, --zone, --signal, --hindsight and
    --config never ask one. With --jobs and --regions a whole queue is planned from files.
    """
    setting = Setting(grid=grid, now=now, zone=zone, signal=signal, hindsight=hindsight, config=config)
    if picture is not None and not frontier:
        raise BadInput("--picture draws a frontier: give --frontier too")
    if jobs is not None or regions is not None:
        single = frontier or wish != Wish() or order != Order()
        _plan_queue(jobs, regions, setting, seconds, levers, single, as_json)
        return
    if seconds is not None or levers is not None:
        raise BadInput("--seconds and --levers belong to a whole queue: give --jobs and --regions")
    wish = wish.over(defaults(working_folder(), os.environ))
    if frontier:
        _show_frontier(wish, order, setting, picture, as_json)
        return
    alone = any(value is not None for value in (grid, now, zone, signal, config)) or hindsight
    reply, then = (None, clock()) if alone else _daemons_plan(wish, order)
    if reply is None:
        from tidewatt.scheduler.cli.offline import plan_alone

        reply, then = plan_alone(wish, order, setting)
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
    single: bool,
    as_json: bool,
) -> None:
    """Plans a whole queue from files; `single` says that options of one job were given."""
    if jobs is None or regions is None:
        raise BadInput("a whole queue needs both files: --jobs with its jobs and --regions with their places")
    if single:
        raise BadInput("--jobs plans a whole queue: what a single job wants stands in that file's columns")
    if setting.config is not None:
        raise BadInput("with --jobs the settings are those of --regions FILE: leave --config out")
    from tidewatt.scheduler.cli.queue_planning import planned

    answer, view, then = planned(jobs, regions, setting, seconds, levers)
    from tidewatt.scheduler.cli.queue_text import queue_lines

    if as_json:
        _say_queue(view)
    else:
        for line in queue_lines(answer, view, then, shutil.get_terminal_size().columns):
            say(line)
    if not view["jobs"]:
        raise Refused("no job of the queue finds a place in time: nothing is planned")


def _say_queue(view: Json) -> None:
    """Writes the plan as JSON with one job a line: indented all through it would be slow and long."""
    import json

    text = json.dumps(view | {"jobs": []}, indent=2, ensure_ascii=False)
    before, empty, after = text.partition('\n  "jobs": []')
    rows = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in view["jobs"])
    say(before + (f'\n  "jobs": [\n    {rows}\n  ]' if rows else empty) + after)


def _show_frontier(wish: Wish, order: Order, setting: Setting, picture: Path | None, as_json: bool) -> None:
    from tidewatt.scheduler.cli.frontier_picture import draw
    from tidewatt.scheduler.cli.frontier_text import frontier_lines, frontier_view
    from tidewatt.scheduler.cli.offline import frontier_alone
    from tidewatt.scheduler.picture_file import check_ending

    if picture is not None:
        check_ending(picture)
    found, now, assumed = frontier_alone(wish, order, setting)
    if as_json:
        say_json(frontier_view(found))
    else:
        say(f"plan for an empty queue (no daemon was asked), as of {local(now, None)}")
        if assumed:
            say(f"  note     {assumed}")
        for line in frontier_lines(found, now, shutil.get_terminal_size().columns):
            say(line)
    if picture is None:
        return
    draw(picture, found, now)  # last: where it cannot be drawn, the plan has been shown all the same
    if not as_json:
        say(f"  picture  {picture}")


def _daemons_plan(wish: Wish, order: Order) -> tuple[Json | None, datetime]:
    """The daemon's PlanReply, or None where none runs; and its time."""
    client = daemon()
    now = DaemonTime(client)
    try:
        request = plan_request(wish, now) | after_of(order.after) | {"late": order.late}
        return client.plan(request), now()
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
    for line in (*note_lines(reply), *offer_lines(reply["offers"], now)):
        say(line)
