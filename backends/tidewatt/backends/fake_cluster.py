"""An engine in memory, for tests: as real ones do, it takes every submit as another job, whatever its token.

Nothing here keeps a job from running twice but the claim that each of them makes before it begins. So what a
backend does to prevent it can be put to the test.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from tidewatt.backends import claim
from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, Phase, StopReason
from tidewatt.backends.fake_run import FakeRun
from tidewatt.backends.fake_script import Script
from tidewatt.backends.identity import Identity


@dataclass(slots=True)
class FakeCluster:
    """Jobs by number, on a clock of real milliseconds that the test passes in.

    `down`, where set, is raised by every call. After `highest` jobs numbers begin again at 1, and a number is
    then no longer that of the job that had it. `submits` are all that got here, `begun` the jobs that won
    their claim and ran, `polls` how often it was asked for its jobs.
    """

    now_ms: Callable[[], int]
    script: Script = Script()  # noqa: RUF009 - frozen
    scripts: dict[str, Script] = field(default_factory=dict)
    down: BackendError | None = None
    highest: int = 10**9
    submits: list[Launch] = field(default_factory=list)
    begun: list[FakeRun] = field(default_factory=list)
    polls: int = 0
    _count: int = 0
    jobs: dict[int, "FakeJob"] = field(default_factory=dict)
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def submit(self, launch: Launch) -> int:
        """Takes a job; returns its number.

        Raises:
            BackendError: It did not get here, or the answer did not get back.
        """
        with self._open():
            script = self.scripts.get(launch.attempt_id, self.script)
            if script.loses:
                raise BackendError("the line broke before it was sent", transient=True)
            self.submits.append(launch)
            number = self._count % self.highest + 1
            self._count += 1
            begin_ms = self.now_ms() if launch.not_before_ms is None else launch.not_before_ms
            self.jobs[number] = FakeJob(launch, script, self.now_ms(), max(begin_ms, self.now_ms()))
            self._pass()
            if script.mutes:
                raise BackendError("no answer came within 10 s", transient=True)
            return number

    def look(self, numbers: Iterable[int] = (), tokens: Iterable[str] = ()) -> dict[int, AttemptStatus]:
        """All jobs of these numbers and tokens that it knows and shows, in one call."""
        with self._open():
            self.polls += 1
            self._pass()
            by_number, by_token, now_ms = set(numbers), set(tokens), self.now_ms()
            return {
                number: job.status(now_ms)
                for number, job in self.jobs.items()
                if number in by_number or (job.launch.token in by_token and job.shown(now_ms))
            }

    def token(self, number: int) -> str:
        """The token that a job was given; "" where there is no such job."""
        with self._open():
            self._pass()
            return self.jobs[number].launch.token if number in self.jobs else ""

    def stop(self, number: int, reason: StopReason) -> None:
        """Ends a job, or takes it out of the queue; one that is not there is ended already."""
        with self._open():
            self._pass()
            job = self.jobs.get(number)
            if job is None:
                return
            if job.run is None:
                job.withdrawn = job.withdrawn or f"{reason} before it started"
            elif job.run.stopped is None and job.run.runs(job.at_ms(self.now_ms())):
                job.run.stop(reason, job.at_ms(self.now_ms()))

    def begin(self, number: int, at_ms: int | None) -> None:
        """Has a job begin at this time; None holds it.

        Raises:
            BackendError: It is not in the queue any more.
        """
        with self._open():
            self._pass()
            job = self.jobs.get(number)
            if job is None or job.run is not None or job.withdrawn:
                raise BackendError("the job is not pending any more")
            job.begin_ms = None if at_ms is None else max(at_ms, self.now_ms())
            self._pass()

    def running(self) -> list[str]:
        """The attempts of which a copy runs now, each once for each copy."""
        with self._guard:
            self._pass()
            now_ms = self.now_ms()
            return [run.launch.attempt_id for run in self.begun if run.runs(run.launch.clock.at_ms(now_ms))]

    def _pass(self) -> None:
        """What has become of all jobs by now."""
        now_ms = self.now_ms()
        for number, job in tuple(self.jobs.items()):
            if job.due(now_ms) and job.begin():
                assert job.run is not None  # noqa: S101 - it has just begun
                self.begun.append(job.run)
            if job.forgotten(now_ms):
                del self.jobs[number]

    def _open(self) -> threading.RLock:
        if self.down is not None:
            raise self.down
        return self._guard


@dataclass(slots=True)
class FakeJob:
    """A job of the cluster, whether it has begun or not."""

    launch: Launch
    script: Script
    taken_ms: int
    begin_ms: int | None  # None: held
    run: FakeRun | None = None
    withdrawn: str = ""

    def at_ms(self, real_ms: int) -> int:
        return self.launch.clock.at_ms(real_ms)

    def shown(self, now_ms: int) -> bool:
        return now_ms >= self.taken_ms + round(self.script.hidden_s * 1000)

    def due(self, now_ms: int) -> bool:
        waits = self.run is None and not self.withdrawn and self.begin_ms is not None
        return waits and now_ms >= self._start_ms()

    def begin(self) -> bool:
        """Begins, unless its attempt was claimed or poisoned before; False then."""
        start_ms = self.at_ms(self._start_ms())
        if not claim.take(self.launch.folder, Identity.own(), start_ms):
            self.withdrawn = "another had its claim"
            return False
        self.run = FakeRun(self.launch, replace(self.script, starts_after_s=0.0), start_ms)
        return True

    def forgotten(self, now_ms: int) -> bool:
        after_s = self.script.vanishes_after_s
        if after_s is None or self.run is None:
            return False
        return self.at_ms(now_ms) >= self.run.starts_ms() + round(after_s * 1000)

    def status(self, now_ms: int) -> AttemptStatus:
        if self.withdrawn:
            return AttemptStatus(Phase.POISONED, reason=self.withdrawn)
        if self.run is not None:
            return self.run.status(self.at_ms(now_ms))
        if self.begin_ms is None:
            return AttemptStatus(Phase.LAUNCHING, reason="pending: held")
        why = "begin time" if now_ms < self.begin_ms else "resources"
        return AttemptStatus(Phase.LAUNCHING, reason=f"pending: {why}")

    def _start_ms(self) -> int:
        return (self.begin_ms or 0) + round(self.script.starts_after_s * 1000)
