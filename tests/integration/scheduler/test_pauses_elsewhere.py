"""Pauses, resumptions and signals of jobs elsewhere: an engine that hangs keeps nobody from work."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.integration.scheduler.pausing_office import CLEAN, PAUSABLE, PausingOffice, pausing_office
from tidewatt.backends.backend import BackendError, PauseMode, StopReason
from tidewatt.backends.fake import FakeBackend, Script
from tidewatt.scheduler.jobs import JobState

PATIENCE_S = 20.0
MUCH_S = PATIENCE_S / 4  # what nobody waits for who does not wait for the engine


@dataclass
class Hanging(FakeBackend):
    """One whose host does not answer while `answers` is not set; `heard` is what it was told, in order."""

    answers: threading.Event = field(default_factory=threading.Event)
    heard: list[str] = field(default_factory=list)
    refuses: BackendError | None = None

    def pause(self, folder: Path, mode: PauseMode) -> None:
        self._hear("pause")
        super().pause(folder, mode)

    def resume(self, folder: Path) -> None:
        self._hear("resume")
        super().resume(folder)

    def signal(self, folder: Path, name: str) -> None:
        self._hear(name)
        super().signal(folder, name)

    def stop(self, folder: Path, reason: StopReason) -> None:
        self._hear("stop")
        super().stop(folder, reason)

    def _hear(self, what: str) -> None:
        self.answers.wait(PATIENCE_S)
        self.heard.append(what)
        if self.refuses is not None:
            raise self.refuses


@contextmanager
def far(folder: Path) -> Iterator[tuple[PausingOffice, Hanging]]:
    """An office whose only region is an engine elsewhere, on which job 1 runs; its lines have threads."""
    with pausing_office(folder, {"DE": [CLEAN]}) as at:
        engine = Hanging(at.backend.now_ms, Script(runs_s=7200, wakes_s=1))
        engine.answers.set()
        at.store.close()
        regions = tuple(replace(region, backend="fake") for region in at.site.regions)
        at.site = replace(at.site, stated_regions=regions, others={"fake": engine})
        at.open()
        at.submit(duration_s=7200.0, pausing=PAUSABLE)
        at.round()
        at.launcher.polls.begin()
        until(at, lambda: at.job(1).state is JobState.RUNNING and at.attempts(1)[0].started_ms is not None)
        yield at, engine
        engine.answers.set()


def until(at: PausingOffice, look: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + PATIENCE_S
    while not look():
        assert time.perf_counter() < deadline, "nothing came of it"
        at.shift(1)
        threading.Event().wait(0.02)


def test_engine_that_hangs_holds_up_neither_requests_nor_rounds(tmp_path: Path) -> None:
    with far(tmp_path) as (at, engine):
        engine.answers.clear()
        began = time.perf_counter()
        view = at.pause("1", PauseMode.STOP)
        at.until(2)
        assert time.perf_counter() - began < MUCH_S
        assert (view.state, engine.heard) == ("running", [])
        assert "pause asked" in at.kinds(1)
        engine.answers.set()
        until(at, lambda: at.job(1).state is JobState.PAUSED)
        assert at.job(1).paused == "owner"


def test_what_is_asked_reaches_an_engine_in_that_order(tmp_path: Path) -> None:
    with far(tmp_path) as (at, engine):
        at.pause("1", PauseMode.STOP)
        until(at, lambda: at.job(1).state is JobState.PAUSED)
        engine.answers.clear()
        at.resume("1")
        at.until(2)
        engine.answers.set()
        until(at, lambda: at.job(1).state is JobState.RUNNING)
        at.until(1)
        at.pause("1", PauseMode.STOP)
        until(at, lambda: at.job(1).state is JobState.PAUSED)
        verbs = [each for n, each in enumerate(engine.heard) if n == 0 or engine.heard[n - 1] != each]
        assert verbs == ["pause", "resume", "pause"]


def test_signal_is_told_as_sent_when_it_was(tmp_path: Path) -> None:
    with far(tmp_path) as (at, engine):
        engine.answers.clear()
        at.signal("1", "USR1")
        assert "signal asked" in at.kinds(1)
        assert "signalled" not in at.kinds(1)
        engine.answers.set()
        until(at, lambda: "signalled" in at.kinds(1))
        assert [name for _, name in engine.signalled] == ["USR1"]


def test_what_an_engine_refuses_is_told_of_the_job(tmp_path: Path) -> None:
    with far(tmp_path) as (at, engine):
        engine.refuses = BackendError("it may not be stopped")
        at.signal("1", "USR1")
        at.pause("1", PauseMode.STOP)
        until(at, lambda: not at.job(1).paused)
        assert at.job(1).state is JobState.RUNNING
        assert at.job(1).warnings == (
            "SIGUSR1, as its owner asked: attempt 1.1 could not be sent it: it may not be stopped",
            "could not be paused: it may not be stopped",
        )


def test_engine_that_could_not_be_reached_is_told_again_and_that_is_told_once(tmp_path: Path) -> None:
    with far(tmp_path) as (at, engine):
        engine.refuses = BackendError("no answer within 10 s", transient=True)
        at.pause("1", PauseMode.STOP)
        until(at, lambda: engine.heard.count("pause") > 2)
        engine.refuses = None
        until(at, lambda: at.job(1).state is JobState.PAUSED)
        (warning,) = at.job(1).warnings
        assert warning.startswith("attempt 1.1 could not be told to pause, and is told again")


def test_cancelling_a_paused_job_does_not_wait_for_its_engine(tmp_path: Path) -> None:
    with far(tmp_path) as (at, engine):
        at.pause("1", PauseMode.CHECKPOINT)
        until(at, lambda: at.job(1).state is JobState.PAUSED)
        engine.answers.clear()
        began = time.perf_counter()
        at.changes.cancel("1")
        assert time.perf_counter() - began < MUCH_S
        assert at.job(1).state is JobState.CANCELLED
        engine.answers.set()
        until(at, lambda: engine.heard[-1] == "stop")
