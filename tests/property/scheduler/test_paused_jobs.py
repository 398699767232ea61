"""Whatever is asked of jobs that pause: at most one attempt at a time, and every job ends once."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.scheduler.office import NOW
from tests.integration.scheduler.pausing_office import (
    CLEAN,
    DIRTY,
    HOUR,
    PAUSABLE,
    PausingOffice,
    pausing_office,
)
from tidewatt.backends.backend import BackendError, PauseMode
from tidewatt.backends.fake import Script
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.jobs import ENDED, JobState

ZONES = {"DE": [CLEAN, DIRTY, DIRTY, CLEAN, DIRTY], "FR": [DIRTY, CLEAN, DIRTY, DIRTY, CLEAN, DIRTY]}
JOBS = ("1", "2")
actions = st.tuples(
    st.sampled_from(["pause", "stop", "checkpoint", "while", "resume", "restart", "mute", "hold", "release"]),
    st.sampled_from(JOBS),
    st.integers(1, 40),
)


def act(at: PausingOffice, verb: str, key: str) -> None:
    """What a person or a fault does; a refusal is an answer, too."""
    try:
        match verb:
            case "pause":
                at.pause(key)
            case "stop" | "checkpoint":
                at.pause(key, PauseMode(verb))
            case "while":
                at.pause(key, for_s=900)
            case "resume":
                at.resume(key)
            case "hold":
                at.changes.hold(key)
            case "release":
                at.changes.release(key)
            case "mute":
                at.backend.failing = BackendError("no answer", transient=True)
            case "restart":
                at.store.close()
                at.open()
    except (Refused, BackendError):
        return


def check(at: PausingOffice) -> None:
    """At most one live attempt of each job, and no more progress than there is work."""
    live = [each.job_id for each in at.store.live_attempts()]
    assert len(live) == len(set(live))
    running = [
        each.launch.attempt_id.partition(".")[0]
        for each in at.backend._begun(at.backend.now_ms())
        if each.runs(at.backend.now_ms())
    ]
    assert len(running) == len(set(running))
    for job in at.store.jobs():
        assert 0 <= job.progress_ms <= job.duration_ms + 60_000
        if job.state is JobState.PAUSED:
            assert job.paused


@settings(max_examples=12, deadline=None)
@given(st.lists(actions, max_size=12), st.booleans())
def test_jobs_that_are_paused_at_random_end_once(asked: Sequence[tuple[str, str, int]], saves: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pausing_office(Path(folder), ZONES) as at:
        at.backend.script = Script(runs_s=90 * 60, restarts_s=120, saves_s=30, saves=saves)
        for _ in JOBS:
            at.submit(
                duration_s=5400.0, finish_by=NOW + 8 * HOUR, late=True, pausing={**PAUSABLE, "moves": True}
            )
        at.round()
        for verb, key, minutes in asked:
            act(at, verb, key)
            check(at)
            at.shift(60 * minutes)
            at.backend.failing = None
            check(at)
        for _ in range(200):
            if all(job.state in ENDED for job in at.store.jobs()):
                break
            for key in JOBS:
                act(at, "resume", key)
                act(at, "release", key)
            at.shift(600)
            check(at)
        assert [job.state for job in at.store.jobs()] == [JobState.DONE, JobState.DONE]
        for number in (1, 2):
            assert at.kinds(number).count("job.done") == 1
