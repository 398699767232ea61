"""Which tasks an array has, as people write it, and what its tasks are called."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tidewatt.scheduler.errors import BadInput

LARGEST = 1000  # tasks of one array: each is a job of its own, planned with all others
HIGHEST = 999_999  # number of a task
_PART = re.compile(r"(?P<first>\d+)(?:-(?P<last>\d+)(?::(?P<step>\d+))?)?")
_KEY = re.compile(r"(?P<job>[1-9]\d{0,17})(?:_(?P<task>\d{1,6}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tasks:
    """The numbers of an array's tasks, ascending, and how many of them may run at a time (0: any number)."""

    numbers: tuple[int, ...]
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """What a job is called: `12`, or task 3 of array 12. Where 12 is an array, `12` is all of it."""

    job: int
    task: int | None = None

    def __str__(self) -> str:
        """Returns `12` or `12_3`."""
        return str(self.job) if self.task is None else f"{self.job}_{self.task}"


def parse_key(text: str) -> Key:
    """The key that was typed.

    Raises:
        BadInput: if it is none.
    """
    match = _KEY.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"{text!r} is no job's number: `tidewatt queue` lists them")
    return Key(int(match["job"]), None if match["task"] is None else int(match["task"]))


def parse_tasks(text: str) -> Tasks:
    """The tasks of `0-31`, `0-31%4`, `1,3,7` or `0-30:10`.

    Raises:
        BadInput: for anything else, for no or too many tasks, and for a number given twice.
    """
    written, sign, limit = text.replace(" ", "").partition("%")
    if sign and (not limit.isdecimal() or int(limit) == 0):
        raise BadInput(
            f"the array {text!r} cannot be read: after % comes how many run at a time, as in 0-31%4"
        )
    numbers = [number for part in written.split(",") for number in _numbers(part, text)]
    if len(set(numbers)) < len(numbers):
        raise BadInput(f"the array {text!r} names a task twice")
    check_size(numbers)
    return Tasks(tuple(sorted(numbers)), int(limit or 0))


def check_size(numbers: Iterable[int]) -> None:
    """Refuses an array that is too large.

    Raises:
        BadInput: for too many tasks or too high a number.
    """
    found = tuple(numbers)
    if len(found) > LARGEST:
        raise BadInput(f"an array has at most {LARGEST} tasks, this one has {len(found)}: submit it in parts")
    if max(found, default=0) > HIGHEST:
        raise BadInput(f"the tasks of an array are numbered up to {HIGHEST}, not {max(found)}")


def _numbers(part: str, text: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise BadInput(
            f"the array {text!r} cannot be read: write 0-31, 0-31%4 for four at a time, 1,3,7 or 0-30:10"
        )
    first, last, step = (int(match[name] or 0) for name in ("first", "last", "step"))
    if match["last"] is None:
        last = first
    if match["step"] is not None and step == 0:
        raise BadInput(f"the array {text!r} has steps of 0: write for example 0-30:10")
    if last < first:
        raise BadInput(f"the array {text!r} runs from {first} down to {last}: write the lower number first")
    return range(first, last + 1, step or 1)
