"""What is asked of an engine elsewhere, and what it answers; the rest is the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Protocol

from tidewatt.backends.backend import BackendError, Launch, Phase, StopReason
from tidewatt.backends.reference import Reference


class NotTakenError(BackendError):
    """The engine certainly did not take the attempt."""


class Fate(Enum):
    """What is certain of an attempt that is not to be found once it was to be withdrawn."""

    NEVER = auto()  # it never starts any more, and nothing of it runs
    STARTED = auto()  # it was started, or may have been: no other may be started for it
    OPEN = auto()  # it may still start


@dataclass(frozen=True, slots=True)
class Seen:
    """An attempt as its engine shows it; real Unix milliseconds. Phase LAUNCHING, RUNNING or ENDED."""

    id: str
    phase: Phase
    started_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    preempted: bool = False


class Desk(Protocol):
    """Where an engine is asked. All calls raise BackendError, and are bounded in time."""

    def send(self, launch: Launch, place: Mapping[str, Any]) -> str:
        """Hands the attempt over; returns what the engine calls it.

        Raises:
            NotTakenError: The engine certainly has nothing.
            BackendError: Whether it has it is open.
        """
        ...

    def look(self, place: Mapping[str, Any], wanted: Mapping[str, str]) -> Mapping[str, Seen]:
        """What the engine knows of these tokens, each with its id ("" where it is not known), in bulk."""
        ...

    def end(self, found: Reference, launch: Launch, reason: StopReason) -> None:
        """Asks for its end; safe to repeat."""
        ...

    def withdraw(self, found: Reference) -> Fate:
        """Makes sure that an attempt which is not to be found never starts; says what is certain of it.

        NEVER lets its job start elsewhere, so a time that has passed, or a list without it, is not enough.
        Of a shared folder the attempt's claim decides, and NEVER leaves it to that.
        """
        ...

    def finish(self, folder: Path, found: Reference) -> None:
        """Brings what an ended attempt has left elsewhere into its folder (`checkpoint.json`)."""
        ...

    def output(self, found: Reference, launch: Launch, offset: int, limit: int) -> bytes:
        """The job's output from this byte on."""
        ...
