"""One sentence about a wrong setting: where it stands, what is wrong, what to do."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tidewatt.scheduler.place import Location, near, placed
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


def complaint(
    error: ValidationError,
    origins: Mapping[str, str],
    file: tuple[str, str],
    known: Mapping[str, Iterable[str]],
    inside: Location = (),
) -> str:
    """The sentence about the first thing that is wrong.

    `origins` maps a top-level key to the variable, flag or place in the file that set it; `file` is the
    file's name and text; `known` are the keys of each table, "" for the top. `inside` is the table that
    was looked at, where it was not the whole file.
    """
    name, text = file
    first = error.errors()[0]
    found = tuple(part for part in first["loc"] if not _is_union_branch(part))
    location = (*inside, *first.get("ctx", {}).get("at", found))
    origin = origins.get(str(location[0]), name) if location else name
    if origin.startswith(name):
        origin = placed(name, text, location)
    more = len({item["loc"][:2] for item in error.errors()}) - 1
    return f"{origin}: {_sentence(first, location, known)}{f' (and {more} more)' if more else ''}"


def _is_union_branch(part: int | str) -> bool:
    """True for what pydantic adds to a location to say which branch of a union it tried."""
    return isinstance(part, str) and (part in ("int", "str") or not re.fullmatch(r"[\w.-]+", part))


def _sentence(error: ErrorDetails, location: Location, known: Mapping[str, Iterable[str]]) -> str:
    key = _dotted(location)
    match error["type"]:
        case "extra_forbidden":
            table = ".".join(str(part) for part in location[:-1] if isinstance(part, str))
            choices = known.get(table) or known.get(f"{table.partition('.')[0]}.*", ())
            return f"unknown key {key}{near(str(location[-1]), choices)}"
        case "missing":
            return f"{key} is missing: add it"
        case "value_error":
            message = error["msg"].removeprefix("Value error, ")
            return f"{key}: {message}" if key else message
        case "misplaced":
            return error["msg"]
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


def _shown(value: object) -> str:
    text = short(value) if isinstance(value, timedelta) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
