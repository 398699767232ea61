"""Paths into JSON: names, positions, and `[*]` for all of a list, as in `data[*].intensity.actual`."""

import re
from dataclasses import dataclass

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import FeedError

STEP = re.compile(r"(?P<name>[A-Za-z0-9_:$@-]+)|\[(?P<index>\d{1,6}|\*)\]")
EVERY = "*"
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Path:
    """A path as written, and its steps: a name, a position, or `*`."""

    text: str
    steps: tuple[str | int, ...]

    @property
    def many(self) -> bool:
        """Whether it leads to several values."""
        return EVERY in self.steps

    def values(self, body: object) -> list[object]:
        """What stands at the end of the path: one entry for each of a list's; None where an entry lacks it.

        Raises:
            FeedError: what leads there is missing or of another shape.
        """
        found = _follow([body], self.steps, self.text)
        if len(found) > MOST:
            raise FeedError(f"more than {MOST} values at {self.text}: refused")
        return found

    def value(self, body: object) -> object:
        """The one value at the end of the path; None where it is missing."""
        return next(iter(self.values(body)), None)


def path(text: str, what: str) -> Path:
    """The path of a text; `what` names the option in the ForecastError otherwise raised."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        if steps and text[at] == ".":
            at += 1
        found = STEP.match(text, at)
        if found is None or (steps and found["name"] and text[at - 1] != "."):
            break
        index = found["index"]
        steps.append(found["name"] or (index if index == EVERY else int(index)))
        at = found.end()
    if not steps or at != len(text) or text.endswith("."):
        raise ForecastError(f"{what} must be a path such as data[*].value, not {text!r}")
    if steps.count(EVERY) > 2:
        raise ForecastError(f"{what} may hold [*] twice at most, not as in {text!r}")
    return Path(text, tuple(steps))


def _follow(found: list[object], steps: tuple[str | int, ...], text: str) -> list[object]:
    within = False  # behind a [*], what single entries lack is None
    for step in steps:
        if step == EVERY:
            found = [each for values in found for each in _list(values, text)]
            within = True
        elif isinstance(step, int):
            found = [_entry(value, step, text, within) for value in found]
        else:
            found = [_member(value, step, text, within) for value in found]
    return found


def _list(value: object, text: str) -> list[object]:
    if not isinstance(value, list):
        raise FeedError(f"there is no list on the way to {text}: the format has changed")
    return value


def _entry(value: object, index: int, text: str, within: bool) -> object:
    if isinstance(value, list) and index < len(value):
        return value[index]
    if within or isinstance(value, list):
        return None
    raise FeedError(f"there is no list on the way to {text}: the format has changed")


def _member(value: object, name: str, text: str, within: bool) -> object:
    if isinstance(value, dict) and name in value:
        return value[name]
    if within:
        return None
    raise FeedError(f"there is no {name!r} on the way to {text}: the format has changed")
