"""Backends that tell of a pause in fewer words than ours."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.integration.scheduler.outpost import outpost
from tidewatt.backends.backend import AttemptStatus, Move, Phase
from tidewatt.backends.fake import Script
from tidewatt.backends.fake_engine import FakeEngine
from tidewatt.scheduler.jobs import AttemptState, JobState


@dataclass(slots=True)
class Suspending(FakeEngine):
    """As Slurm, where an operator suspends jobs and lets them go on: it runs again at once."""

    more: tuple[tuple[Phase, int], ...] = ()

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        found = FakeEngine.status(self, folders)
        return {folder: self._with_pause(status) for folder, status in found.items()}

    def _with_pause(self, status: AttemptStatus) -> AttemptStatus:
        if status.started_ms is None:
            return status
        until_ms = status.ended_ms or self.cluster.now_ms()
        steps = ((Phase.SUSPENDED, 60_000), (Phase.RUNNING, 180_000), *self.more)
        moves = tuple(Move(phase, status.started_ms + after_ms) for phase, after_ms in steps)
        moves = tuple(move for move in moves if move.at_ms <= until_ms)
        now = moves[-1].phase if moves and status.phase is Phase.RUNNING else status.phase
        return replace(status, phase=now, moves=moves)


def test_job_that_was_suspended_and_runs_again_at_once_ends(tmp_path: Path) -> None:
    with outpost(tmp_path, kind=Suspending) as at:
        at.cluster.script = Script(runs_s=600)
        job = at.submit(duration_s=600.0).job.id
        at.round()
        at.shift(90)
        assert at.job(job).state is JobState.PAUSED
        at.shift(120)
        assert at.job(job).state is JobState.RUNNING
        at.shift(600)
        assert at.job(job).state is JobState.DONE
        assert [each.state for each in at.store.attempts([job])[job]] == [AttemptState.ENDED]


def test_words_that_make_no_sense_keep_no_job_from_its_end(tmp_path: Path) -> None:
    with outpost(tmp_path, kind=Suspending) as at:
        at.engine.more = ((Phase.RESUMING, 240_000), (Phase.RESUMING, 241_000))  # type: ignore[attr-defined]
        at.cluster.script = Script(runs_s=600)
        job = at.submit(duration_s=600.0).job.id
        for _ in range(12):
            at.shift(60)
        assert at.job(job).state is JobState.DONE


def test_job_whose_suspension_nobody_saw_ends(tmp_path: Path) -> None:
    with outpost(tmp_path, kind=Suspending) as at:
        at.cluster.script = Script(runs_s=600)
        job = at.submit(duration_s=600.0).job.id
        at.round()
        at.shift(900)
        assert at.job(job).state is JobState.DONE
        at.settler.collect()
        at.settler.look()
        assert at.job(job).settlement is not None


@dataclass(slots=True)
class Forgetful(FakeEngine):
    """It says of what it has run that it never started."""

    forgets: bool = False

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        found = FakeEngine.status(self, folders)
        never = AttemptStatus(Phase.POISONED, reason="no such job")
        return dict.fromkeys(found, never) if self.forgets else found


def test_job_that_ran_is_not_started_again_because_its_engine_says_that_it_never_did(tmp_path: Path) -> None:
    with outpost(tmp_path, kind=Forgetful) as at:
        at.cluster.script = Script(runs_s=6000)
        job = at.submit(duration_s=6000.0, retries=3).job.id
        at.round()
        at.shift(60)
        assert at.job(job).state is JobState.RUNNING
        at.engine.forgets = True  # type: ignore[attr-defined]
        for _ in range(10):
            at.shift(60)
        assert at.job(job).state is JobState.FAILED
        assert "exit status lost" in at.job(job).reason
        assert len(at.cluster.submits) == 1
