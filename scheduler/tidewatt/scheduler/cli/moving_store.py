"""`move-store`: everything that the daemon keeps, from its file into PostgreSQL or back."""

from pathlib import Path
from typing import Annotated

import typer

from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import state_paths
from tidewatt.scheduler.cli.text import say, say_json

_WORDS = {"audit": "audit line", "idempotency": "idempotency key"}  # of tables that are no word for a row


def move_store(
    to: Annotated[str, typer.Argument(metavar="URL|file", help="postgresql://USER@HOST/NAME, or `file`.")],
    as_json: given.AsJson = False,
) -> None:
    """Move jobs, attempts and the ledger into another database; the old one stays as it is."""
    from tidewatt.scheduler.daemon.lifetime import lifelong
    from tidewatt.scheduler.errors import BadInput
    from tidewatt.scheduler.store.address import address, parsed, settle, told
    from tidewatt.scheduler.store.moving import move

    place = state_paths()
    place.make()
    with lifelong(place):
        source = address(place)
        target = place.database if to == "file" else parsed(to)
        if source == target:
            raise BadInput(f"the store is at {told(target)} already")
        if isinstance(source, Path) and not source.exists():
            raise BadInput(
                f"there is no store in {place.home} yet: set database = {to!r} and start the daemon"
            )
        if isinstance(target, Path) and target.exists():
            raise BadInput(f"{target} is there already: move it away first")
        moved = move(source, target)
        settle(place, target)
    if as_json:
        say_json({"from": told(source), "to": told(target), "rows": moved.rows})
        return
    rows = ", ".join(counted(number, _WORDS.get(name, name)) for name, number in moved.rows.items() if number)
    say(f"moved {rows} to {told(target)}")
    say(f"  the old store stays at {told(source)}: keep it until you have looked at the new one")
