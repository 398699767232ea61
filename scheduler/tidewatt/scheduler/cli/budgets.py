"""`budget`: what projects and users used this month, what is expected of their jobs, and what is left."""

from collections.abc import Iterator
from typing import Annotated

import typer

from tidewatt.scheduler.accounting.quantity import counted, watt_hours
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import grams, painted, say, say_json, shown, table
from tidewatt.scheduler.client import Json

_TITLES = ("BUDGET", "MONTH", "LIMIT", "CREDIT", "USED", "EXPECTED", "LEFT", "SIGNAL", "THEN")


def budget(
    month: Annotated[
        str, typer.Option(metavar="2026-11", help="How this month ended.  [the present one]")
    ] = "",
    as_json: given.AsJson = False,
) -> None:
    """Show budgets of this month (UTC): used is settled, expected is of jobs not settled yet."""
    found = daemon().budgets(month)
    if as_json:
        say_json({"budgets": found})
        return
    if not found:
        say("no budget is configured: add [[budget]] tables to the daemon's configuration")
        return
    for line in table(_TITLES, map(_row, found), right=range(2, 7)):
        say(line)
    for line in (line for each in found for line in _notes(each)):
        say(line)


def _row(budget: Json) -> tuple[str, ...]:
    numbers = (_amount(budget, name) for name in ("limit", "credit", "used", "expected", "left"))
    limit, credit, *others = numbers
    return (
        shown(budget["of"]), budget["month"], limit, credit if budget["credit"] else "", *others,
        budget["signal"], budget["when"],
    )  # fmt: skip


def _notes(budget: Json) -> Iterator[str]:
    of = shown(budget["of"])
    if budget["left"] < 0:
        yield painted(f"{of} is over its budget", "red")
    if budget["unknown_jobs"]:
        yield f"{of}: not known, so in none of these amounts: {counted(budget['unknown_jobs'], 'job')}"
    if budget["held_jobs"]:
        yield f"{of}: on hold, so in none of these amounts: {counted(budget['held_jobs'], 'job')}"


def _amount(budget: Json, name: str) -> str:
    value = float(budget[name])
    return watt_hours(value, budget["limit"]) if budget["unit"] == "kWh" else grams(value * 1000)
