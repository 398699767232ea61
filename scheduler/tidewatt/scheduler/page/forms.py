"""A form that asks for a job, read field by field: every mistake gets its sentence beside its field."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.memory import parse_memory
from tidewatt.scheduler.pausing_schema import PausingRequest
from tidewatt.scheduler.request_schema import PlanRequest, SubmitRequest
from tidewatt.scheduler.when import parse_duration, parse_moment

FIELDS = (
    "command", "folder", "name", "project", "duration", "finish_by", "gpus", "cpus", "memory", "regions",
    "pausing",
)  # fmt: skip
_FIELD_OF = {"argv": "command", "cwd": "folder", "duration_s": "duration", "mem_mb": "memory"}


@dataclass(slots=True)
class Filled:
    """What was typed, what it means, and a sentence for each field that is wrong ("" for the whole)."""

    typed: Mapping[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def plan(self) -> PlanRequest | None:
        """What would be planned; None where a field is wrong."""
        known = {name: value for name, value in self.values.items() if name in PlanRequest.model_fields}
        return self._made(lambda: PlanRequest(**known))

    def submit(self) -> SubmitRequest | None:
        """What would be submitted; None where a field is wrong."""
        for name in ("command", "folder"):
            if not self.typed.get(name, "").strip():
                self.wrong.setdefault(name, f"The {name} is missing: without it nothing can run.")
        request = self._made(lambda: SubmitRequest(**self.values))
        return request if isinstance(request, SubmitRequest) else None

    def _made(self, make: Callable[[], PlanRequest]) -> PlanRequest | None:
        if self.wrong:
            return None
        try:
            return make()
        except ValidationError as error:
            for each in error.errors():
                name = str(each["loc"][0]) if each["loc"] else ""
                self.wrong.setdefault(_FIELD_OF.get(name, name), f"{each['msg']}.")
            return None


def read(typed: Mapping[str, str], now: datetime) -> Filled:
    """The form as it stands; fields that are left empty say nothing."""
    found = Filled({name: typed.get(name, "") for name in FIELDS})
    zone = _zone(typed.get("tz", ""))
    readers: dict[str, Callable[[str], dict[str, Any]]] = {
        "command": lambda text: {"argv": tuple(_words(text))},
        "folder": lambda text: {"cwd": text},
        "name": lambda text: {"name": text},
        "project": lambda text: {"project": text},
        "duration": lambda text: {"duration_s": parse_duration(text).total_seconds()},
        "finish_by": lambda text: {"finish_by": parse_moment(text, now, zone, "the deadline")},
        "gpus": lambda text: {"gpus": _number(text, "GPUs")},
        "cpus": lambda text: {"cpus": _number(text, "cores")},
        "memory": lambda text: {"mem_mb": parse_memory(text)},
        "regions": lambda text: {"regions": tuple(text.replace(",", " ").split())},
        "pausing": _pausing,
    }
    for name, reader in readers.items():
        text = found.typed[name].strip()
        if not text:
            continue
        try:
            found.values |= reader(text)
        except BadInput as error:
            sentence = str(error)
            found.wrong[name] = f"{sentence[:1].upper()}{sentence[1:]}."
    return found


def _words(text: str) -> list[str]:
    """The words of a command as a shell would part them; nothing is expanded or run."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadInput(f"the command cannot be read ({error}): close what you have opened") from None


def _number(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"{text!r} is no number of {what}: write a whole number") from None


def _pausing(text: str) -> dict[str, Any]:
    if text not in ("stop", "no"):
        raise BadInput("choose how it may be paused from the list")
    return {"pausing": PausingRequest(by="stop")} if text == "stop" else {}


def _zone(name: str) -> ZoneInfo | None:
    """The browser's time zone; None for the server's, where it tells none that is known here."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        return None
