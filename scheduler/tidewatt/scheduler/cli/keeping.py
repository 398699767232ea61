"""`backup` and `restore`: everything that a state folder keeps, in one file, and put back again."""

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import clock, state_paths, working_folder
from tidewatt.scheduler.cli.text import local, painted, say, say_json, shown

if TYPE_CHECKING:
    from tidewatt.scheduler.daemon.reviving import Restored

MOST_TOLD = 20


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file; packed if it ends in .gz.")],
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The daemon's configuration.  [yours]", show_default=False),
    ] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Leave out the ledger's key and jobs' environments.")
    ] = False,
    without_readings: Annotated[
        bool, typer.Option("--without-readings", help="Leave out the meter's readings.")
    ] = False,
    without_grid: Annotated[
        bool, typer.Option("--without-grid", help="Leave out what the grid's sources told.")
    ] = False,
    as_json: given.AsJson = False,
) -> None:
    """Copy the store, its ledger, keys, rules, readings and waiting jobs into one file, at any time."""
    from tidewatt.backends.clock import time_ms
    from tidewatt.scheduler.daemon.backup import Parts, back_up
    from tidewatt.scheduler.daemon.callers import user_name

    place = state_paths()
    found = _config(config, place.system)
    parts = Parts(not without_keys, not without_readings, not without_grid, found)
    taken = back_up(place, working_folder() / file, parts, time_ms(clock()), user_name())
    if as_json:
        say_json(asdict(taken))
        return
    say(f"{taken.path}: {_size(taken.bytes)}, {counted(taken.events, 'event')} of the ledger,"
        f" {counted(taken.open_jobs, 'job')} that had not ended")  # fmt: skip
    if taken.left_out:
        say(f"  left out: {', '.join(taken.left_out)}")
    if not without_keys:
        say("  it holds the key of the ledger and environments of jobs: keep it as you keep keys")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Jobs that waited go on waiting: nothing has run since.")
    ] = False,
    as_json: given.AsJson = False,
) -> None:
    """Put a backup into an empty state folder: checked first, and nothing in it starts again by itself."""
    from tidewatt.backends.clock import time_ms
    from tidewatt.scheduler.daemon.callers import user_name
    from tidewatt.scheduler.daemon.restoring import restore as put_back

    place = state_paths()
    found = put_back(working_folder() / file, place, time_ms(clock()), user_name(), go_on=go_on)
    if as_json:
        say_json(asdict(found))
        return
    taken = datetime.fromtimestamp(found.taken_ms / 1000, UTC)
    say(f"{found.home} is as it was at {local(taken, clock())}: {counted(found.events, 'event')},"
        f" the whole chain and {counted(found.heads, 'signed head')} of it fit")  # fmt: skip
    _say_jobs(found)
    if found.left_out:
        say(painted(f"  not in it: {', '.join(found.left_out)}", "yellow"))
    say(f"  the next job is number {found.next_job}: numbers in between may have been given since")
    say("  tokens that were revoked since then hold again: look at `tidewatt token list`")
    if found.aside:
        say(painted(f"  what a meter has read since it was lost is kept in {shown(found.aside)}", "yellow"))
    kept = Path(found.home) / "config-of-backup.toml"
    if kept.exists():
        say(f"  the configuration of then is {shown(str(kept))}: `tidewatt up --config` takes it")


def _say_jobs(found: "Restored") -> None:
    """What became of jobs that had not ended."""
    for what, keys, advice in (
        ("ran and can be followed again", found.adopted, ""),
        ("ran and counts as failed, since nobody knows what became of it", found.lost, ""),
        ("is held, since it may have run since", found.held, "`tidewatt release JOB` lets one go"),
        ("is cancelled, since it waited for one that failed", [str(each) for each in found.cancelled], ""),
    ):
        for key in keys[:MOST_TOLD]:
            say(f"  job {key} {what}")
        if len(keys) > MOST_TOLD:
            say(f"  and {len(keys) - MOST_TOLD} more of them: `tidewatt queue --all`")
        if keys and advice:
            say(f"    {advice}")


def _config(named: Path | None, system: bool) -> Path | None:
    """The configuration that goes along: the one that is named, else the one that `up` would read."""
    if named is not None:
        return working_folder() / named
    from tidewatt.scheduler.daemon.serving import CONFIG
    from tidewatt.scheduler.paths import user_config

    found = CONFIG if system else user_config(os.environ)
    return found if found.exists() else None


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 100_000 else f"{number / 1e3:.1f} kB"
