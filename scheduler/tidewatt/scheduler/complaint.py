"""One sentence about a wrong setting: where it stands, what is wrong, what to do."""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tidewatt.scheduler.when import short

_TYPES = {
    "float": "a number",
    "int": "a whole number",
    "string": "text in quotes",
    "bool": "true or false",
    "tuple": "a list",
    "model": "a table",
    "time": 'a duration in quotes, such as "5m"',
}
Location = tuple[int | str, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+?)\s*=")


def complaint(
    error: ValidationError,
    origins: Mapping[str, str],
    file: tuple[str, str],
    known: Mapping[str, Iterable[str]],
) -> str:
    """The sentence about the first thing that is wrong.

    `origins` maps a top-level key to the variable, flag or place in the file that set it; `file` is the
    file's name and text; `known` are the keys of each table, "" for the top.
    """
    name, text = file
    first = error.errors()[0]
    location = tuple(part for part in first["loc"] if not _is_union_branch(part))
    origin = origins.get(str(location[0]), name) if location else name
    if origin.startswith(name):
        origin = placed(name, text, location)
    more = len({item["loc"][:2] for item in error.errors()}) - 1
    return f"{origin}: {_sentence(first, location, known)}{f' (and {more} more)' if more else ''}"


def placed(file: str, text: str, location: Location) -> str:
    """`FILE:LINE` of a key in TOML text, of the nearest table around it, or the file alone."""
    line = line_of(text, location)
    return f"{file}:{line}" if line else file


def line_of(text: str, location: Location) -> int:
    """Line on which the key or, failing that, the innermost table around it stands; 0 where none does."""
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
        if len(path) > best and path == location[: len(path)]:
            best, found = len(path), number
    return found


def _table(name: str, repeated: bool, counts: dict[str, int]) -> Location:
    head, *rest = name.split(".")
    if repeated:
        counts[name] = counts.get(name, -1) + 1
        return (name, counts[name])
    return (head, counts[head], *rest) if head in counts else (head, *rest)


def _is_union_branch(part: int | str) -> bool:
    """True for what pydantic adds to a location to say which branch of a union it tried."""
    return isinstance(part, str) and (part in ("int", "str") or not re.fullmatch(r"[\w.-]+", part))


def _sentence(error: ErrorDetails, location: Location, known: Mapping[str, Iterable[str]]) -> str:
    key = _dotted(location)
    match error["type"]:
        case "extra_forbidden":
            table = ".".join(str(part) for part in location[:-1] if isinstance(part, str))
            return f"unknown key {key}{_near(str(location[-1]), known.get(table, ()))}"
        case "missing":
            return f"{key} is missing: add it"
        case "value_error":
            message = error["msg"].removeprefix("Value error, ")
            return f"{key}: {message}" if key else message
        case "literal_error":
            return f"{key} must be {error['ctx']['expected']}, it is {_shown(error['input'])}"
        case "string_pattern_mismatch":
            return f"{key} must be letters, digits, dots and dashes, it is {_shown(error['input'])}"
        case "too_short" | "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{key} must be {_bound(error)}, it is {_shown(error['input'])}"
        case kind:
            wanted = _TYPES.get(kind.partition("_")[0], error["msg"].removeprefix("Input should be "))
            return f"{key} must be {wanted}, it is {_shown(error['input'])}"


def _bound(error: ErrorDetails) -> str:
    word = {"greater_than": "more than", "less_than": "less than", "less_than_equal": "at most"}.get(
        error["type"]
    )
    limit = next(iter(error["ctx"].values()))
    return f"{word or 'at least'} {short(limit) if isinstance(limit, timedelta) else limit}"


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        # people count tables from one
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _near(key: str, known: Iterable[str]) -> str:
    choices = sorted(known)
    near = difflib.get_close_matches(key, choices, n=1)
    if near:
        return f": did you mean {near[0]}?"
    return f": known are {', '.join(choices)}" if choices else ""


def _shown(value: object) -> str:
    text = short(value) if isinstance(value, timedelta) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
