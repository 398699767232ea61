"""`policy history` and `policy undo`: what operators decided, and taking it back."""

from datetime import UTC, datetime

from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import local, painted, parsed, say, say_json, shown, table
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput

SHOWN = 50


def history(which: str | None, as_json: bool) -> None:
    """Prints all decisions, or one with what it changed."""
    if which is not None:
        _one(_number(which), as_json)
        return
    found = daemon().decisions(SHOWN)
    if as_json:
        say_json(found)
        return
    if not found["decisions"]:
        say("nothing was decided yet")
        return
    head = ("NUMBER", "TIME", "WHO", "WHAT", "BEFORE", "AFTER", "")
    for line in table(head, map(_row, reversed(found["decisions"])), right=(0,)):
        say(line)
    say("")
    say("`tidewatt policy history NUMBER` shows one, `tidewatt policy undo NUMBER` takes it back")


def undo(which: str | None, as_json: bool) -> None:
    """Takes a decision back, without a number the newest that can be."""
    reply = daemon().undo(None if which is None else _number(which))
    if as_json:
        say_json(reply)
        return
    undone, made = reply["undone"], reply["decision"]
    say(f"decision {undone['number']} of {undone['user']} is undone: {shown(undone['sentence'])}")
    say(f"  {undone['name']} is now: {shown(made['after']) or 'as nobody has decided'}")
    say(f"  that is decision {made['number']}: `tidewatt policy undo {made['number']}` takes it back again")
    if reply["later"]:
        say(
            painted(f"holds from the next `tidewatt down` and `up` on: {', '.join(reply['later'])}", "yellow")
        )


def _one(number: int, as_json: bool) -> None:
    found = daemon().decision(number)
    if as_json:
        say_json(found)
        return
    each = found["decision"]
    when = parsed(each["time"])
    at = "" if when is None else local(when, datetime.now(UTC))
    say(f"decision {number}: {shown(each['sentence'])}")
    say(f"  by       {shown(each['user'])}, {at}")
    say(f"  about    {each['name']}")
    say(f"  before   {shown(each['before']) or 'nobody had decided'}")
    say(f"  after    {shown(each['after'])}")
    say(f"  undo     {each['fixed'] or f'tidewatt policy undo {number}'}")
    for line in found["difference"]:
        say(f"    {shown(line)}")


def _row(each: Json) -> tuple[str, ...]:
    when = parsed(each["time"])
    note = f"undoes {each['undoes']}" if each["undoes"] else ""
    note = f"undone by {each['undone']}" if each["undone"] else note
    return (
        str(each["number"]),
        "" if when is None else local(when, datetime.now(UTC)),
        shown(each["user"]),
        each["name"],
        shown(each["before"]) or "-",
        shown(each["after"]) or "-",
        note,
    )


def _number(text: str) -> int:
    if not text.isdecimal():
        raise BadInput(f"{text!r} is no number of a decision: `tidewatt policy history` lists them")
    return int(text)
