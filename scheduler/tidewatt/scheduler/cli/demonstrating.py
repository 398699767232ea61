"""`demo`: two recorded days of a real grid, replayed."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.text import say_json


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
