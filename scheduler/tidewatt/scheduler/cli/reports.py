"""`report` and `demo`: energy, emissions and savings over many jobs."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import say, say_json, table, write
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration


def report(
    since: Annotated[
        str | None, typer.Option(metavar="30d", help="Jobs that ended within this time.")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="WORD", help="Group by project, user, region, day, month or job.")
    ] = "none",
    as_csv: Annotated[bool, typer.Option("--csv", help="Answer in CSV.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Show what jobs used and saved; average and marginal stand apart and are never added."""
    if as_csv and as_json:
        raise BadInput("--csv and --json exclude each other: choose one")
    since_s = None if since is None else parse_duration(since, "--since").total_seconds()
    answer = daemon().report(since_s, by)
    if as_json:
        say_json(answer)
        return
    from tidewatt.scheduler.accounting.report_schema import Report
    from tidewatt.scheduler.accounting.report_text import csv_text, lines, tables, wrapped

    found = Report.model_validate(answer)
    if as_csv:
        write(csv_text(found))
        return
    for each in tables(found):
        say(each.title)
        for line in table(each.titles, each.rows, right=range(1, len(each.titles))):
            say(line)
        say()
    for line in wrapped(lines(found)):
        say(line)


def demo(
    picture: Annotated[Path, typer.Option(metavar="FILE", help="Where the picture goes.")] = Path(
        "tidewatt-demo.png"
    ),
    as_json: given.AsJson = False,
) -> None:
    """Replay two recorded days of a real grid while real training runs and is metered (under 3 minutes)."""
    from tidewatt.scheduler.demo.play import play

    if not as_json:
        play(picture)
        return
    with redirect_stdout(sys.stderr):  # what there is to watch
        jobs = play(picture)
    say_json({"picture": str(picture.resolve()), "jobs": jobs})
