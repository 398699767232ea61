"""The meter as the users of a shared server reach it: they may not see its readings, nor start it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidewatt.backends.meters import door, public_door

_TIMEOUT_S = 2.0


def needed(readings: Path) -> bool:
    """Whether these readings are root's, with a door for others."""
    return (
        os.geteuid() != 0
        and not os.access(readings, os.W_OK | os.X_OK)
        and public_door.place(readings).exists()
    )


@dataclass(frozen=True, slots=True)
class PublicMeterClient:
    """Talks to the meter of a shared server; no call raises, none takes longer than about 2 s."""

    readings: Path

    def ensure(self) -> bool:
        """True where the meter answers; the daemon keeps it running."""
        return self._asked({"ask": "hello"})

    def alive(self) -> bool:
        """True where the meter answers."""
        return self.ensure()

    def register(self, attempt_id: str, supervisor_pid: int, job_pid: int | None = None) -> bool:
        """As `MeterClient.register`, for own attempts and processes."""
        return self._asked(public_door.questions(attempt_id, (supervisor_pid, job_pid)))

    def read(self, cause: str) -> bool:
        """Asks for a reading now; True when it is durable."""
        return self._asked({"ask": "read", "cause": cause})

    def unregister(self, attempt_id: str) -> None:
        """Ends what `register` began."""
        self._asked({"ask": "unregister", "attempt_id": attempt_id})

    def _asked(self, question: dict[str, Any]) -> bool:
        answer = door.exchange(public_door.place(self.readings), question, _TIMEOUT_S)
        return answer is not None and bool(answer.get("ok"))
