"""Waits for a job's end, and brings it about when it is asked for or the time limit has come."""

import json
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from tidewatt.backends import standstill
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Launch, StopReason
from tidewatt.backends.identity import Identity
from tidewatt.backends.metering import Metering
from tidewatt.backends.pausing import Pauses, number_of
from tidewatt.backends.processes import Tree
from tidewatt.backends.rotating import Rotation

HEARTBEAT_S = 10.0
_KILL_AGAIN_S = 1.0  # a process forked while the others were killed is killed next
_SWEEP_POLL_S = 0.05
_LINGER_S = 0.5  # workers often notice only a moment later that their parent has gone


class Wake:
    """Signals that came, and a descriptor that becomes readable with them."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self.fd, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.write = write
        for number in numbers:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def drain(self) -> set[int]:
        """The signals since the last call."""
        came: set[int] = set()
        with suppress(BlockingIOError):
            while data := os.read(self.fd, 512):
                came.update(data)
        return came


@dataclass(slots=True)
class Watch:
    """One job under watch. `lock_fd` is the supervisor's lock, touched as a sign of life.

    `limit_at` and `kill_at` are on the monotonic clock, `limit_at` as if the job had never stood still.
    `refusal` is why the job could not be started. `cpu_ms` is the CPU time of all processes that were reaped
    so far.
    """

    attempt: Attempt
    launch: Launch
    tree: Tree
    wake: Wake
    lock_fd: int
    metering: Metering
    limit_at: float | None
    pauses: Pauses
    rotation: Rotation
    stopped: StopReason | None = None
    killed: bool = False
    kill_at: float | None = None
    refusal: str = ""
    cpu_ms: int = 0
    _beat_at: float = 0.0
    _metered_at: float = 0.0

    def wait(self, pidfd: int, report: int | None = None) -> None:
        """Returns when the process behind `pidfd` has ended."""
        poll = select.poll()
        for fd in (pidfd, self.wake.fd, *(() if report is None else (report,))):
            poll.register(fd, select.POLLIN)
        while True:
            self._enforce()
            ready = {fd for fd, _ in poll.poll(self._pause_ms())}
            if report is not None and report in ready:
                poll.unregister(report)
                self._hear(report)
                report = None
            if self.wake.fd in ready:
                self._answer(self.wake.drain())
            if pidfd in ready:
                break
        if report is not None:
            self._hear(report)

    def sweep(self) -> int:
        """Ends what the job left behind, by SIGKILL after the grace period; returns how many there were."""
        alone_until = time.monotonic() + _LINGER_S
        while (left := self.tree.members()) and (time.monotonic() < alone_until or self._saves(left)):
            time.sleep(_SWEEP_POLL_S)
        if not left:
            return 0
        kill_at = time.monotonic() + self.launch.grace_s
        if self.kill_at is not None:
            kill_at = min(kill_at, self.kill_at)
        for number in (signal.SIGTERM, signal.SIGCONT):
            self.tree.signal(number)
        while self.tree.members():
            if time.monotonic() >= kill_at and not self.tree.signal(signal.SIGKILL):
                break  # what is left is another user's
            with suppress(OSError):
                os.utime(self.lock_fd)
            time.sleep(_SWEEP_POLL_S)
        return len(left)

    def stop(self, reason: StopReason) -> None:
        """Sends the stop signal; the first reason stays, but for one that only asked for a checkpoint."""
        if self.stopped is None or (self.stopped is StopReason.PAUSED and reason is not self.stopped):
            self.stopped = reason
            self._end()
            self.metering.read("phase")  # what it does from now on is to come to its end

    def _end(self) -> None:
        if self.kill_at is None:
            self.kill_at = time.monotonic() + self.launch.grace_s
        self._terminate()

    def reap(self) -> None:
        """Takes the exits of all children that have ended."""
        with suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is not None:
                self._take(ended.si_pid)

    def _enforce(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_S
            with suppress(OSError):
                os.utime(self.lock_fd)
            self._look()
        if self.stopped is StopReason.PAUSED and self.kill_at is None and self.pauses.over():
            self._end()
        if now >= self._metered_at:
            look_again_s = self.metering.keep()
            self.metering.follow()
            self._metered_at = time.monotonic() + look_again_s
        self.rotation.look(now)
        if (limit_at := self._limit_at()) is not None and now >= limit_at:
            self.stop(StopReason.TIME_LIMIT)
        if self.kill_at is not None and now >= self.kill_at:
            self.killed = True
            self.kill_at = now + _KILL_AGAIN_S
            self.tree.signal(signal.SIGKILL)

    def _look(self) -> None:
        """Does what was asked for since the last look."""
        if (reason := self.attempt.stop_request()) is not None:
            self.stop(reason)
        elif self.stopped in (None, StopReason.PAUSED):
            self.pauses.follow()
            self.stopped = None if self.pauses.saving is None else StopReason.PAUSED

    def _saves(self, left: list[Identity]) -> bool:
        """Whether any of them may still be saving its work: it listens, and there is time left."""
        if self.stopped is not StopReason.PAUSED or self.kill_at is not None or self.pauses.over():
            return False
        return any(standstill.listens(process, number_of(self.launch)) for process in left)

    def _limit_at(self) -> float | None:
        """When its time is over; None while it stands still, is to end anyway, or has no limit."""
        if self.limit_at is None or self.stopped is not None or self.pauses.stands:
            return None
        return self.limit_at + self.pauses.stood_s()

    def _pause_ms(self) -> int:
        times = [self._beat_at, self._metered_at, self._limit_at(), self.rotation.due_s]
        times += [self.kill_at] if self.kill_at is not None else [self.pauses.due_s()]
        due = min(each for each in times if each is not None)
        return max(0, int((due - time.monotonic()) * 1000) + 1)

    def _answer(self, came: set[int]) -> None:
        if signal.SIGCHLD in came:
            self._reap_orphans()
        if signal.SIGHUP in came:
            self._look()
        if came & {signal.SIGTERM, signal.SIGINT}:
            self.stop(self.attempt.stop_request() or StopReason.SIGNALLED)

    def _reap_orphans(self) -> None:
        """The job's own exit is left alone: as long as it is a zombie nobody else gets its pid and group."""
        with suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is not None:
                if ended.si_pid == self.tree.leader.pid:
                    return
                self._take(ended.si_pid)

    def _take(self, pid: int) -> None:
        usage = os.wait4(pid, 0)[2]
        self.cpu_ms += round((usage.ru_utime + usage.ru_stime) * 1000)

    def _hear(self, report: int) -> None:
        said = b""
        while part := os.read(report, 4096):
            said += part
        os.close(report)
        with suppress(ValueError):  # it was killed while it spoke
            self.refusal = str(json.loads(said or b"{}").get("reason", ""))

    def _terminate(self) -> None:
        """SIGTERM to the group, and SIGCONT so that a stopped job hears it."""
        if self.pauses.halted:
            self.tree.signal(signal.SIGTERM)
            self.pauses.let_go(f"to end: {self.stopped}")
            return
        for number in (signal.SIGTERM, signal.SIGCONT):
            if self.tree.leader.fields() is None:
                self.tree.signal(number)
                continue
            try:
                os.killpg(self.tree.leader.pid, number)
            except ProcessLookupError:  # it has not made its group yet
                self.tree.leader.send(number)
            except PermissionError:
                return  # all of the group have become another user's
