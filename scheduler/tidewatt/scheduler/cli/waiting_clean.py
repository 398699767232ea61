"""`wait-clean`: sleeps until the cleanest start that meets a deadline, without a daemon."""

import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.text import say_json, tell
from tidewatt.scheduler.errors import BadInput

if TYPE_CHECKING:
    from tidewatt.scheduler.plan import Plan


def wait_clean(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND...]", help="What to become then.", show_default=False),
    ] = None,
    finish_by: given.FinishBy = None,
    duration: given.Duration = None,
    zone: given.Zone = None,
    signal: given.Signal = None,
    config: given.Config = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but mistakes.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the start, and wait for nothing.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Sleep until the cleanest start from which a deadline is met, then exit with 0 or become COMMAND.

    No daemon, no account and no network are needed: `tidewatt wait-clean --zone DE --finish-by 6h
    --duration 1h && make train`. It looks every ten minutes whether a better start is known.
    """
    from tidewatt.scheduler.clean import now, wait_clean
    from tidewatt.scheduler.clean_start import Finder, view, wish_of

    if finish_by is None or duration is None:
        raise BadInput("wait-clean needs a deadline and a length: --finish-by 6h --duration 1h")
    if command:
        _check(command[0])

    def show(plan: "Plan") -> None:
        if as_json:
            say_json(view(plan, now()))
            sys.stdout.flush()  # whoever reads it wants to know before the waiting begins

    say = _silent if quiet else tell
    if dry_run:
        wish = wish_of(finish_by, duration, now())
        finder = Finder.of(zone, signal, config)
        plan = finder.find(wish, now())
        for line in (*finder.notes, *finder.lines(plan, now())):
            say(line)
        show(plan)
        return
    wait_clean(finish_by, duration, zone, signal, config=config, tell=say, first=show)
    if command:
        sys.stdout.flush()
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


def _check(name: str) -> None:
    """Refuses a command that is not there before hours are waited for it."""
    if shutil.which(name) is None:
        raise BadInput(f"the command {name!r} does not exist, or may not be executed: check its name")


def _silent(_line: str) -> None:
    pass
