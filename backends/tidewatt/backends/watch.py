"""Waits for a job's end, and brings it about when it is asked for or the time limit has come."""

import json
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Launch, StopReason
from tidewatt.backends.metering import Metering
from tidewatt.backends.processes import Tree

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

    `limit_at` and `kill_at` are on the monotonic clock. `refusal` is why the job could not be started.
    `cpu_ms` is the CPU time of all processes that were reaped so far.
    """

    attempt: Attempt
    launch: Launch
    tree: Tree
    wake: Wake
    lock_fd: int
    metering: Metering
    limit_at: float | None
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
        while (left := self.tree.members()) and time.monotonic() < alone_until:
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
        """Sends the stop signal; the first reason stays."""
        if self.stopped is None:
            self.stopped = reason
            self.kill_at = time.monotonic() + self.launch.grace_s
            self._terminate()
            self.metering.read("phase")  # what it does from now on is to come to its end

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
            if self.stopped is None and (reason := self.attempt.stop_request()) is not None:
                self.stop(reason)
        if now >= self._metered_at:
            look_again_s = self.metering.keep()
            self.metering.follow()
            self._metered_at = time.monotonic() + look_again_s
        if self.limit_at is not None and now >= self.limit_at:
            self.stop(StopReason.TIME_LIMIT)
        if self.kill_at is not None and now >= self.kill_at:
            self.killed = True
            self.kill_at = now + _KILL_AGAIN_S
            self.tree.signal(signal.SIGKILL)

    def _pause_ms(self) -> int:
        times = [self._beat_at, self._metered_at]
        if self.stopped is None and self.limit_at is not None:
            times.append(self.limit_at)
        if self.kill_at is not None:
            times.append(self.kill_at)
        return max(0, int((min(times) - time.monotonic()) * 1000) + 1)

    def _answer(self, came: set[int]) -> None:
        if signal.SIGCHLD in came:
            self._reap_orphans()
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
