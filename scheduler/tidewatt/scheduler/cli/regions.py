"""`regions`, `drain`, `undrain` and `shifting`: where jobs may go now, and what operators decide about it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.operator_text import shifting_lines
from tidewatt.scheduler.cli.session import DaemonTime, daemon
from tidewatt.scheduler.cli.text import (
    intensity,
    lasting,
    local,
    painted,
    parsed,
    say,
    say_json,
    shown,
    table,
)
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_moment

_TITLES = ("REGION", "BACKEND", "ZONE", "NOW", "GPUS FREE", "CORES FREE", "QUEUE WAIT", "STATE", "ENGINE")
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Until then: 6h, 18:00.  [until undrained]")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Shown with it, and kept.")]
Evict = Annotated[
    bool, typer.Option("--evict", help="Jobs there that can save their work do so, and go elsewhere.")
]


def regions(as_json: given.AsJson = False) -> None:
    """Show the regions: live intensity, free capacity, engines' health, and who may start there now."""
    found = daemon().regions()
    if as_json:
        say_json(found)
        return
    now = datetime.fromisoformat(found["now"])
    for line in region_lines(found, now):
        say(line)


def region_lines(found: Json, now: datetime) -> Iterator[str]:
    """A table, and below it what is to be said of each region."""
    yield from table(_TITLES, map(_row, found["regions"]), right=(3, 4, 5, 6))
    for region in found["regions"]:
        yield from _notes(region, now)
    guessed = [region["name"] for region in found["regions"] if _is_guessed(region)]
    if guessed:
        yield f"{', '.join(guessed)}: what is free is reckoned from our own jobs alone"
    for backend in dict.fromkeys(each["backend"] for each in found["regions"] if each["experimental"]):
        yield f"* {backend} is experimental: tested against stand-ins only"
    yield from shifting_lines(found["shifting"], now)


def drain(
    what: Annotated[str, typer.Argument(metavar="REGION|GPU", help="A region, or a GPU by its UUID.")],
    until: Until = None,
    reason: Reason = "",
    evict: Evict = False,
    as_json: given.AsJson = False,
) -> None:
    """Let nothing new start in a region or on a GPU; what runs there goes on."""
    client = daemon()
    now = DaemonTime(client)
    request: Json = {"reason": reason, "evict": evict}
    if until is not None:
        request["until"] = parse_moment(until, now(), what="--until").isoformat()
    reply = client.drain(what, request)
    if as_json:
        say_json(reply)
        return
    drained = reply["drain"]
    lasts = (
        "until `tidewatt undrain`" if drained["until"] is None else f"until {local(drained['until'], now())}"
    )
    say(f"{drained['what']} takes no new starts {lasts}")
    for job in reply["running"]:
        say(f"  job {job['job']}: {shown(job['sentence'])}")


def undrain(
    what: Annotated[str, typer.Argument(metavar="REGION|GPU", help="What was drained.")],
    as_json: given.AsJson = False,
) -> None:
    """Let jobs start there again."""
    left = daemon().undrain(what)
    if as_json:
        say_json({"drains": left})
        return
    rest = ", ".join(each["what"] for each in left)
    say(f"{what} takes new starts again" + (f"; still drained: {rest}" if rest else ""))


def shifting(
    to: Annotated[
        str | None, typer.Argument(metavar="[on|off]", help="Left out, it is shown.", show_default=False)
    ] = None,
    reason: Reason = "",
    as_json: given.AsJson = False,
) -> None:
    """Switch shifting off, so that everything starts as capacity allows, or on again."""
    if to not in (None, "on", "off"):
        raise BadInput(f"shifting cannot be {to!r}: write on or off")
    client = daemon()
    found = client.shifting() if to is None else client.shift({"on": to == "on", "reason": reason})
    if as_json:
        say_json(found)
        return
    if found["on"]:
        say("shifting is on: jobs wait and move for cleaner electricity, within their deadlines")
        return
    now = DaemonTime(client)()
    for line in shifting_lines(found, now):
        say(line)


def _row(region: Json) -> tuple[str, ...]:
    marks = " (home)" if region["home"] else ""
    zones = "/".join(dict.fromkeys(region["zones"].values()))
    wait_s = region["queue_wait_s"]
    health = "" if region["backend"] == "local" else region["health"]
    return (
        region["name"] + marks,
        region["backend"] + (" *" if region["experimental"] else ""),
        zones or "no zone",
        f"{intensity(region['gco2_per_kwh'])} {region['signal']}".strip(),
        _counts(region),
        f"{region['cpus_free']}/{region['cpus']}",
        "" if wait_s is None else lasting(wait_s),
        region["open"],
        health,
    )


def _counts(region: Json) -> str:
    """Free and all GPUs, by kind: `2/4 a100`."""
    kinds = [f"{region['gpus_free'].get(kind, 0)}/{count} {kind}" for kind, count in region["gpus"].items()]
    return ", ".join(kinds) or "none"


def _notes(region: Json, now: datetime) -> Iterator[str]:
    name = region["name"]
    if region["sentence"]:
        yield painted(shown(region["sentence"]), "yellow")
    for gpu in region["drained_gpus"]:
        until = "" if gpu["until"] is None else f" until {local(gpu['until'], now)}"
        yield painted(f"{name}: {gpu['what']} is drained{until} by {shown(gpu['user'])}", "yellow")
    if region["health"] == "cannot be used":
        if not region["sentence"].endswith(region["trouble"]):
            yield painted(f"{name} cannot be used: {shown(region['trouble'])}", "red")
    elif region["trouble"]:
        answered = parsed(region["answered"])
        last = "" if answered is None else f"; it answered last {local(answered, now)}"
        yield painted(f"{name}: its engine is {region['health']}: {shown(region['trouble'])}{last}", "red")
    if region["hours"]:
        yield f"{name}: open {', '.join(region['hours'])} ({region['time_zone']})"
    if region["frozen"]:
        yield painted(shown(region["frozen"]), "yellow")
    if region["price_source"]:
        unit = f" {region['currency']}" if region["currency"] else ""
        most = region["max_price_per_kwh"]
        above = "" if most is None else f"; above {most:g}{unit} only what would be late runs"
        yield f"{name}: {region['price_per_kwh']:g}{unit} a kWh ({shown(region['price_source'])}){above}"
    if region["note"]:
        yield f"{name}: {shown(region['note'])}"
    if region["zone_source"]:
        yield f"{name}: its zone is {region['zone_source']}"


def _is_guessed(region: Json) -> bool:
    """True where no engine tells what is free, though jobs that are not ours may run there."""
    usable = region["backend"] != "local" and region["health"] != "cannot be used"
    return usable and bool(region["counted"] != "its engine")
