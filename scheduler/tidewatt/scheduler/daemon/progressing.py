"""How much of an attempt's work was kept when it ended before the job was done."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidewatt.backends import durable
from tidewatt.backends.backend import AttemptStatus, Phase, StopReason
from tidewatt.scheduler.daemon.moving import ran_ms

_DIGEST = re.compile(r"[0-9A-Za-z:+/=_-]{1,200}")
_GREATEST = 2**53
FAILED = "no whole checkpoint"  # how a backend's reason begins where a pause left none


@dataclass(frozen=True, slots=True)
class Kept:
    """What a later attempt goes on from; both lengths are work, as on hardware of speed 1.

    `until_ms` is the instant of the attempt's clock up to which its work is kept, its start for nothing.
    `whole` is whether the pause itself left a whole checkpoint. `digest` and `bytes` are of the one that was
    kept, where its backend told.
    """

    ms: int
    lost_ms: int
    until_ms: int
    whole: bool
    digest: str = ""
    bytes: int | None = None

    def record(self) -> dict[str, Any]:
        """In integers and strings, for the event of a pause."""
        return {
            "kept_ms": self.ms,
            "lost_ms": self.lost_ms,
            "kept_until_ms": self.until_ms,
            "whole": int(self.whole),
            **({"digest": self.digest} if self.digest else {}),
            **({} if self.bytes is None else {"bytes": self.bytes}),
        }


def kept(
    status: AttemptStatus,
    started_ms: int,
    ended_ms: int,
    marks: Mapping[str, Any],
    told: Mapping[str, Any] | None,
    *,
    speed: float,
    restart_ms: int,
) -> Kept:
    """What is kept of an attempt that ended so; times are of the attempt's clock.

    Of one paused by checkpoint all that it did before the pause began, where its checkpoint is whole; else
    what it did before the last whole one: of the backend's own record, else of the script's marks, else
    nothing. The first `restart_ms` of its running (0 for a first attempt) are no progress, unless its status
    shows the restart as a phase of its own. `told` is what `read` found.
    """
    until_ms = _until_ms(status, started_ms, ended_ms, marks, told)
    shown = any(move.phase is Phase.RESUMING for move in status.moves[:1])
    idle_ms = 0 if shown else restart_ms
    working = _working_until(status, ended_ms)
    did, keeps = (
        max(0, _ran(status, started_ms, end_ms) - idle_ms) for end_ms in (working, min(until_ms, working))
    )
    whole = until_ms >= working and status.stopped is StopReason.PAUSED
    good = told if whole else (told or {}).get("previous") or {}
    good = good or {}
    return Kept(
        round(keeps * speed),
        round((did - keeps) * speed),
        max(started_ms, min(until_ms, working)),
        whole,
        str(good.get("digest") or ""),
        good.get("size"),
    )


def _working_until(status: AttemptStatus, ended_ms: int) -> int:
    """When it stopped to work: at the beginning of the pause that ended it, else at its end."""
    last = status.moves[-1] if status.moves else None
    return last.at_ms if last is not None and last.phase is Phase.PAUSING else ended_ms


def _until_ms(
    status: AttemptStatus,
    started_ms: int,
    ended_ms: int,
    marks: Mapping[str, Any],
    told: Mapping[str, Any] | None,
) -> int:
    """The instant up to which its work is in the last whole checkpoint."""
    marked = max((at_ms for at_ms, _ in marks.get("checkpoints", ())), default=started_ms)
    if status.stopped is not StopReason.PAUSED:
        return marked
    if told is not None:
        if told.get("whole"):
            return ended_ms
        previous = told.get("previous") or {}
        return max(started_ms, int(previous.get("at_ms", started_ms)))
    return marked if status.reason.startswith(FAILED) else ended_ms


def _ran(status: AttemptStatus, started_ms: int, until_ms: int) -> int:
    seen = tuple(move for move in status.moves if move.at_ms < until_ms)
    return ran_ms(replace(status, moves=seen), started_ms, max(started_ms, until_ms))


def read(folder: Path) -> Mapping[str, Any] | None:
    """What an attempt's backend says of the checkpoint that a pause left; None where it says nothing."""
    try:
        content = durable.read(folder / "checkpoint.json", durable.SMALL_BYTES)
    except (OSError, durable.CorruptError):
        return None
    if content is None:
        return None
    previous = content.get("previous")
    return {
        "whole": content.get("whole") is True,
        **_of_one(content),
        "previous": _of_one(previous) if isinstance(previous, dict) else None,
    }


def _of_one(content: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of one checkpoint and has its right form; a job may have written anything there."""
    digest = content.get("digest")
    numbers = {name: content.get(name) for name in ("at_ms", "size")}
    return {
        **({"digest": digest} if isinstance(digest, str) and _DIGEST.fullmatch(digest) else {}),
        **{name: value for name, value in numbers.items() if type(value) is int and 0 <= value < _GREATEST},
    }
