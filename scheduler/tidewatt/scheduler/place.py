"""Where a key stands in TOML text, and which key was probably meant; tomllib tells neither."""

import difflib
import re
from collections.abc import Iterable

Location = tuple[int | str, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*((?:[A-Za-z0-9_.-]|\"[^\"]*\"|'[^']*')+)\s*\]")
_PART = re.compile(r"\"[^\"]*\"|'[^']*'|[^.]+")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+?)\s*=")


def placed(file: str, text: str, location: Location) -> str:
    """`FILE:LINE` of a key in TOML text, of the nearest table around it, or the file alone."""
    line = line_of(text, location)
    return f"{file}:{line}" if line else file


def line_of(text: str, location: Location) -> int:
    """Line on which the key, the first of its tables or, failing these, the innermost table around it stands.

    0 where none does.
    """
    table: Location = ()
    counts: dict[str, int] = {}
    best, found = 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        path: Location
        if header := _HEADER.match(line):
            table = path = _table(header[2], header[1] == "[[", counts)
        elif key := _KEY.match(line):
            path = (*table, *(part.strip("\"'") for part in key[1].split(".")))
        else:
            continue
        shared = min(len(path), len(location))
        if shared > best and path[:shared] == location[:shared] and (len(path) <= len(location) or best == 0):
            best, found = shared, number
    return found


def _table(name: str, repeated: bool, counts: dict[str, int]) -> Location:
    head, *rest = (part.strip("\"'") for part in _PART.findall(name))
    if repeated:
        counts[name] = counts.get(name, -1) + 1
        return (name, counts[name])
    return (head, counts[head], *rest) if head in counts else (head, *rest)


def near(key: str, known: Iterable[str]) -> str:
    """What to add to `unknown key ...`: the key that was probably meant, else all that there are."""
    choices = sorted(known)
    close = difflib.get_close_matches(key, choices, n=1)
    if close:
        return f": did you mean {close[0]}?"
    return f": known are {', '.join(choices)}" if choices else ""
