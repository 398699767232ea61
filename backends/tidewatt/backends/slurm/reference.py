"""What is kept of an attempt beside its launch: how Slurm calls it, and how to reach it again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidewatt.backends import durable
from tidewatt.backends.slurm.reach import Reach

NAME = "engine.json"


@dataclass(frozen=True, slots=True)
class Reference:
    """One attempt on a cluster. `there` is its folder as the nodes see it; `number` is "" until known.

    `sent_ms` is when it was first sent, in real Unix milliseconds. `first` is the folder there of the attempt
    whose batch script Slurm keeps: another one where this attempt goes on in the same job.
    """

    token: str
    region: str
    reach: Reach
    there: Path
    sent_ms: int
    number: str = ""
    first: Path | None = None
    visible_within_s: float = 60.0

    @classmethod
    def read(cls, folder: Path) -> "Reference | None":
        """That of the attempt; None where nothing was sent.

        Raises:
            durable.CorruptError: The file is not a reference.
        """
        content = durable.read(folder / NAME)
        if content is None:
            return None
        try:
            return cls.restored(content)
        except (KeyError, TypeError) as error:
            raise durable.CorruptError(f"{folder / NAME} is no reference to a job: {error!r}") from error

    @classmethod
    def restored(cls, content: Mapping[str, Any]) -> "Reference":
        """What `record` gave."""
        first = content["first"]
        return cls(
            token=content["token"],
            region=content["region"],
            reach=Reach.restored(content["reach"]),
            there=Path(content["there"]),
            sent_ms=content["sent_ms"],
            number=content["number"],
            first=None if first is None else Path(first),
            visible_within_s=content["visible_within_s"],
        )

    def record(self) -> dict[str, Any]:
        """For JSON; holds no secret."""
        return {
            "engine": "slurm",
            "token": self.token,
            "region": self.region,
            "reach": self.reach.record(),
            "there": str(self.there),
            "sent_ms": self.sent_ms,
            "number": self.number,
            "first": None if self.first is None else str(self.first),
            "visible_within_s": self.visible_within_s,
        }

    def write(self, folder: Path) -> None:
        """Keeps it, durably."""
        durable.replace(folder / NAME, self.record())

    def numbered(self, folder: Path, number: str) -> "Reference":
        """The same with its number, kept."""
        if number == self.number:
            return self
        found = replace(self, number=number)
        found.write(folder)
        return found
