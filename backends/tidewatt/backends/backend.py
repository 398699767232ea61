"""The contract of every place that runs jobs: small protocols, of which a backend has some.

Every backend can run attempts (`Backend`). What else it can do it shows by having the verbs of `Withdraw`,
`Pause`, `Reschedule`, `Read` or `Rehearse` (isinstance tells). An attempt is known by its own folder on the
daemon's host, whatever runs it: there stands what was asked for (`launch.json`), and what an engine calls it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

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
    token: str = ""  # the same for ever, unique in the world, `[a-z0-9-]{1,63}`: "tw-1f8e2a9c-12-1"
    region: str = ""
    name: str = ""  # the job's, for people
    gpus: int = 0
    gpu_kind: str = ""  # a word of its name ("a100"), "" for any
    cpus: int = 1
    mem_mb: int = 0  # 0: not limited
    not_before_ms: int | None = (
        None  # real Unix milliseconds; None: at once. Only for engines that `Reschedule`
    )
    owner: "Owner | None" = None  # who the job runs as; None: the daemon's own user
    pausing: "PauseTerms | None" = None  # None: it cannot be paused by checkpoint
    resumes: Path | None = None  # folder of the paused attempt whose work it goes on with
    limits: "Limits | None" = None


@dataclass(frozen=True, slots=True)
class Owner:
    """The system user that a job runs as, with the groups of that user."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job on this host may take. None: not limited, or as the daemon."""

    nice: int | None = None
    io_idle: bool = False  # reads and writes only when nobody else does
    memory_mb: int | None = None  # by cgroup, where one is writable
    cores: float | None = None  # likewise
    log_mb: int | None = None  # its output is rotated at this size


@dataclass(frozen=True, slots=True)
class PauseTerms:
    """How a job is asked for a checkpoint, how one knows that it is whole, and how the job goes on from it.

    The `signal` (a name as in `kill -l`: "TERM", "USR1") asks it to save and end; it has `grace_s` real
    seconds. The checkpoint is whole where the job then ended with one of `exit_codes`, where the newest file
    that matches the glob `file` is younger than the signal and no `unfinished` one lies in or beside it, or
    where its output after the signal has the line `log_line`: each of these that is given has to hold. The
    next attempt gets `resume_args` after its command and `resume_env` in its environment, besides
    TIDEWATT_RESUME=1 and, with a `file` or `folder`, TIDEWATT_CHECKPOINT (also for "{checkpoint}" in the
    arguments). TIDEWATT_CHECKPOINT_DIR is the `folder`, of every attempt. It is relative to the job's folder,
    `file` and `unfinished` are relative to it. With `anew` the job may be ended though all would be lost.
    """

    signal: str = "TERM"
    grace_s: float = 60.0
    exit_codes: tuple[int, ...] = ()
    file: str = ""
    unfinished: str = ""
    log_line: str = ""
    folder: str = ""
    resume_args: tuple[str, ...] = ()
    resume_env: Mapping[str, str] = field(default_factory=dict)
    anew: bool = False


class PauseMode(StrEnum):
    """How an attempt is paused."""

    STOP = "stop"  # its processes stand still and keep their memory and GPUs: for minutes
    CHECKPOINT = "checkpoint"  # it saves its work and ends; another attempt goes on: for hours


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
    PREEMPTED = "preempted"  # the engine took its place away (node lost, spot reclaimed, partition preempted)


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
    gpu_uuids: tuple[str, ...] = ()  # that it got elsewhere, where known; on this host `Launch` says it


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a region has and what is free of it now: GPUs by kind, cores; `note` where not all could be told.

    `waits_s`: how long a job of ours now waits in the engine's own queue, at the 95th percentile of what was
    seen there; None where nothing was.
    """

    gpus: Mapping[str, int]
    gpus_free: Mapping[str, int]
    cpus: int
    cpus_free: int
    note: str = ""
    waits_s: float | None = None


class Backend(Protocol):
    """Runs attempts."""

    def submit(self, launch: Launch) -> None:
        """Starts the attempt, or hands it to the engine.

        On return it will be started once, unless it is stopped before. Safe to repeat, also after a crash or
        an error: equal tokens are one attempt. A transient BackendError leaves open whether the engine has
        it: `status` finds out.
        """
        ...

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """What is known of each attempt, by its folder; never raises, and asks each engine once for all.

        LAUNCHING until it runs, also while it waits in the engine's queue. UNKNOWN where the engine does not
        answer. POISONED only where it is certain that it was never started and never will be.
        """
        ...

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Asks for its end: stop signal, after the grace period SIGKILL. Returns at once; safe to repeat.

        An attempt that has not started never will, and becomes POISONED. One that ends with exit code 0 after
        the signal is not done: its status says `stopped`.
        """
        ...

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """The job's output from this byte on, at most so many bytes; b"" where there is no more yet."""
        ...


@runtime_checkable
class Withdraw(Protocol):
    """Can tell at once whether an attempt has started."""

    def poison(self, folder: Path) -> bool:
        """Makes sure that an attempt which has not started never will; False where it had already started."""
        ...


@runtime_checkable
class Pause(Protocol):
    """Can interrupt attempts."""

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """Asks a running attempt to pause; its status tells what comes of it. Returns at once.

        By STOP it becomes SUSPENDED. By CHECKPOINT it becomes PAUSING and then ends as `stopped` PAUSED.
        Where no whole checkpoint was made its status's `reason` says so, and work since the last good one is
        lost.

        Raises:
            BackendError: This attempt cannot be paused so.
        """
        ...

    def resume(self, folder: Path) -> None:
        """Lets a SUSPENDED attempt go on. One paused by checkpoint goes on as another attempt (`resumes`)."""
        ...

    def signal(self, folder: Path, name: str) -> None:
        """Sends the attempt's processes a signal ("USR1")."""
        ...


@runtime_checkable
class Reschedule(Protocol):
    """Keeps attempts that are not to start yet, and starts them without us."""

    def reschedule(self, folder: Path, not_before_ms: int | None) -> None:
        """Moves the start of an attempt that waits there (real Unix ms); None holds it until moved again."""
        ...


@runtime_checkable
class Read(Protocol):
    """Tells what its attempts used and what it has."""

    def collect(self, folder: Path) -> bool:
        """Brings an ended attempt's readings into `folder/readings`; True once nothing more will come."""
        ...

    def capacity(self, region: str) -> Capacity:
        """What the region has now. Raises BackendError where the engine does not tell."""
        ...


@runtime_checkable
class Rehearse(Protocol):
    """Can show what it would do."""

    def rehearse(self, launch: Launch) -> str:
        """The exact request, command or script that `submit` would send, nothing of it sent."""
        ...
