"""The supervisor of one attempt: `python -m tidewatt.backends.supervisor FOLDER`.

It owns the attempt's processes, GPU leases and exit status, and outlives the daemon. It takes the attempt
up wherever it finds it: starts the job where nobody has claimed it, watches it where an earlier supervisor
was killed, and closes an attempt that has ended.
"""

import errno
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGCHLD, SIGHUP, SIGINT, SIGTERM

from tidewatt.backends import (
    claim,
    durable,
    ending,
    judging,
    kernel,
    lease,
    limits,
    lock,
    shim,
)
from tidewatt.backends.attempt import PAUSES, Attempt, Outcome
from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.cgroup import Cgroup
from tidewatt.backends.identity import Identity
from tidewatt.backends.metering import Metering
from tidewatt.backends.pausing import Pauses
from tidewatt.backends.processes import Tree
from tidewatt.backends.rotating import Rotation
from tidewatt.backends.watch import Wake, Watch

_RESERVE_BYTES = 16 * 1024  # room for the exit status on a disk that has become full
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


@dataclass(slots=True)
class Supervisor:
    """One attempt under supervision. `alive_ms`: an earlier supervisor's last sign of life, real time.

    `group` is the job's cgroup, where it has one.
    """

    attempt: Attempt
    launch: Launch
    wake: Wake
    lock_fd: int
    alive_ms: int
    metering: Metering
    group: Cgroup | None = None

    def start(self) -> None:
        """Starts the job unless it may not be, and sees it to its end."""
        if (asked := self.attempt.stop_request()) is not None:
            claim.poison(self.attempt.folder, f"{asked} before it started")
            return
        self._patiently(self._reserve)
        try:
            leases = lease.take_all(self.launch.gpu_uuids, self._holder())
        except BackendError as error:
            claim.poison(self.attempt.folder, str(error))
            return
        self._warn_of_changed_source()
        self._bound()
        if not (self.metering.start(os.getpid()) and self.metering.read("start")):
            self._warn("the meter did not answer at the start: energy counts from its next reading")
        if self.wake.drain() & {SIGTERM, SIGINT}:
            self._withdraw(leases)
            return
        # Only now: a meter that was started for this attempt must not become a child of this supervisor.
        kernel.adopt_orphans(True)
        private = [self.lock_fd, self.wake.fd, self.wake.write]
        job = shim.fork(self.launch, [each.fd for each in leases], private, self.group)
        watch = self._watch(job.process, time.monotonic(), Identity.own())
        watch.wait(job.pidfd, job.report)
        self._close_started(watch, leases)

    def adopt(self, process: Identity, taken: claim.Claim) -> None:
        """Sees a job to its end that an earlier supervisor started."""
        say(f"takes over pid {process.pid} from a supervisor that is gone")
        self.group = limits.found(self.launch)
        watch = self._watch(process, taken.mono_s, None)
        outcome = self.attempt.read(self.attempt.outcome)
        if process.alive():
            self.metering.start(os.getpid(), process.pid)
        if outcome is None:
            pidfd = process.pidfd()
            if pidfd is None:
                outcome = judging.lost(self.launch, watch, taken, self.alive_ms)
            else:
                watch.wait(pidfd)
                outcome = judging.outcome(self.launch, watch, ending.of_stranger(process, pidfd))
            self._keep(outcome)
        leases = self._take_over()
        if watch.sweep():
            outcome = replace(outcome, ended_ms=self._now_ms())
        self._close(outcome, leases, watch.pauses)

    def _close_started(self, watch: Watch, leases: list[lease.Lease]) -> None:
        taken = claim.read(self.attempt.folder)
        if taken is None or taken.process != watch.tree.leader:
            self._close_unclaimed(watch, leases)
            return
        outcome = judging.outcome(self.launch, watch, ending.of_child(watch.tree.leader.pid))
        self._keep(outcome)
        if left := watch.sweep():
            self._warn(f"{left} processes that the job had left behind were ended with it")
        watch.reap()
        kernel.adopt_orphans(False)
        outcome = replace(outcome, ended_ms=self._now_ms(), cpu_ms=watch.cpu_ms)
        self._close(outcome, leases, watch.pauses)

    def _withdraw(self, leases: list[lease.Lease]) -> None:
        """Told to end before the job was started: whoever only ended this supervisor may start another."""
        if (asked := self.attempt.stop_request()) is not None:
            claim.poison(self.attempt.folder, f"{asked} before it started")
        self.metering.end()
        limits.close(self.group)
        for each in leases:
            each.release()

    def _close_unclaimed(self, watch: Watch, leases: list[lease.Lease]) -> None:
        """The job's process ended before it had the claim: somebody else has it, or it was told to end."""
        watch.reap()
        self._withdraw(leases)
        say(f"the job was not started: {watch.refusal or 'somebody else has the claim'}")

    def _keep(self, outcome: Outcome) -> None:
        """Keeps the exit status from now on, whatever becomes of this process while it ends the rest."""
        try:
            self.attempt.write(self.attempt.outcome, outcome)
        except OSError as error:
            say(f"cannot keep the outcome yet: {error}")

    def _close(self, outcome: Outcome, leases: list[lease.Lease], pauses: Pauses) -> None:
        """The last reading, the leases, the exit: in this order, so that an ended attempt holds nothing."""
        limits.close(self.group)
        outcome = self._judged(outcome, pauses)
        self.metering.read("end")
        self.metering.end()
        for each in leases:
            each.release()
        self._patiently(lambda: self.attempt.write(self.attempt.exit, outcome))
        for path in (self.attempt.outcome, self._reserved):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        judging.forget(self.launch, outcome)
        say(f"ended: exit code {outcome.exit_code}, signal {outcome.signal}; {outcome.reason}")

    def _judged(self, outcome: Outcome, pauses: Pauses) -> Outcome:
        """The outcome with what a paused job kept of its work."""
        found = [outcome]
        try:
            self._patiently(lambda: found.append(judging.paused(self.launch, outcome, pauses)))
        except (durable.CorruptError, OSError) as error:
            return replace(outcome, reason=f"paused; what it kept is not known: {error}")
        return found[-1]

    def _bound(self) -> None:
        """Makes the job's cgroup, where it is to have one."""
        self.group, missing = limits.prepare(self.launch)
        for sentence in missing:
            self._warn(sentence)

    @property
    def _reserved(self) -> Path:
        return self.attempt.folder / "reserve"

    def _reserve(self) -> None:
        fd = os.open(self._reserved, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, durable.MODE)
        try:
            os.posix_fallocate(fd, 0, _RESERVE_BYTES)
        finally:
            os.close(fd)

    def _patiently(self, write: Callable[[], None]) -> None:
        """Writes, again and again while the disk is full."""
        pause_s = 0.1
        while True:
            try:
                return write()
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                say(f"cannot write, tries again in {pause_s:.1f} s: {error}")
            with suppress(OSError):
                self._reserved.unlink(missing_ok=True)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 5.0)

    def _watch(self, process: Identity, mono_s: float, root: Identity | None) -> Watch:
        limit_s = self.launch.time_limit_s
        limit_at = None if limit_s is None else mono_s + limit_s / self.launch.clock.factor
        tree = Tree(process, self.launch.folder, root)
        pauses = Pauses.of(self.attempt, self.launch, tree, self.metering, self.group, say)
        rotation = Rotation(self.launch, pauses, say)
        parts = (self.attempt, self.launch, tree, self.wake, self.lock_fd, self.metering)
        return Watch(*parts, limit_at, pauses, rotation)

    def _warn_of_changed_source(self) -> None:
        if not self.launch.source_digest or self.launch.snapshot is not None:
            return
        from tidewatt.backends import source  # only here: most of a start does without it

        if source.digest(self.launch.cwd) != self.launch.source_digest:
            self._warn(
                f"the code in {self.launch.cwd} changed since it was submitted: "
                "use --snapshot to run what was submitted"
            )

    def _warn(self, sentence: str) -> None:
        try:
            self.attempt.warn((*self.attempt.warnings(), sentence))
        except (OSError, durable.CorruptError) as error:
            say(f"{sentence} (and the warning cannot be kept: {error})")

    def _take_over(self) -> list[lease.Lease]:
        """The leases that ended with the job: nobody gets its GPUs before its last process has ended."""
        leases = []
        for uuid in self.launch.gpu_uuids:
            with suppress(BackendError):
                leases.append(lease.Lease.take(uuid, self._holder()))
        return leases

    def _holder(self) -> lease.Holder:
        key = lease.key(self.attempt.folder)
        return lease.Holder(self.launch.attempt_id, os.getpid(), os.geteuid(), key)

    def _now_ms(self) -> int:
        return self.launch.clock.now_ms()


