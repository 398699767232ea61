"""Whatever there is of arrays, predecessors and failures: order and limits are kept, and everything ends."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.integration.scheduler.office import Office, office
from tidewatt.backends.fake import Script
from tidewatt.scheduler.jobs import ENDED, JobState


class Wanted(NamedTuple):
    """A job or an array, after some of those before it."""

    tasks: int  # 0: no array
    limit: int
    after: tuple[int, ...]  # places in the list, modulo what is there
    after_any: tuple[int, ...]
    fails: int  # attempts that fail before one that does not
    retries: int
    cpus: int
    priority: int


WANTED = some.builds(
    Wanted,
    tasks=some.integers(0, 3),
    limit=some.integers(0, 2),
    after=some.lists(some.integers(0, 9), max_size=2).map(tuple),
    after_any=some.lists(some.integers(0, 9), max_size=1).map(tuple),
    fails=some.integers(0, 2),
    retries=some.integers(0, 2),
    cpus=some.integers(1, 3),
    priority=some.integers(-1, 1),
)


def submitted(at: Office, wanted: list[Wanted], runs_s: int) -> None:
    """Hands them over, each after those before it that it names."""
    keys: list[str] = []
    for each in wanted:
        reply = at.submit(
            array=tuple(range(each.tasks)),
            array_limit=each.limit if each.tasks else 0,
            after=tuple(keys[place % len(keys)] for place in each.after if keys),
            after_any=tuple(keys[place % len(keys)] for place in each.after_any if keys),
            retries=each.retries,
            cpus=each.cpus,
            priority=each.priority,
            duration_s=float(runs_s),
        )
        keys.append(str(reply.job.array or reply.job.id))
        numbers = [job.id for job in at.store.array(reply.job.array)] or [reply.job.id]
        for number in numbers:
            for attempt in range(1, each.fails + 1):
                at.backend.scripts[f"{number}.{attempt}"] = Script(runs_s=runs_s, exit_code=1)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    wanted=some.lists(WANTED, min_size=1, max_size=5),
    runs_s=some.integers(1, 30),
    restarts=some.sets(some.integers(0, 20), max_size=3),
)
def test_order_and_limits_are_kept_and_everything_ends_also_with_restarts(
    wanted: list[Wanted], runs_s: int, restarts: set[int]
) -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory() as folder, office(Path(folder), cpus=3) as at:
        at.backend.script = Script(runs_s=runs_s)
        submitted(at, wanted, runs_s)
        for number in range(80):
            if number in restarts:
                at.open()  # the one before was never closed, as after a kill
            at.shift(runs_s + 3)
            jobs = {job.id: job for job in at.store.jobs()}
            running = [job for job in jobs.values() if job.state is JobState.RUNNING]
            for job in running:
                assert not job.array_limit or job.array_limit >= sum(
                    other.array == job.array for other in running
                )
            assert sum(job.cpus for job in running) <= 3
            if all(job.state in ENDED for job in jobs.values()):
                break
        assert {job.state for job in jobs.values()} <= ENDED
        for job in jobs.values():
            needed = [jobs[number] for number in job.after]
            lost = any(other.state is not JobState.DONE for other in needed)
            assert (job.state is JobState.CANCELLED) == lost
            launched = [each.launched_ms for each in at.store.attempts([job.id])[job.id]]
            assert len(launched) <= job.retries + 1
            before = [jobs[number].ended_ms for number in job.predecessors]
            assert all(end is None or start >= end for start in launched for end in before)
