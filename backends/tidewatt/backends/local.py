"""Runs jobs on this host, each under a supervisor of its own that outlives whoever asked for it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends import claim, durable, lock, pausing
from tidewatt.backends.attempt import Attempt, ended
from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, PauseMode, Phase, StopReason
from tidewatt.backends.durably import durably
from tidewatt.backends.processes import Tree
from tidewatt.backends.rotation import Output

_START_S = 5.0  # within this time a supervisor should have taken its lock
_STARTS = 5  # so often a supervisor is started before we say that it cannot be


@dataclass(frozen=True, slots=True)
class _Starts:
    """Supervisors started for one attempt since one of them was seen at work.

    `signature` is what the lock said before the last one: once that changed, it came to work and has gone
    again.
    """

    signature: str
    count: int
    last_s: float


@dataclass(slots=True)
class LocalBackend:
    """Attempts as processes of this host. One instance may be used from several threads.

    `python` runs the supervisors; it must find this package.
    """

    python: str = sys.executable
    _starts: dict[Path, _Starts] = field(default_factory=dict)
    _children: set[int] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, launch: Launch) -> None:
        """Writes down what to start and starts its supervisor, without waiting for either supervisor or job.

        On return the attempt is durable: should its supervisor die before the job was started, `status`
        starts another one. An attempt that was started, poisoned or has ended stays as it is.

        Raises:
            BackendError: Nothing was started; transient where the disk is full or no process can be made.
        """
        attempt = Attempt(launch.folder)
        if not launch.folder.is_absolute():
            raise BackendError(f"the attempt's folder {launch.folder} must be an absolute path")
        with durably(f"attempt {launch.attempt_id} cannot be started"):
            attempt.make()
            attempt.write_launch(launch)
            if claim.read(launch.folder) is None:
                self._supervise(launch.folder)

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """What is known of each attempt; where a supervisor is missing another one is started."""
        self._reap()
        return {folder: self._status(Attempt(folder)) for folder in folders}

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Asks for the attempt's end, durably; an attempt that has not started never will.

        Raises:
            BackendError: The request could not be written; nothing was signalled.
        """
        attempt = Attempt(folder)
        with durably(f"the attempt in {folder} cannot be stopped"):
            attempt.make()
            attempt.request_stop(reason)
            supervisor = attempt.supervisor()
            if supervisor is not None and supervisor.send(signal.SIGTERM):
                return
            if attempt.exit.exists() or claim.poison(folder, f"{reason} before it started"):
                return
            self._supervise(folder)

    def poison(self, folder: Path) -> bool:
        """Makes sure that an attempt which has not started never will; False where it had already started.

        Raises:
            BackendError: It can be neither read nor written.
        """
        with durably(f"the attempt in {folder} cannot be poisoned"):
            Attempt(folder).make()
            return claim.poison(folder, "withdrawn before it started")

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """The job's output from this byte on; b"" where there is no more yet.

        Raises:
            BackendError: It cannot be read.
        """
        with durably(f"the output of the attempt in {folder} cannot be read"):
            launch = Attempt(folder).launch()
            return b"" if launch is None else Output(folder, launch.cwd / launch.stdout).read(offset, limit)

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """Asks for it, durably; the supervisor brings it about.

        Raises:
            BackendError: The attempt does not run, or cannot be paused so: nothing was signalled.
        """
        attempt = Attempt(folder)
        with durably(f"the attempt in {folder} cannot be paused"):
            tree = self._running(attempt)
            if attempt.outdated():
                raise BackendError(
                    "it was started by an earlier version of Tidewatt, whose supervisor cannot pause it and"
                    " sees it to its end; `tidewatt cancel` ends it, `tidewatt rerun` starts it anew"
                )
            launch = attempt.launch()
            saves = mode is PauseMode.CHECKPOINT
            if launch is not None and saves and (why := pausing.refusal(launch, tree.members())):
                raise BackendError(f"the attempt cannot be paused by checkpoint: {why}")
            pausing.ask(folder, pausing.Wish(mode.value))
            self._wake(attempt)

    def resume(self, folder: Path) -> None:
        """Asks for it, durably; an attempt that runs goes on.

        Raises:
            BackendError: The attempt does not run any more, or was asked to save its work and to end.
        """
        attempt = Attempt(folder)
        with durably(f"the attempt in {folder} cannot be resumed"):
            self._running(attempt)
            if pausing.Saving.of(folder) is not None:
                raise BackendError("the attempt saves its work and ends: another one goes on with it")
            pausing.ask(folder, pausing.Wish.RUN)
            self._wake(attempt)

    def signal(self, folder: Path, name: str) -> None:
        """Sends each process of the job a signal; those that stand still get it when they go on.

        Raises:
            BackendError: There is no such signal, or no process of the job.
        """
        number = pausing.named(name)
        if number is None:
            raise BackendError(f"there is no signal {name!r}: name one such as USR1 or TERM")
        attempt = Attempt(folder)
        with durably(f"the attempt in {folder} cannot be signalled"):
            self._running(attempt).signal(number)

    def processes(self, folder: Path) -> frozenset[int]:
        """The pids of the attempt's job that live now, without its supervisor; empty where none is known."""
        attempt = Attempt(folder)
        try:
            taken = claim.read(folder)
        except (OSError, durable.CorruptError):
            return frozenset()
        if taken is None or taken.process is None:
            return frozenset()
        members = Tree(taken.process, folder, attempt.supervisor()).members()
        return frozenset(process.pid for process in members)

    def _running(self, attempt: Attempt) -> Tree:
        """The processes of an attempt that runs."""
        taken = claim.read(attempt.folder)
        if taken is None:
            raise BackendError("the attempt has not started yet", transient=True)
        if taken.process is None or attempt.exit.exists() or not taken.process.alive():
            raise BackendError("the attempt does not run any more")
        return Tree(taken.process, attempt.folder, attempt.supervisor())

    def _wake(self, attempt: Attempt) -> None:
        """Has the supervisor look what is asked for; starts one where none lives."""
        supervisor = attempt.supervisor()
        if supervisor is None or not supervisor.send(signal.SIGHUP):
            self._supervise(attempt.folder)

    def _status(self, attempt: Attempt) -> AttemptStatus:
        try:
            taken = claim.read(attempt.folder)
            if taken is None:
                return self._unclaimed(attempt)
            if taken.process is None:
                self._starts.pop(attempt.folder, None)
                return AttemptStatus(Phase.POISONED, reason=taken.reason)
            # First the lock: a supervisor writes the exit before it lets go.
            supervised = lock.held(attempt.lock)
            outcome = attempt.read(attempt.exit)
            if outcome is not None:
                self._starts.pop(attempt.folder, None)
                return ended(outcome, taken.started_ms, attempt.warnings(), attempt.moves())
            return self._claimed(attempt, taken, supervised)
        except (OSError, durable.CorruptError) as error:
            return AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {error}")

    def _unclaimed(self, attempt: Attempt) -> AttemptStatus:
        if attempt.launch() is None:
            return AttemptStatus(Phase.LAUNCHING, reason="not submitted yet")
        if lock.held(attempt.lock):
            self._starts.pop(attempt.folder, None)
            return AttemptStatus(Phase.LAUNCHING, reason=_room(attempt.folder))
        if self._revived(attempt.folder):
            return AttemptStatus(Phase.LAUNCHING)
        reason = f"its supervisor cannot be started: see {attempt.log}"
        if claim.poison(attempt.folder, reason):
            return AttemptStatus(Phase.POISONED, reason=reason)
        return AttemptStatus(Phase.LAUNCHING)

    def _claimed(self, attempt: Attempt, taken: claim.Claim, supervised: bool) -> AttemptStatus:
        """The status of an attempt that was started and is not closed."""
        reason = ""
        if supervised:
            self._starts.pop(attempt.folder, None)
        elif not self._revived(attempt.folder):
            reason = f"no supervisor can be started for it: see {attempt.log}"
            if taken.process is not None and not taken.process.alive():
                lost = f"exit status lost: {reason}"
                return AttemptStatus(Phase.ENDED, started_ms=taken.started_ms, reason=lost)
        moves = attempt.moves()
        return AttemptStatus(
            moves[-1].phase if moves else Phase.RUNNING,
            started_ms=taken.started_ms,
            reason=reason,
            warnings=attempt.warnings(),
            moves=moves,
        )

    def _revived(self, folder: Path) -> bool:
        """Starts a supervisor unless one is just starting; False where that was tried often enough."""
        with self._guard:
            starts = self._starts.get(folder)
        if starts is not None:
            came = starts.signature != Attempt(folder).signature()
            if not came and time.monotonic() - starts.last_s < _START_S:
                return True
            if starts.count >= _STARTS:
                return False
        self._supervise(folder)
        return True

    def _supervise(self, folder: Path) -> None:
        """Starts a supervisor; where one works already the new one ends at once."""
        log, signature = os.fspath(Attempt(folder).log), Attempt(folder).signature()
        pid = self._spawn([self.python, "-P", "-m", "tidewatt.backends.supervisor", os.fspath(folder)], log)
        with self._guard:
            self._children.add(pid)
            before = self._starts.get(folder)
            count = 1 if before is None else before.count + 1
            self._starts[folder] = _Starts(signature, count, time.monotonic())

    def _spawn(self, argv: list[str], log: str) -> int:
        """Starts a process of our own user in a session of its own; its pid."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        return os.posix_spawn(
            argv[0],
            argv,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, durable.MODE),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD),
        )

    def _reap(self) -> None:
        """Takes the exits of the processes that supervisors have forked away from."""
        with self._guard:
            for pid in tuple(self._children):
                try:
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        self._children.discard(pid)
                except ChildProcessError:  # somebody waits for all children here
                    self._children.discard(pid)


def _room(folder: Path) -> str:
    """Why an attempt waits, where its disk is full."""
    disk = os.statvfs(folder)
    return "" if disk.f_bavail else f"waits for room on the disk of {folder}"
