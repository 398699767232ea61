"""The output of a job's attempts elsewhere, as it grows: the daemon reads it where they run.

Where the daemon itself is elsewhere, so are all attempts.
"""

import base64
from dataclasses import dataclass
from typing import BinaryIO

from tidewatt.scheduler.cli.text import tell
from tidewatt.scheduler.client import Client, Json
from tidewatt.scheduler.errors import SchedulerError

HOST = "local"


@dataclass(slots=True)
class FarTail:
    """Copies it to a stream, one attempt after the other."""

    client: Client
    key: str
    stream: BinaryIO
    name: str = "stdout"
    attempt_id: str = ""
    offset: int = 0
    active: bool = False
    missed: bool = False

    def look(self, job: Json | None) -> None:
        """Takes notice of where the job's attempts are."""
        if job is not None:
            attempts = job.get("attempts", ())
            self.active = any(self.client.far or each.get("backend", HOST) != HOST for each in attempts)

    def copy(self) -> bool:
        """Copies what is new; True where there was something. An engine that does not answer has nothing."""
        copied = False
        while self.active:
            try:
                found = self.client.output(
                    self.key, self.attempt_id, self.offset, here=self.client.far, stream=self.name
                )
            except SchedulerError as error:
                if not self.missed:
                    tell(f"tidewatt: the output of job {self.key} cannot be read now: {error}")
                self.missed = True
                return copied
            self.missed = False
            data = base64.b64decode(found["data"])
            if data:
                self.stream.write(data)
                self.stream.flush()
                self.attempt_id, self.offset, copied = found["attempt_id"], found["offset"], True
            elif found["following"]:
                self.attempt_id, self.offset = found["following"], 0
            else:
                return copied
        return copied
