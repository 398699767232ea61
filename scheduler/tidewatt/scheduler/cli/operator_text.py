"""What operators decided, as people read it: in `status`, and beside plans and submitted jobs."""

from collections.abc import Iterator
from datetime import datetime

from tidewatt.scheduler.cli.text import folded, local, painted, shown
from tidewatt.scheduler.client import Json


def shifting_lines(shifting: Json, now: datetime) -> Iterator[str]:
    """That shifting is off, by whom and why; nothing where it is on."""
    if shifting["on"]:
        return
    why = f": {shown(shifting['reason'])}" if shifting["reason"] else ""
    since = local(shifting["since"], now)
    yield painted(
        f"shifting is off since {since}, by {shown(shifting['user'])}{why}; `tidewatt shifting on` ends that",
        "yellow",
    )


def operator_lines(status: Json, now: datetime) -> Iterator[str]:
    """Shifting that is off, what is drained, and regions in which nothing starts now; nothing else."""
    yield from shifting_lines(status.get("shifting", {"on": True}), now)
    drains = status.get("drains", ())
    for drain in drains:
        until = "" if drain["until"] is None else f" until {local(drain['until'], now)}"
        why = f": {shown(drain['reason'])}" if drain["reason"] else ""
        yield painted(f"drained: {drain['what']}{until}, by {shown(drain['user'])}{why}", "yellow")
    for region in status["regions"]:
        if region.get("shut") and all(drain["what"] != region["name"] for drain in drains):
            yield painted(shown(region["shut"]), "yellow")


def note_lines(reply: Json) -> Iterator[str]:
    """Defaults of the job's project, and what the operator's rules say of it."""
    yield from folded((f"  policy   {shown(note)}" for note in reply.get("notes", ())), " " * 11)
