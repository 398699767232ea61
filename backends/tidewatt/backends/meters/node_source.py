"""Where a node's own power or energy is read: a command or a URL, and how a number is found in the answer."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidewatt.backends import durable
from tidewatt.backends.backend import BackendError

_TO_MILLIWATTS = {"W": 1_000, "kW": 1_000_000}
_TO_MICROJOULES = {"J": 1_000_000, "kJ": 10**9, "Wh": 3_600 * 10**6, "kWh": 3_600 * 10**9}
_MOST_MW = 1_000_000_000  # a megawatt: no node draws that
_SHOWN = 80


class NoAnswerError(Exception):
    """The node's meter gave no number; the text says why."""


@dataclass(frozen=True, slots=True)
class NodeSource:
    """A node's meter: exactly one of `command` and `url`, and one of `pattern` and `pointer`.

    `pattern` is a regular expression with one group, `pointer` a JSON pointer (RFC 6901); `unit` is one of W
    and kW (power) or J, kJ, Wh and kWh (a counter). `password_file` holds one line and is its owner's only.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    pattern: str = ""
    pointer: str = ""
    unit: str = "W"
    interval_s: float = 10.0
    timeout_s: float = 5.0
    user: str = ""
    password_file: str = ""
    ca_file: str = ""

    @property
    def counts(self) -> bool:
        """Whether it is a counter of energy, not a power."""
        return self.unit in _TO_MICROJOULES

    def value(self, answer: str) -> int:
        """Milliwatts, or microjoules of a counter, that the answer tells.

        Raises:
            NoAnswerError: It tells none that can be right.
        """
        found = _pointed(answer, self.pointer) if self.pointer else _matched(answer, self.pattern)
        try:
            number = float(found)
        except (TypeError, ValueError):
            raise NoAnswerError(f"answers {_short(found)}, which is no number") from None
        factor = _TO_MICROJOULES[self.unit] if self.counts else _TO_MILLIWATTS[self.unit]
        if not math.isfinite(number) or number < 0:
            raise NoAnswerError(f"answers {_short(found)}, which cannot be")
        if self.counts:
            return round(number * factor)
        if not 0 < number * factor < _MOST_MW:
            raise NoAnswerError(f"answers {_short(found)} {self.unit}, which a node that is on does not draw")
        return round(number * factor)


# What ipmitool prints for DCMI's Get Power Reading, and the Power resource of Redfish (DMTF DSP0268).
FORMS: Mapping[str, NodeSource] = {
    "ipmi-dcmi": NodeSource(
        "IPMI DCMI",
        command=("ipmitool", "dcmi", "power", "reading"),
        pattern=r"Instantaneous power reading:\s*([0-9.]+)\s*Watts",
    ),
    "redfish": NodeSource(
        "Redfish", url="/redfish/v1/Chassis/1/Power", pointer="/PowerControl/0/PowerConsumedWatts"
    ),
}


def node_source(form: str = "", **given: Any) -> NodeSource:
    """A source by the name of a ready-made form, by settings of one's own, or both.

    Raises:
        BackendError: They do not say where to read, or what to take of the answer.
    """
    if form and form not in FORMS:
        raise BackendError(
            f"[node] form = {form!r} is not known: use {' or '.join(FORMS)}, or command or url"
        )
    if "pattern" in given and form:
        given.setdefault("pointer", "")
    if form == "redfish" and "url" in given and urlsplit(given["url"]).path in ("", "/"):
        given["url"] = given["url"].rstrip("/") + FORMS[form].url
    source = replace(FORMS.get(form, NodeSource("node meter")), **given)
    _check(source)
    return source


def _check(source: NodeSource) -> None:
    if bool(source.command) == bool(source.url):
        raise BackendError("[node] needs a command or a url, and not both: say where its power is read")
    if source.url and urlsplit(source.url).scheme not in ("http", "https"):
        raise BackendError(f"[node] url = {source.url!r} must begin with https:// or http://")
    if source.url and "@" in urlsplit(source.url).netloc:
        raise BackendError("[node] url must not hold a password: use user and password_file")
    if bool(source.pattern) == bool(source.pointer):
        raise BackendError("[node] needs a pattern or a pointer, and not both: say which number to take")
    if source.pointer and not source.pointer.startswith("/"):
        raise BackendError(f"[node] pointer = {source.pointer!r} must begin with a slash, like /Power/Watts")
    if source.unit not in (*_TO_MILLIWATTS, *_TO_MICROJOULES):
        known = ", ".join((*_TO_MILLIWATTS, *_TO_MICROJOULES))
        raise BackendError(f"[node] unit = {source.unit!r} is not known: use one of {known}")
    try:
        groups = re.compile(source.pattern).groups
    except re.error as error:
        raise BackendError(
            f"[node] pattern = {source.pattern!r} is no regular expression: {error}"
        ) from error
    if source.pattern and groups != 1:
        raise BackendError(f"[node] pattern = {source.pattern!r} must have one group, around the number")


def place(readings: Path) -> Path:
    """The file by which a daemon tells the host's meter of the node's."""
    return readings / "node.json"


def write(readings: Path, source: NodeSource | None) -> None:
    """Tells the meter what to read, None: nothing. A meter that runs takes it over within a minute.

    Raises:
        OSError: The file cannot be written.
    """
    if source is None:
        place(readings).unlink(missing_ok=True)
        return
    readings.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.replace(place(readings), asdict(source))


def read(readings: Path) -> NodeSource | None:
    """What `write` wrote; None where nothing is, or nothing that can be read."""
    with suppress(OSError, durable.CorruptError, KeyError, TypeError, BackendError):
        form = durable.read(place(readings))
        if form is not None and form.keys() <= {part.name for part in fields(NodeSource)}:
            source = NodeSource(**form | {"command": tuple(form["command"])})
            _check(source)
            return source
    return None


def _matched(answer: str, pattern: str) -> str:
    found = re.search(pattern, answer)
    if found is None:
        raise NoAnswerError(f"answers {_short(answer)}, in which the pattern is not found")
    return found[1]


def _pointed(answer: str, pointer: str) -> Any:
    try:
        value = json.loads(answer)
    except ValueError:
        raise NoAnswerError(f"answers {_short(answer)}, which is not JSON") from None
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise NoAnswerError(f"answers without {pointer}") from None
    return value


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
