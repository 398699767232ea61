"""Writes docs/faults.md, what a user sees of every fault at every service.

Run it by `python -m tests.grid.fault_table`.
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.grid.fault_rows import TABLE
from tests.grid.fault_scene import Seen, seen
from tests.grid.faults import Row
from tests.grid.services import SERVICES, Service

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BY_KEY = {row.key: row for row in TABLE}
INTRODUCTION = """\
# When a source of carbon intensity fails

No job waits for a service. What a service sends is checked; what cannot be believed is left out, and the next
source of the chain answers: the live forecast, the last good one while it is fresh enough, own forecasts, the
built-in profile. `tidewatt forecast`, `tidewatt status` and `tidewatt doctor` say which one it is and why.

This page is written by `python -m tests.grid.fault_table`, which lets each of these things happen to a
stand-in of each service. `tests/integration/forecasting/test_fault_table.py` checks that the page is true,
and that jobs with deadlines keep them in every case. The numbers are those of a checklist of what programs
like this one have stumbled over; rows without a number are our own additions.

## Which source answers

Each cell names the source that an outlook begins with, where the service had answered well until eight hours
before / where it never had. **live** is its own newest forecast. EIA tells no forecast of the intensity, so
"own" is the best there is of it; Open-Meteo tells the weather alone, so the outlook is that of other sources.
A hyphen means that this cannot happen, for the reason that is given further down.
"""


@cache
def look(key: str, name: str, known: bool) -> Seen:
    """What is seen of one fault at one service."""
    case = BY_KEY[key].cases[name]
    assert not isinstance(case, str)
    return seen(SERVICES[name], case, known=known)


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_matrix(), "", "## What is said", "", *_sentences()]) + "\n"


def _matrix() -> Iterator[str]:
    names = list(SERVICES)
    yield "| | what happens | " + " | ".join(SERVICES[name].title for name in names) + " |"
    yield "| ---: | --- |" + " --- |" * len(names)
    for row in TABLE:
        cells = " | ".join(_cell(row, name) for name in names)
        yield f"| {row.item or ''} | {row.title} | {cells} |"


def _cell(row: Row, name: str) -> str:
    if isinstance(row.cases[name], str):
        return "-"
    rungs = [str(look(row.key, name, known).outlook.segments[0].rung) for known in (True, False)]
    shown = [f"**{rung}**" if rung == "live" else rung for rung in rungs]
    return shown[0] if shown[0] == shown[1] else " / ".join(shown)


def _sentences() -> Iterator[str]:
    yield "The note that stands below an outlook, where the service had answered well before. It goes on with"
    yield "the time at which the last forecast or observations came."
    for service in SERVICES.values():
        yield from ("", f"### {service.title}", "", "| | what happens | note |", "| ---: | --- | --- |")
        for row in TABLE:
            yield f"| {row.item or ''} | {row.title} | {_note(row, service)} |"


def _note(row: Row, service: Service) -> str:
    case = row.cases[service.name]
    if isinstance(case, str):
        return f"- ({case})"
    note = look(row.key, service.name, True).outlook.note
    return lasting(note).replace("|", "\\|") if note else "none: it is used as ever"


def lasting(text: str) -> str:
    """A note without what differs from one run to the next, and without what all notes end with."""
    text = re.sub(r" \([^()]*'s (forecast|observations): [^()]*\)", "", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "api.example", text)
    return re.sub(r"another \d+ s", "another … s", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written\n")
