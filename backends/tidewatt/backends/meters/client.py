"""The door to a host's meter: starts it where none runs and asks it for readings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends.clock import Clock


@dataclass(frozen=True, slots=True)
class MeterClient:
    """Talks to the meter that writes into `readings`. No call raises, none takes longer than about 2 s.

    `while_locked` are lock files (the daemon's): the meter lives on while anybody holds one of them.
    """

    readings: Path
    interval_s: float
    clock: Clock
    while_locked: Sequence[Path] = ()

    def ensure(self) -> bool:
        """Starts the meter unless it runs; True when it answers."""
        raise NotImplementedError

    def register(self, attempt_id: str, supervisor_pid: int, job_pid: int | None = None) -> None:
        """Makes the attempt's CPU time part of every reading; durable, safe to repeat.

        `job_pid` is needed only where the job is not below the supervisor (an adopting one).
        """
        raise NotImplementedError

    def read(self, cause: str) -> bool:
        """Asks for a reading now; True when it is durable. A dead meter is started again and asked once more."""
        raise NotImplementedError

    def unregister(self, attempt_id: str) -> None:
        """Ends what `register` began."""
        raise NotImplementedError
