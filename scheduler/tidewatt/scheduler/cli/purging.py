"""`purge`: takes what tells of people out of ended jobs, and leaves every number."""

import sys
from typing import Annotated

import typer

from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import painted, say, say_json, shown
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration


def purge(
    user: Annotated[str, typer.Option(metavar="NAME", help="Ended jobs of this user.")] = "",
    older_than: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Jobs that ended so long ago (400d).", show_default=False),
    ] = None,
    logs: Annotated[bool, typer.Option("--logs", help="Their logs only.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Their paths only.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Purge names, commands, paths, labels, logs, environments and differences of ended jobs, for good."""
    if not user and older_than is None:
        raise BadInput("say what to purge: --user NAME, --older-than 400d, or both")
    seconds = None if older_than is None else parse_duration(older_than, "--older-than").total_seconds()
    request: Json = {"user": user, "older_than_s": seconds, "logs": logs, "paths": paths}
    if dry_run or not sys.stdin.isatty():
        _say(daemon().purge({**request, "dry_run": dry_run}), as_json)
        return
    _say(daemon().purge({**request, "dry_run": True}), as_json=False)
    typer.confirm("It cannot be brought back. Purge it", abort=True, err=True)
    _say(daemon().purge({**request, "dry_run": False}), as_json)


def _say(reply: Json, as_json: bool) -> None:
    if as_json:
        say_json(reply)
        return
    verb = "would be purged" if reply["dry_run"] else "purged"
    size = f"{reply['bytes'] / 1e6:.1f} MB" if reply["bytes"] >= 100_000 else f"{reply['bytes'] / 1e3:.1f} kB"
    what = f"words of {counted(reply['events'], 'event')}, {counted(reply['files'], 'file')} ({size})"
    lines = f", {counted(reply['audit_lines'], 'line')} of the audit log" if reply["audit_lines"] else ""
    say(f"{counted(reply['jobs'], 'job')} {verb}: {what}{lines}")
    if reply["purges"]:
        say(f"  told in the ledger: event {', '.join(map(str, reply['purges']))}")
    for sentence in reply["stays"]:
        say(painted(f"  {shown(sentence)}", "yellow"))
