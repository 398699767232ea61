"""How an attempt ended, from its own script's word and Slurm's."""

import time
from contextlib import suppress
from pathlib import Path

from tidewatt.backends import checkpoint
from tidewatt.backends.backend import AttemptStatus, Launch, Move, Phase, StopReason
from tidewatt.backends.slurm.facts import Facts
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.replies import Row
from tidewatt.backends.slurm.states import Stand, stand, stopped

_KILLED = 137  # 128 + SIGKILL
_TELLING = frozenset({"COMPLETED", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"})  # accounts with an exit code
_BY_SLURM, _PAUSED = "slurm", "pause"
_LOST = "exit status lost"
_FORGOTTEN = "exit status lost: Slurm ended it and no longer knows it"
_WORDS = {
    StopReason.PREEMPTED: "exit status lost: Slurm took its place away",
    StopReason.TIME_LIMIT: "stopped: Slurm's time limit",
    StopReason.SIGNALLED: "stopped: cancelled in Slurm",
}


def waits_for_slurm(seen: Facts, row: Row | None) -> bool:
    """True where its script was told to end by Slurm, which has not said why yet."""
    return seen.exit.get("stop") == _BY_SLURM and row is not None and stand(row.state) is Stand.RUNS


def untold(seen: Facts) -> bool:
    """True where Slurm has to say how it ended."""
    return not seen.exit or seen.exit.get("stop") == _BY_SLURM or _killed(seen)


def _killed(seen: Facts) -> bool:
    """By SIGKILL, which neither we nor its time limit sent."""
    return seen.exit.get("code") == _KILLED and not seen.exit.get("stop")


def ended(launch: Launch, seen: Facts, row: Row | None, moves: tuple[Move, ...]) -> AttemptStatus:
    """The status of an attempt that is over."""
    started_ms = None if seen.started_ms is None else launch.clock.at_ms(seen.started_ms)
    ended_ms = launch.clock.at_ms(_ended_real_ms(seen, row))
    code, signal = _end(seen, row)
    reason, why = _why(seen, row)
    if why is StopReason.PREEMPTED:  # how it would have ended nobody knows
        code = signal = None
    if code is None and signal is None and not reason.startswith(_LOST):
        reason = f"{_LOST}: {reason or (f'Slurm says {row.state}' if row else 'Slurm says nothing')}"
    return AttemptStatus(
        Phase.ENDED,
        started_ms=started_ms,
        ended_ms=max(ended_ms, started_ms or ended_ms),
        exit_code=code,
        signal=signal,
        reason=reason,
        stopped=why,
        moves=tuple(move for move in moves if move.at_ms <= ended_ms),
        gpu_uuids=seen.gpus,
    )


def keep_checkpoint(
    folder: Path, launch: Launch, reference: Reference, seen: Facts, status: AttemptStatus
) -> None:
    """Writes down what a paused attempt kept; a file that this host sees is kept by a link, too."""
    if status.stopped is not StopReason.PAUSED or checkpoint.read(folder) is not None:
        return
    before = None if launch.resumes is None else checkpoint.read(launch.resumes)
    last = None if before is None else before.good
    path, whole = str(seen.exit.get("path") or ""), seen.exit.get("whole") is True
    at_ms = status.ended_ms or launch.clock.now_ms()
    kept = checkpoint.Checkpoint(whole, path if whole else "", "", 0, at_ms, "" if whole else status.reason)
    if whole and path and not reference.reach.ssh and Path(path).exists():
        with suppress(OSError):  # it can be reached, yet not be read: only the job knows it then
            kept = checkpoint.stamp(Path(path), at_ms, folder)
    checkpoint.write(
        folder,
        checkpoint.Checkpoint(
            kept.whole, kept.path, kept.digest, kept.size, kept.at_ms, kept.reason, kept.kept, last
        ),
    )


def _ended_real_ms(seen: Facts, row: Row | None) -> int:
    said = seen.exit.get("ended_ms")
    if isinstance(said, int):
        return said
    if row is not None and row.ended_s is not None and stand(row.state) is Stand.OVER:
        return row.ended_s * 1000
    return time.time_ns() // 1_000_000


def _end(seen: Facts, row: Row | None) -> tuple[int | None, int | None]:
    """Exit code and signal; 128 + n is signal n, as shells say it."""
    code = seen.exit.get("code")
    if not isinstance(code, int):
        if row is None or row.state not in _TELLING:
            return None, None
        return (None if row.signal else row.exit_code), row.signal
    return (None, code - 128) if 128 < code <= 192 else (code, None)


def _why(seen: Facts, row: Row | None) -> tuple[str, StopReason | None]:
    """Why it ended where it did not end by itself: a sentence and the reason of the stop."""
    asked, said = str(seen.exit.get("stop") or ""), str(seen.exit.get("reason") or "")
    if asked == _PAUSED:
        return (f"paused; no whole checkpoint: {said}" if said else "paused"), StopReason.PAUSED
    if asked and asked != _BY_SLURM:
        with suppress(ValueError):
            reason = StopReason(asked.strip())
            return f"stopped: {reason}", reason
        return "stopped: cancelled", StopReason.CANCELLED
    if row is None and _killed(seen):
        return _FORGOTTEN, StopReason.PREEMPTED
    if seen.exit and not asked:
        return said, None
    state = "" if row is None else row.state
    if state == "OUT_OF_MEMORY":
        return "Slurm ended it: it took more memory than it asked for", None
    found = stopped(state)
    if row is None and asked == _BY_SLURM:
        return _FORGOTTEN, StopReason.PREEMPTED
    if found is None and asked == _BY_SLURM:
        found = StopReason.SIGNALLED
    return (_WORDS.get(found, f"stopped: {found}") + f" ({state})" if found else ""), found
