"""`shares`: who had how much of the GPUs in the last days, and what each may have at a time."""

from collections.abc import Iterator

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import say, say_json, shown, table
from tidewatt.scheduler.client import Json

_TITLES = ("WHO", "WEIGHT", "GPU HOURS", "BY WEIGHT", "RUNNING", "WAITING", "GPUS NOW")


def shares(as_json: given.AsJson = False) -> None:
    """Show fair shares and limits: GPU hours of the last 7 days by user and project, and what is in use."""
    found = daemon().shares()
    if as_json:
        say_json(found)
        return
    for line in share_lines(found):
        say(line)


def share_lines(found: Json) -> Iterator[str]:
    """Shares for people; a limit stands behind what is in use of it."""
    if not found["shares"]:
        yield "nobody has jobs, or had GPUs, lately"
        return
    yield from table(_TITLES, map(_row, found["shares"]), right=range(1, 7))
    yield f"all together: {found['gpu_hours']:.1f} GPU hours in {found['days']} days"
    if not found["weighed"]:
        yield "no weights are configured, so these shares decide nothing: add a [shares] table"


def _row(share: Json) -> tuple[str, ...]:
    limit = share["limit"]
    return (
        f"project {shown(share['name'])}" if share["project"] else shown(share["name"]),
        f"{share['weight']:g}",
        f"{share['gpu_hours']:.1f}",
        f"{share['weighted_gpu_hours']:.1f}",
        _of(share["running"], limit["running"]),
        _of(share["waiting"], limit["waiting"]),
        _of(share["gpus"], limit["gpus"]),
    )


def _of(used: int, most: int | None) -> str:
    return str(used) if most is None else f"{used}/{most}"
