"""The table of commands; the module of a command is imported only when it is called."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

# Of the kinds of backends; docs/engines.md says what was tested how.
EXPERIMENTAL = ("kubernetes", "aws-batch", "skypilot")
_PLAIN = {"help_option_names": ["-h", "--help"]}
# Everything after the command's first word is the command's own, with or without `--` before it.
_WRAPPING = _PLAIN | {"allow_interspersed_args": False}

COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("daemon", "up", "Start the daemon."),
    "status": ("daemon", "status", "Show what the daemon does now."),
    "down": ("daemon", "down", "Stop the daemon; running jobs go on."),
    "submit": (
        "submitting",
        "submit",
        "Hand over a job: it runs in the cleanest window that meets its deadline.",
    ),
    "run": ("running", "run", "Submit, wait, stream the output, exit with the job's code."),
    "plan": ("planning", "plan", "Show the decision without submitting."),
    "queue": ("listing", "queue", "List jobs."),
    "show": ("watching", "show", "Show one job: plan, energy, emissions, saving, history."),
    "logs": ("watching", "logs", "Print a job's output."),
    "wait": ("watching", "wait", "Wait for jobs to end."),
    "wait-clean": (
        "waiting_clean",
        "wait_clean",
        "Wait for clean hours in a script, without a daemon.",
    ),
    "update": ("changing", "update", "Change what a waiting job asks for."),
    "cancel": ("changing", "cancel", "Cancel jobs."),
    "hold": ("changing", "hold", "Keep waiting jobs from starting."),
    "release": ("changing", "release", "Let held jobs go."),
    "start": ("changing", "start", "Start waiting jobs now."),
    "pause": ("interrupting", "pause", "Pause running jobs."),
    "resume": ("interrupting", "resume", "Let paused jobs go on."),
    "signal": ("interrupting", "signal", "Send a running job a signal."),
    "rerun": ("submitting", "rerun", "Run a job again."),
    "regions": ("regions", "regions", "Show where jobs may go: intensity, capacity, health."),
    "policy": ("policies", "policy", "Explain, check or read again who may run what where."),
    "drain": ("regions", "drain", "Let nothing new start in a region or on a GPU."),
    "undrain": ("regions", "undrain", "Let jobs start there again."),
    "shifting": ("regions", "shifting", "Switch shifting off, or on again."),
    "forecast": ("grid", "forecast", "Show the carbon intensity ahead."),
    "zones": ("grid", "zones", "Find a zone of the grid."),
    "backtest": ("backtesting", "backtest", "Show how well forecasts would have planned the past."),
    "simulate": ("simulating", "simulate", "Compare policies on a simulated clock."),
    "sbatch": ("sbatch", "sbatch", "Submit a script to Slurm for clean hours, without a daemon."),
    "settle": ("settling", "settle", "Show what jobs of sbatch used and saved."),
    "report": ("reports", "report", "Show what jobs used and saved."),
    "sci": ("scoring", "sci", "Show the Software Carbon Intensity of jobs."),
    "budget": ("budgets", "budget", "Show what budgets have left this month."),
    "shares": ("shares", "shares", "Show fair shares of the GPUs, and limits."),
    "compare": ("exporting", "compare", "Set CodeCarbon's accounts beside ours."),
    "receipt": ("receipts", "receipt", "Show one job's receipt; --bundle: all that it stands on."),
    "verify": ("verifying", "verify", "Check a bundle: every number, offline."),
    "ledger": ("verifying", "ledger", "Show the signed head of all events, or check them."),
    "move-store": ("moving_store", "move_store", "Move the store into PostgreSQL, or back."),
    "backup": ("keeping", "backup", "Copy all that the daemon keeps into one file."),
    "restore": ("keeping", "restore", "Put a backup into an empty state folder."),
    "purge": ("purging", "purge", "Purge what tells of people; numbers and the ledger stay."),
    "token": ("tokens", "token", "Make, list and revoke tokens for TCP."),
    "open": ("opening", "open_page", "Print a link that signs you in at the page."),
    "audit": ("tokens", "audit", "Show who asked for what."),
    "doctor": ("checking", "doctor", "Show what works here, and what to do about the rest."),
    "notify": ("notices", "notify", "Show who is told what, and try it."),
    "completion": ("completing", "completion", "Have your shell complete commands, flags and jobs."),
    "config": ("checking", "configuration", "Show each setting and where it comes from."),
    "demo": ("demonstrating", "demo", "See it work: two recorded days in under three minutes."),
}


class _LightHelp:
    """Gives `--help` a plain default: typer asks pydantic about one that is None, at 70 ms."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option, off unless given."""
        option = super().get_help_option(ctx)  # type: ignore[misc] # of the command that this is mixed into
        if option is not None:
            option.default = False
        return option


class _Command(_LightHelp, TyperCommand):
    """A command with a light `--help`."""


class _Group(_LightHelp, TyperGroup):
    """All commands, with a light `--help`."""


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


def command(arguments: Sequence[str] | None) -> Any:
    """The command line: the one command that `arguments` name, or all of them for help and mistakes.

    Without rich: importing it would cost more than most commands do.
    """
    app = typer.Typer(
        cls=_Group,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_PLAIN,
        epilog=f"Experimental, tested against stand-ins only: regions by {', '.join(EXPERIMENTAL)}.",
    )
    app.callback()(_root)
    name = next(iter(sys.argv[1:] if arguments is None else arguments), "")
    if name in COMMANDS:
        _add(app, name, _function(name))
    else:
        for each in COMMANDS:
            _add(app, each, _nothing)
    return typer.main.get_command(app)


def _add(app: typer.Typer, name: str, function: Callable[..., Any]) -> None:
    settings = _WRAPPING if name in ("submit", "run", "sbatch", "wait-clean") else _PLAIN
    app.command(name, cls=_Command, short_help=COMMANDS[name][2], context_settings=settings)(function)


def _function(name: str) -> Callable[..., Any]:
    module, function, _short = COMMANDS[name]
    found: Callable[..., Any] = getattr(import_module(f"tidewatt.scheduler.cli.{module}"), function)
    return found


def _nothing() -> None:
    """Stands for a command in the list of all of them."""
