"""The clock of a daemon, its meter and its supervisors: real time, or recorded time replayed faster."""

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime


def time_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware moment."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return round(moment.timestamp() * 1000)


def moment(time_ms: int) -> datetime:
    """The aware UTC moment of Unix milliseconds."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Maps real Unix milliseconds to the clock's own: `replay_ms + (real - real_ms) * factor`.

    The default is the identity. Grace periods, timeouts and locks never use it: they read `time.monotonic`.
    """

    real_ms: int = 0
    replay_ms: int = 0
    factor: float = 1.0

    @property
    def replaying(self) -> bool:
        """True unless this is real time."""
        return self != Clock()

    def at_ms(self, real_ms: int) -> int:
        """This clock's milliseconds at a real instant."""
        return self.replay_ms + round((real_ms - self.real_ms) * self.factor)

    def real_ms_at(self, at_ms: int) -> int:
        """The real instant at which this clock shows these milliseconds."""
        return self.real_ms + round((at_ms - self.replay_ms) / self.factor)

    def now_ms(self) -> int:
        """This clock's Unix milliseconds now."""
        return self.at_ms(time.time_ns() // 1_000_000)

    def now(self) -> datetime:
        """This clock's moment now, aware UTC."""
        return moment(self.now_ms())

    def to_json(self) -> str:
        """The text that `from_json` reads; passed to meter and supervisors."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Clock":
        """The clock that `to_json` wrote."""
        return cls(**json.loads(text))
