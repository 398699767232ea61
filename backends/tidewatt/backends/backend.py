"""The contract of every place that runs jobs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from tidewatt.backends.clock import Clock


class BackendError(Exception):
    """A backend could not do what was asked.

    `transient` tells whether the same call may succeed later.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Launch:
    """All that a backend needs to start one attempt; equal ids mean the same attempt.

    `folder` is the attempt's own folder (`jobs/12/1`), already made, mode 0700. `environment_file` holds
    the job's environment as a JSON object, mode 0600; None where no environment was kept (then only PATH,
    HOME, USER, LOGNAME, LANG, SHELL). `stdout`/`stderr` may be the same file; both are appended to.
    `time_limit_s` is on the job's clock, `grace_s` is real. `source_digest` is what the working tree had at
    submit ("" where none was taken); `snapshot` is the folder of copied tracked files to run in instead of
    `cwd`.
    """

    attempt_id: str  # "12.1": job 12, first attempt
    folder: Path
    argv: tuple[str, ...]
    cwd: Path
    environment_file: Path | None
    stdout: Path
    stderr: Path
    gpu_uuids: tuple[str, ...] = ()
    time_limit_s: float | None = None
    grace_s: float = 30.0
    source_digest: str = ""
    snapshot: Path | None = None
    readings: Path | None = None  # folder of the host's meter; None: not metered
    meter_interval_s: float = 10.0
    clock: Clock = Clock()  # noqa: RUF009 - frozen
    umask: int | None = None  # of the job; None: the daemon's
    variables: Mapping[str, str] = field(default_factory=dict)  # in its environment, whatever was kept


class Phase(StrEnum):
    """Where an attempt stands, as its backend knows it."""

    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSING = "pausing"  # it writes a checkpoint, or is about to be stopped
    SUSPENDED = "suspended"
    RESUMING = "resuming"  # it reads its checkpoint, or gets its GPUs back
    ENDED = "ended"
    POISONED = "poisoned"  # proved never started, and never will
    UNKNOWN = "unknown"  # cannot be told now: its GPUs stay booked, nothing is started again


class StopReason(StrEnum):
    """Why an attempt was asked to stop."""

    CANCELLED = "cancelled"
    TIME_LIMIT = "time limit"
    SIGNALLED = "signalled"  # the supervisor itself was told to end, by the system or by hand
    PAUSED = "paused"  # its work is kept, and another attempt goes on with it


@dataclass(frozen=True, slots=True)
class Move:
    """An attempt's step into a phase at a time of its clock; `reason` where there is something to say."""

    phase: Phase
    at_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AttemptStatus:
    """What a backend knows of an attempt; times in the attempt's clock, None where not (yet) known.

    `stopped` is set where the attempt was made to end: an exit code of 0 then does not mean that it is done.
    An ended attempt without exit code and signal has lost its exit status; `reason` says how. `moves` are all
    between its start and its end, in order: into pausing, suspended, resuming and running again.
    """

    phase: Phase
    started_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None  # of a normal exit
    signal: int | None = None  # that ended it
    reason: str = ""  # a sentence, where there is something to say ("stopped: time limit 2 h")
    warnings: tuple[str, ...] = ()  # "the code changed since it was submitted"
    stopped: StopReason | None = None
    moves: tuple[Move, ...] = ()


class Backend(Protocol):
    """Starts, watches and stops attempts."""

    def submit(self, launch: Launch) -> None:
        """Starts the attempt. On return it will be started once unless poisoned first; safe to repeat."""
        ...

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """What is known of each attempt, by its folder; never raises for a single bad attempt."""
        ...

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Asks for its end: stop signal, after the grace period SIGKILL. Returns at once; safe to repeat."""
        ...

    def poison(self, folder: Path) -> bool:
        """Makes sure that an attempt which has not started never will; False where it had already started."""
        ...
