"""What is asked of an engine elsewhere, and what it answers; the rest is the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tidewatt.backends.backend import BackendError, Launch, Phase, StopReason
from tidewatt.backends.reference import Reference


class NotTakenError(BackendError):
    """The engine certainly did not take the attempt."""


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

    def withdraw(self, found: Reference) -> bool:
        """Makes sure that an attempt which is not to be found never starts; False where it has started.

        True, too, where nothing of that can be had there.
        """
        ...

    def finish(self, folder: Path, found: Reference) -> None:
        """Brings what an ended attempt has left elsewhere into its folder (`checkpoint.json`)."""
        ...

    def output(self, found: Reference, launch: Launch, offset: int, limit: int) -> bytes:
        """The job's output from this byte on."""
        ...
