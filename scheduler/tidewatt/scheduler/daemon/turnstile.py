"""Submissions that come at the same time are stored as one: the disk is waited for once for all of them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidewatt.scheduler.planning.learnt import Learnt
from tidewatt.scheduler.request_schema import SlackOffer, SubmitRequest

MOST = 64  # of a group: the next one waits no longer for it than for its own


@dataclass(slots=True)
class Taken:
    """A job that was let in: its number, whether it is due, and what is answered beside it."""

    number: int
    due: bool
    offers: tuple[SlackOffer, ...]
    power_w: float
    power_source: str
    notes: tuple[str, ...]
    events: Sequence[Mapping[str, Any]] = ()  # that tell of it

    def kept(self) -> dict[str, Any]:
        """What is kept for those who ask again."""
        return {
            "offers": [each.model_dump(mode="json") for each in self.offers],
            "power_w": self.power_w,
            "power_source": self.power_source,
            "notes": list(self.notes),
        }


@dataclass(slots=True, eq=False)
class Entry:
    """One submission, with whoever asks (`context`); `answer` is None where it has to be looked at alone."""

    request: SubmitRequest
    told: tuple[str, ...]
    learnt: Learnt | None
    folder: Path
    context: Context = field(default_factory=copy_context)
    answer: Taken | None = None
    error: Exception | None = None
    over: bool = False


class Turnstile:
    """Lets one group through at a time; `serve` answers all of it, and never raises."""

    def __init__(self, serve: Callable[[Sequence[Entry]], None]) -> None:
        self._serve = serve
        self._waiting: list[Entry] = []
        self._adding = threading.Lock()
        self._door = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def through(self, entry: Entry) -> Taken | None:
        """The answer, durable; None where it has to be looked at alone. Raises what stands against it."""
        with self._adding:
            self._waiting.append(entry)
        while not entry.over:
            with self._door:
                if not entry.over:
                    self._next()
        if entry.error is not None:
            raise entry.error
        return entry.answer

    def _next(self) -> None:
        with self._adding:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._serve(group)
        finally:
            for each in group:
                each.over = True
