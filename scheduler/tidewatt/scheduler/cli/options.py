"""The options that several commands share, each with its one help text."""

from typing import Annotated

import typer

from tidewatt.scheduler.array import Key, parse_key
from tidewatt.scheduler.errors import BadInput


def _which(flag: str) -> None:
    raise BadInput(
        f"{flag} means different things in different tools: --finish-by is the time by which"
        f" the job must be done,"
        " --start-by the latest time at which it may start (as soon as possible needs neither)"
    )


def _refuse_deadline(value: str | None) -> None:
    if value is not None:
        _which("--deadline")


def _refuse_begin(value: str | None) -> None:
    if value is not None:
        _which("--begin")


AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
FinishBy = Annotated[
    str | None,
    typer.Option(
        "--finish-by",
        metavar="TIME",
        help='The deadline: 18h, 18:00, "tomorrow 06:00", 2027-03-01T08:00Z.',
    ),
]
StartBy = Annotated[str | None, typer.Option("--start-by", metavar="TIME", help="The latest start.")]
Duration = Annotated[
    str | None,
    typer.Option(
        "--duration",
        metavar="3h",
        help="How long it is expected to run; an estimate that never ends it.",
    ),
]
TimeLimit = Annotated[
    str | None,
    typer.Option("--time", "-t", metavar="LIMIT", help="Ends the job after this long: 4h, or D-HH:MM:SS."),
]
Gpus = Annotated[str | None, typer.Option("--gpus", "-G", metavar="N", help="GPUs: 1, or a kind: a100:2.")]
GpuKinds = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu-kind",
        metavar="KIND",
        help="An acceptable kind: a100, or h100:speed=1.8,power=1.3 against the one that --duration"
        " is meant for. Repeatable.",
    ),
]
Priority = Annotated[
    int | None, typer.Option("--priority", metavar="N", help="-100 to 100; higher ones come first.  [0]")
]
Retries = Annotated[
    int | None, typer.Option("--retries", metavar="N", help="Try again so often after a failure.  [0]")
]
Data = Annotated[
    str | None, typer.Option("--data", metavar="40G", help="What moves with it to another region.")
]
After = Annotated[
    list[str] | None,
    typer.Option(
        "--after", metavar="JOB", help="Start when it is done: 12, 12,13; any:12 for ended. Repeatable."
    ),
]
Array = Annotated[
    str | None,
    typer.Option("--array", metavar="TASKS", help="A job for each task: 0-31, 0-31%4 for four at a time."),
]
Cpus = Annotated[int | None, typer.Option("--cpus", "-c", min=1, metavar="N", help="CPU cores.  [1]")]
Memory = Annotated[str | None, typer.Option("--mem", metavar="16G", help="Memory; a bare number is MB.")]
Regions = Annotated[
    list[str] | None, typer.Option("--region", metavar="NAME", help="Only there; may be repeated.")
]
ExcludeRegions = Annotated[
    list[str] | None, typer.Option("--exclude-region", metavar="NAME", help="Not there; may be repeated.")
]
Late = Annotated[
    bool, typer.Option("--late", help="Accept the earliest finish where the deadline cannot be met.")
]
Name = Annotated[str | None, typer.Option("--name", "-J", metavar="NAME", help="A name to find it by.")]
Project = Annotated[
    str | None,
    typer.Option("--project", metavar="NAME", help="The project it is accounted to."),
]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="May be repeated.")]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Standard output goes here.")
]
ErrorOutput = Annotated[
    str | None, typer.Option("--error", "-e", metavar="FILE", help="Standard error goes here.")
]
Chdir = Annotated[str | None, typer.Option("--chdir", "-D", metavar="FOLDER", help="Run in this folder.")]
Env = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        metavar="NAME[=VALUE]",
        help="Keep only the variables named so; with =VALUE set one. Repeatable.",
    ),
]
NoEnv = Annotated[
    bool, typer.Option("--no-env", help="Keep nothing of the environment but PATH, HOME and the like.")
]
Snapshot = Annotated[
    bool | None,
    typer.Option("--snapshot/--no-snapshot", help="Copy the tracked files now, and run the copy."),
]
OverBudget = Annotated[
    bool, typer.Option("--over-budget", help="Consent where it exceeds a budget that asks for that.")
]
Notify = Annotated[
    str | None,
    typer.Option("--notify", metavar="EVENTS", help="Tell you of these alone: finished,failed; or none."),
]
Hold = Annotated[bool, typer.Option("--hold", help="Wait for `tidewatt release`.")]
Command = Annotated[
    list[str], typer.Argument(metavar="-- COMMAND...", help="What to run.", show_default=False)
]
Job = Annotated[
    Key, typer.Argument(metavar="JOB", help="A job: 12, or task 3 of array 12: 12_3.", parser=parse_key)
]
Jobs = Annotated[
    list[Key],
    typer.Argument(metavar="JOB...", help="Jobs: 12, or task 3 of array 12: 12_3.", parser=parse_key),
]
Deadline = Annotated[str | None, typer.Option("--deadline", hidden=True, callback=_refuse_deadline)]
Begin = Annotated[str | None, typer.Option("--begin", hidden=True, callback=_refuse_begin)]
Zone = Annotated[
    str | None, typer.Option("--zone", metavar="ZONE", help="The zone of the grid (`tidewatt zones`).")
]
Config = Annotated[str | None, typer.Option("--config", metavar="FILE", help="This configuration file.")]
Signal = Annotated[
    str | None, typer.Option("--signal", metavar="average|marginal|both", help="The signal that decides.")
]
Hindsight = Annotated[
    bool, typer.Option("--hindsight", help="Plan on what was observed later; the plan is labelled so.")
]
