"""An attempt's folder: the files in it, and what they say.

`launch.json`, what to start, is written before anything is started. `claim` says who became the job.
`stop.json` asks for its end, `outcome.json` keeps its exit status from the instant it is known, and
`exit.json` closes the attempt once all its processes have ended and the meter was read. `supervisor.lock`
is held by the supervisor while it lives, names it, and is touched now and then as a sign of life. `marks/` is
what the job itself tells of its work, and `pause.json` is there while a pause of it is asked for. Of pauses
(see `pausing`) tell `pausing.json`, `saving.json`, `moves.jsonl` and `checkpoint.json`.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tidewatt.backends import durable, lock, moves
from tidewatt.backends.backend import (
    AttemptStatus,
    Launch,
    Limits,
    Move,
    Owner,
    PauseTerms,
    Phase,
    StopReason,
)
from tidewatt.backends.clock import Clock
from tidewatt.backends.identity import Identity

_PARTS = {"owner": Owner, "pausing": PauseTerms, "limits": Limits}
LONGEST_SIGNATURE = 1000
PAUSES = "pauses"  # in a supervisor's signature: it knows how to pause a job
MARKS = "TIDEWATT_MARKS"  # the variable by which a job finds the folder of its marks
_PATHS = ("folder", "cwd", "environment_file", "stdout", "stderr", "snapshot", "readings", "resumes")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended; neither exit code nor signal where that was lost. `cpu_ms` is its CPU time."""

    ended_ms: int
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    stopped: StopReason | None = None
    cpu_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The files of one attempt."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Locked by the supervisor while it lives."""
        return self.folder / "supervisor.lock"

    @property
    def log(self) -> Path:
        """What the supervisor has to say."""
        return self.folder / "supervisor.log"

    @property
    def exit(self) -> Path:
        """Written last."""
        return self.folder / "exit.json"

    @property
    def outcome(self) -> Path:
        """Written as soon as the exit status is known."""
        return self.folder / "outcome.json"

    @property
    def marks(self) -> Path:
        """What the job's processes tell, made by the first of them."""
        return self.folder / "marks"

    def make(self) -> None:
        """Makes the folder where it is missing, for its owner only."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_launch(self, launch: Launch) -> None:
        """Writes what to start, durably, unless it was written before."""
        content = asdict(launch)
        for name in _PATHS:
            content[name] = None if content[name] is None else str(content[name])
        durable.create(self.folder / "launch.json", content)

    def launch(self) -> Launch | None:
        """What to start, None where nothing was submitted."""
        content = durable.read(self.folder / "launch.json")
        return None if content is None else self.parsed(content)

    def parsed(self, content: dict[str, Any]) -> Launch:
        """The launch that `write_launch` wrote so.

        Raises:
            durable.CorruptError: It is none.
        """
        known = {field.name for field in fields(Launch)}
        try:
            values = {name: value for name, value in content.items() if name in known}
            for name in _PATHS:
                values[name] = None if values.get(name) is None else Path(values[name])
            values["argv"] = tuple(values["argv"])
            values["gpu_uuids"] = tuple(values["gpu_uuids"])
            values["clock"] = Clock(**values["clock"])
            for name, kind in _PARTS.items():
                values[name] = _part(kind, values.get(name))
            return Launch(**values)
        except (KeyError, TypeError) as error:
            raise durable.CorruptError(f"{self.folder / 'launch.json'} is not a launch: {error!r}") from error

    def request_stop(self, reason: StopReason) -> None:
        """Asks for the end, durably; the first reason given stays."""
        durable.create(self.folder / "stop.json", {"reason": reason.value})

    def stop_request(self) -> StopReason | None:
        """Why the end was asked for, None where it was not. That the file is there is what counts."""
        try:
            content = durable.read(self.folder / "stop.json", durable.SMALL_BYTES)
            return None if content is None else StopReason(content["reason"])
        except (durable.CorruptError, KeyError, ValueError):
            return StopReason.CANCELLED

    def announce_pause(self, at_ms: int) -> None:
        """Lets the job know that it will be paused at these real Unix milliseconds; it may save its work."""
        durable.replace(self.folder / "pause.json", {"at_ms": at_ms})

    def withdraw_pause(self) -> None:
        """No pause is coming any more, or it is over."""
        (self.folder / "pause.json").unlink(missing_ok=True)

    def warn(self, warnings: tuple[str, ...]) -> None:
        """Keeps these warnings."""
        durable.replace(self.folder / "warnings.json", {"warnings": list(warnings)})

    def warnings(self) -> tuple[str, ...]:
        """What the attempt's owner should know."""
        content = durable.read(self.folder / "warnings.json", durable.SMALL_BYTES) or {}
        found = content.get("warnings")
        return tuple(str(line) for line in found) if isinstance(found, list) else ()

    def supervisor(self) -> Identity | None:
        """The supervisor that lives, None where none does."""
        if not lock.held(self.lock):
            return None
        try:
            return Identity.from_dict(json.loads(self.signature()))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None  # it has just locked the file and not yet signed it

    def outdated(self) -> bool:
        """Whether a supervisor lives that was started before there were pauses, and will never hear of one.

        Launches of that time do not speak of pauses either.
        """
        if self.supervisor() is None or "pausing" in (durable.read(self.folder / "launch.json") or {}):
            return False
        try:
            return not json.loads(self.signature()).get(PAUSES)
        except (ValueError, AttributeError, RecursionError):  # another one has just come
            return False

    def signature(self) -> str:
        """What the last supervisor that came to work signed with; "" where none ever did."""
        try:
            return (durable.read_bytes(self.lock, LONGEST_SIGNATURE) or b"").decode(errors="replace")
        except durable.CorruptError:  # none of ours
            return ""

    def moves(self) -> tuple[Move, ...]:
        """Its steps into pausing, suspended, resuming and running again."""
        return tuple(step.move for step in moves.read(self.folder))

    def write(self, path: Path, outcome: Outcome) -> None:
        """Writes `outcome` or `exit`, durably."""
        durable.replace(path, asdict(outcome))

    def read(self, path: Path) -> Outcome | None:
        """What `write` wrote, None where there is nothing yet."""
        content = durable.read(path, durable.SMALL_BYTES)
        if content is None:
            return None
        try:
            stopped = content.pop("stopped")
            return Outcome(**content, stopped=None if stopped is None else StopReason(stopped))
        except (KeyError, TypeError, ValueError) as error:
            raise durable.CorruptError(f"{path} is not an outcome: {error!r}") from error


def ended(
    outcome: Outcome, started_ms: int | None, warnings: tuple[str, ...], steps: tuple[Move, ...] = ()
) -> AttemptStatus:
    """The status of an attempt that ended so, after these moves."""
    return AttemptStatus(
        Phase.ENDED,
        started_ms=started_ms,
        ended_ms=outcome.ended_ms,
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        reason=outcome.reason,
        warnings=warnings,
        stopped=outcome.stopped,
        moves=steps,
    )


def _part(kind: type[Any], content: dict[str, Any] | None) -> Any:
    """A part of a launch; JSON knows lists only where we have tuples."""
    if content is None:
        return None
    known = {field.name for field in fields(kind)}
    lists = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
    return kind(**{name: value for name, value in (content | lists).items() if name in known})
