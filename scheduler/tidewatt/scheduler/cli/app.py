"""The table of commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tidewatt.scheduler.cli import changing, checking, daemon, grid, reports, running, submitting, watching

_PLAIN = {"help_option_names": ["-h", "--help"]}
# Everything after the command's first word is the command's own, with or without `--` before it.
_WRAPPING = _PLAIN | {"allow_interspersed_args": False}


def demo(
    picture: Annotated[Path, typer.Option(metavar="FILE", help="Where the picture goes.")] = Path(
        "tidewatt-demo.png"
    ),
) -> int:
    """Replay two recorded days of a real grid while real training runs and is metered (under 3 minutes)."""
    from tidewatt.scheduler.demo.play import play

    return play(picture)


COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "up": (daemon.up, "Start the daemon."),
    "status": (daemon.status, "Show what the daemon does now."),
    "down": (daemon.down, "Stop the daemon; running jobs go on."),
    "submit": (submitting.submit, "Hand over a job: it runs in the cleanest window that meets its deadline."),
    "run": (running.run, "Submit, wait, stream the output, exit with the job's code."),
    "plan": (submitting.plan, "Show the decision without submitting."),
    "queue": (watching.queue, "List jobs."),
    "show": (watching.show, "Show one job: plan, energy, emissions, saving, history."),
    "logs": (watching.logs, "Print a job's output."),
    "wait": (watching.wait, "Wait for jobs to end."),
    "update": (changing.update, "Change what a waiting job asks for."),
    "cancel": (changing.cancel, "Cancel jobs."),
    "hold": (changing.hold, "Keep waiting jobs from starting."),
    "release": (changing.release, "Let held jobs go."),
    "start": (changing.start, "Start waiting jobs now."),
    "rerun": (submitting.rerun, "Run a job again."),
    "forecast": (grid.forecast, "Show the carbon intensity ahead."),
    "zones": (grid.zones, "Find a zone of the grid."),
    "report": (reports.report, "Show what jobs used and saved."),
    "doctor": (checking.doctor, "Show what works here, and what to do about the rest."),
    "config": (checking.configuration, "Show each setting and where it comes from."),
    "demo": (demo, "See it work: two recorded days in under three minutes."),
}


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tidewatt {version('tidewatt')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Tidewatt runs training when and where electricity is clean, meters it, and shows what was saved."""


def command() -> Any:
    """The whole command line, without rich: importing it would cost more than most commands do."""
    app = typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=_PLAIN
    )
    app.callback(no_args_is_help=False, invoke_without_command=False)(_root)
    for name, (function, short) in COMMANDS.items():
        settings = _WRAPPING if name in ("submit", "run") else _PLAIN
        app.command(name, short_help=short, context_settings=settings)(function)
    return typer.main.get_command(app)
