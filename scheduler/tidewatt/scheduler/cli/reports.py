"""`report`: energy, emissions and savings over many jobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.exporting import Files, Scope, export, model_card
from tidewatt.scheduler.cli.files import STDOUT
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import folded, say, say_json, table, write
from tidewatt.scheduler.client import Client
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration

BASELINES = ("feasible", "hypothetical")


def _file(flag: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(flag, metavar="FILE", help=what)
    return option


def report(
    paper_file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where --paper goes: .txt, .md or .tex.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="30d", help="Jobs that ended within this time.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="Group by project, user, region, day, month, experiment or job."),
    ] = None,
    baseline: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="Savings against starting in turn (feasible), or at submission: hypothetical.",
        ),
    ] = "feasible",
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this project.")] = None,
    experiment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only jobs of this experiment.")
    ] = None,
    html: Annotated[Path | None, _file("--html", "Write a page that needs no network.")] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="A statement for a paper: text, Markdown, LaTeX.")
    ] = False,
    badge: Annotated[Path | None, _file("--badge", "Write an SVG badge.")] = None,
    codecarbon: Annotated[Path | None, _file("--codecarbon", "Write CodeCarbon's emissions.csv.")] = None,
    receipts: Annotated[
        Path | None,
        typer.Option("--receipts", "--parquet", metavar="FILE", help="Write a row a job: .csv or .parquet."),
    ] = None,
    hours: Annotated[Path | None, _file("--hours", "Write kWh by hour, zone, project and site.")] = None,
    bundle: Annotated[Path | None, _file("--bundle", "Write a bundle that `tidewatt verify` checks.")] = None,
    hugging_face: Annotated[
        str | None,
        typer.Option(
            "--hugging-face",
            metavar="WHAT",
            help="A model card's emissions: JOB, project:NAME, experiment:NAME.",
        ),
    ] = None,
    training_type: Annotated[
        str, typer.Option(metavar="WORD", help="For the model card: pre-training or fine-tuning.")
    ] = "",
    location: Annotated[str, typer.Option(metavar="PLACE", help="For the model card.")] = "",
    metrics: Annotated[bool, typer.Option("--metrics", help="Answer in Prometheus' text format.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Answer in CSV.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Show what jobs used and saved; average and marginal stand apart and are never added.

    Files are written whole, in place of others of their names; `-` is stdout.
    """
    if paper_file is not None and not paper:
        raise BadInput(f"{paper_file}: a file without its format: write --paper {paper_file}")
    files = Files(
        html=html, paper=(paper_file or STDOUT) if paper else None, badge=badge, codecarbon=codecarbon,
        receipts=receipts, hours=hours, bundle=bundle,
    )  # fmt: skip
    forms = {"--csv": as_csv, "--json": as_json, "--metrics": metrics, "--hugging-face": hugging_face}
    if hugging_face is None and (training_type or location):
        word = "--training-type" if training_type else "--location"
        raise BadInput(f"{word} is of the model card: give --hugging-face, too")
    group = _one(by)
    _refuse(forms, files, baseline, group, project, experiment)
    scope = Scope(_seconds(since), baseline, project, experiment)
    client = daemon()
    if hugging_face is not None:
        write(model_card(client, hugging_face, training_type, location))
    elif metrics:
        write(client.metrics(scope.since_s))
    elif files.wanted():
        export(client, scope, files)
    else:
        _show(client, scope, group, as_csv, as_json)


def _one(by: list[str] | None) -> str:
    """The word to group by; two are refused, where otherwise the last would win without a word."""
    if by is not None and len(by) > 1:
        raise BadInput(f"a report is grouped by one word: choose one of {', '.join(by)}")
    return by[0] if by else "none"


def _refuse(
    forms: Mapping[str, object],
    files: Files,
    baseline: str,
    by: str,
    project: str | None,
    experiment: str | None,
) -> None:
    """Refuses what excludes each other, before anybody is asked."""
    asked = [flag for flag, wanted in forms.items() if wanted]
    if len(asked) > 1:
        raise BadInput(f"{asked[0]} and {asked[1]} exclude each other: choose one")
    wanted = files.wanted()
    if asked and wanted:
        raise BadInput(f"{asked[0]} and --{wanted[0]} exclude each other: choose one")
    if baseline not in BASELINES:
        raise BadInput(f"there is no baseline {baseline!r}: choose {' or '.join(BASELINES)}")
    if project is not None and experiment is not None:
        raise BadInput("--project and --experiment exclude each other: choose one")
    if by != "none" and wanted:
        raise BadInput(f"--by is of the table: --{wanted[0]} has an order of its own")
    narrow = "--project" if project is not None else "--experiment"
    for name in ("bundle", "hours"):
        if name in wanted and (project is not None or experiment is not None):
            raise BadInput(f"--{name} is of all jobs: leave out {narrow}")
    files.check()


def _seconds(since: str | None) -> float | None:
    return None if since is None else parse_duration(since, "--since").total_seconds()


def _show(client: Client, scope: Scope, by: str, as_csv: bool, as_json: bool) -> None:
    """The report on the terminal."""
    if as_json and scope.project is None and scope.experiment is None:
        say_json(client.report(scope.since_s, by, scope.baseline))  # as it came: nothing heavy is loaded
        return
    from tidewatt.scheduler.accounting.report_text import csv_text, lines, tables

    found = scope.report(client, by)
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    if as_csv:
        write(csv_text(found))
        return
    for each in tables(found):
        say(each.title)
        for line in table(each.titles, each.rows, right=range(1, len(each.titles))):
            say(line)
        say()
    for line in folded(lines(found), "  "):
        say(line)
    if scope.project is None and scope.experiment is None and by in ("none", "project", "user", "job"):
        from tidewatt.scheduler.cli.cost_text import cost_lines

        for line in folded(cost_lines(client.costs(scope.since_s, by), grouped=by != "none"), "  "):
            say(line)
