"""Notices on their way: bounded, kept over restarts, tried again, one a day where a digest is wanted."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from tidewatt.scheduler.notices.notice import Notice
from tidewatt.scheduler.notices.table import NotifyTable

log = structlog.get_logger()
MOST = 500  # waiting at a time: of more the oldest are let go, and that is told
PAUSES_S = (60.0, 300.0, 1800.0, 7200.0)  # before the second try and those after it
OWN = -1  # for whom: the daemon's own user


@dataclass(slots=True)
class Letter:
    """A notice for one recipient; `left` are the targets, by number, that it has to reach, None: all."""

    to: int
    title: str
    body: str
    due_s: float = 0.0
    tries: int = 0
    left: list[int] | None = None


Send = Callable[[int, NotifyTable, Sequence[Letter]], list[list[int] | None]]
"""Sends letters to a recipient's targets; returns for each the targets it did not reach, None: not known."""


@dataclass(slots=True)
class Outbox:
    """What is to be sent now or later; `seq` is the last event that was looked at, -1 before any.

    `ends` are events whose jobs' accounts are awaited, with when, in Unix seconds, that ends.
    """

    seq: int = -1
    letters: list[Letter] = field(default_factory=list)
    digests: dict[int, list[Letter]] = field(default_factory=dict)
    digested: dict[int, str] = field(default_factory=dict)  # the day of the last one, by recipient
    ends: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    lost: int = 0

    def put(self, notice: Notice, table: NotifyTable, now: datetime) -> None:
        """Takes a notice in, for the digest where one is wanted."""
        to = OWN if notice.uid is None else notice.uid
        letter = Letter(to, notice.title, notice.body, now.timestamp())
        if table.digest:
            waiting = self.digests.setdefault(to, [])
            self.digested.setdefault(to, _day(now) if _hour(now) >= table.digest else "")
        else:
            waiting = self.letters
        waiting.append(letter)
        if len(waiting) > MOST:
            del waiting[0]
            self.lost += 1
            log.warning("notice.lost", why="too many wait to be sent", lost=self.lost)

    def close_digest(self, to: int, table: NotifyTable, now: datetime) -> None:
        """Puts together what waits for a recipient's digest, once its time of day has come."""
        waiting = self.digests.get(to)
        if not waiting or (
            table.digest and (_hour(now) < table.digest or self.digested.get(to) == _day(now))
        ):
            return
        things = f"{len(waiting)} notice{'s' * (len(waiting) != 1)}"
        body = "\n\n".join(f"{each.title}\n{each.body}" for each in waiting)
        self.letters.append(Letter(to, f"{things} since the last digest", body, now.timestamp()))
        del self.digests[to]
        self.digested[to] = _day(now)

    def send(self, tables: Callable[[int], NotifyTable], send: Send, now: datetime) -> bool:
        """Sends what is due; True where anything was."""
        at_s = now.timestamp()
        for letter in self.letters:  # after the clock was set back nothing waits longer than its pause
            letter.due_s = min(letter.due_s, at_s + PAUSES_S[-1])
        due = [letter for letter in self.letters if letter.due_s <= at_s]
        for to in dict.fromkeys(letter.to for letter in due):
            mine = [letter for letter in due if letter.to == to]
            for letter, left in zip(mine, send(to, tables(to), mine), strict=True):
                self._tried(letter, left, at_s)
        return bool(due)

    def _tried(self, letter: Letter, left: list[int] | None, at_s: float) -> None:
        if left == [] or letter.tries >= len(PAUSES_S):
            self.letters.remove(letter)
            if left != []:
                self.lost += 1
                log.warning("notice.lost", why="not delivered", tries=letter.tries + 1)
            return
        letter.due_s = at_s + PAUSES_S[letter.tries]
        letter.tries, letter.left = letter.tries + 1, left

    @classmethod
    def read(cls, path: Path) -> "Outbox":
        """The outbox as it was kept; an empty one where it was not, or cannot be read any more."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                int(kept["seq"]),
                [Letter(**each) for each in kept["letters"]],
                {int(to): [Letter(**each) for each in some] for to, some in kept["digests"].items()},
                {int(to): day for to, day in kept["digested"].items()},
                [(due_s, event) for due_s, event in kept["ends"]],
                int(kept["lost"]),
            )
        return cls()

    def keep(self, path: Path) -> None:
        """Writes it down, whole or not at all. No target stands in it."""
        beside = path.with_name(f".{path.name}")
        with open(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(asdict(self), file)
        beside.replace(path)


def _hour(now: datetime) -> str:
    return f"{now.astimezone():%H:%M}"


def _day(now: datetime) -> str:
    return f"{now.astimezone():%Y-%m-%d}"
