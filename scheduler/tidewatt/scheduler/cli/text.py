"""Numbers, times and tables as people read them; local time exists only here."""

import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tidewatt.scheduler.accounting.quantity import energy as energy
from tidewatt.scheduler.accounting.quantity import mass

_WIDTH = 80
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class ReaderLeft(Exception):  # noqa: N818 - nothing went wrong
    """Nobody reads the output any more; not an OSError, which typer would make a failure of."""


@contextmanager
def read() -> Iterator[None]:
    """Turns a broken pipe into ReaderLeft."""
    try:
        yield
    except BrokenPipeError:
        raise ReaderLeft from None


def say(line: str = "") -> None:
    """Writes one line of the result to stdout."""
    write(line + "\n")


def write(text: str) -> None:
    """Writes text to stdout."""
    with read():
        sys.stdout.write(text)


def tell(line: str) -> None:
    """Writes one line of talk to stderr, so that stdout holds results alone."""
    sys.stderr.write(line + "\n")


def say_json(message: Any) -> None:
    """Writes a message as JSON to stdout."""
    say(json.dumps(message, indent=2, ensure_ascii=False))


def painted(text: str, style: str) -> str:
    """The text in bold, dim, red, green or yellow, on terminals that want it (NO_COLOR is respected)."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if wanted and text else text


def grams(emissions_g: float | None) -> str:
    """Emissions with a fitting unit; what is not known is said to be so, not zero."""
    return "unknown" if emissions_g is None else mass(emissions_g)


def intensity(gco2_per_kwh: float | None) -> str:
    """Carbon intensity, or `unknown`."""
    return "unknown" if gco2_per_kwh is None else f"{gco2_per_kwh:.0f} g/kWh"


def percent(share: float) -> str:
    """A share as percent, with its sign where negative."""
    if abs(share) < 0.0005:  # rounding leaves such shares, of either sign, where nothing differs
        return "0 %"
    return f"{100 * share:.0f} %" if abs(share) >= 0.095 else f"{100 * share:.1f} %"


def lasting(duration_s: float) -> str:
    """A duration in its two largest units: `6 h 15 min`, `45 s`, `1 d 3 h`."""
    left = abs(round(duration_s))
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count and len(parts) < 2:
            parts.append(f"{count} {name}")
        elif parts:
            break
    return ("-" if duration_s <= -0.5 else "") + (" ".join(parts) or "0 s")


def parsed(moment: str | None) -> datetime | None:
    """The aware moment of the daemon's JSON."""
    return None if moment is None else datetime.fromisoformat(moment)


def local(moment: str | datetime | None, now: datetime | None, *, seconds: bool = False) -> str:
    """Local time with its zone: `today 18:00 CET`, `Mon 23 Nov 06:00 CET`; with the year where needed.

    Without `now` the date is written out.
    """
    found = parsed(moment) if isinstance(moment, str) else moment
    if found is None:
        return "-"
    there = found.astimezone()
    here = None if now is None else now.astimezone()
    days = None if here is None else (there.date() - here.date()).days
    year = "" if here is not None and here.year == there.year else f" {there.year}"
    names: dict[int | None, str] = {0: "today", 1: "tomorrow", -1: "yesterday"}
    day = names.get(days) or f"{there:%a} {there.day} {there:%b}{year}"
    return f"{day} {there:%H:%M:%S %Z}" if seconds else f"{day} {there:%H:%M %Z}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Lines of aligned columns, those of `right` to the right; empty columns are left out."""
    cells = [list(header), *(list(row) for row in rows)]
    kept = [i for i in range(len(header)) if any(row[i] for row in cells[1:])]
    widths = {i: max(len(row[i]) for row in cells) for i in kept}
    to_right = set(right)
    lines = [
        "  ".join(
            row[i].rjust(widths[i]) if i in to_right else row[i].ljust(widths[i]) for i in kept
        ).rstrip()
        for row in cells
    ]
    return [painted(lines[0], "dim"), *lines[1:]]


def folded(lines: Iterable[str], indent: str) -> Iterator[str]:
    """The lines in at most 80 columns, with `indent` before what follows the first of each."""
    for line in lines:
        yield from textwrap.wrap(
            line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )


def shown(text: str) -> str:
    """Somebody's words, with control characters written out: they must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, width: int) -> str:
    """The text, shortened with an ellipsis where it is longer than `width`."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