def say(sentence: str) -> None:
    """One line of the supervisor's log; a log that cannot be written is no reason to stop."""
    with suppress(OSError):
        os.write(
            2, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {os.getpid()} {sentence}\n".encode()
        )


def supervise(folder: Path) -> None:
    """Does what is left to do for the attempt; returns at once where somebody else does it."""
    attempt = Attempt(folder)
    wake = Wake(SIGTERM, SIGINT, SIGHUP, SIGCHLD)
    lock_fd = os.open(attempt.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, durable.MODE)
    if not lock.take(lock_fd) or attempt.exit.exists():
        return
    alive_ms = os.fstat(lock_fd).st_mtime_ns // 1_000_000
    _sign(lock_fd)
    launch = attempt.launch()
    if launch is None:
        say("there is no launch.json: nothing to do")
        return
    supervisor = Supervisor(attempt, launch, wake, lock_fd, alive_ms, Metering(launch, say))
    taken = claim.read(folder)
    if taken is None:
        try:
            supervisor.start()
        except OSError as error:
            # Before the claim it is better to say so than to be started again and again; after it this does
            # nothing.
            claim.poison(folder, f"it could not be started: {error}")
            raise
    elif taken.process is not None:
        supervisor.adopt(taken.process, taken)


def _sign(lock_fd: int) -> None:
    with suppress(OSError):  # a full disk: the lock holds without a signature
        os.ftruncate(lock_fd, 0)
        signature = {**Identity.own().to_dict(), PAUSES: True}
        os.pwrite(lock_fd, json.dumps(signature).encode(), 0)


def main() -> None:
    """Leaves whoever started it, then supervises."""
    if os.fork():
        os._exit(0)
    os.chdir("/")
    supervise(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
