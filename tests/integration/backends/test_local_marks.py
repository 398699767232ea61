"""A real job tells what it does through the folder that its supervisor gave it."""

import sys
import time
from typing import TYPE_CHECKING

from tidewatt.backends import marks
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Phase
from tidewatt.backends.clock import Clock

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage


def python(*lines: str) -> tuple[str, ...]:
    """A job that has the hooks."""
    return sys.executable, "-c", "\n".join(("import time", "from tidewatt.backends import hooks", *lines))


def test_job_finds_the_folder_of_its_marks_and_times_are_on_the_clock_of_a_replay(local: "Stage") -> None:
    real_ms = time.time_ns() // 1_000_000
    clock = Clock(real_ms=real_ms, replay_ms=1_700_000_000_000, factor=1000.0)
    script = python(
        "hooks.phase('warm-up'); time.sleep(0.2)",
        "hooks.phase('train'); hooks.steps(7); time.sleep(0.1)",
        "hooks.checkpoint(step=7)",
    )
    folder = local.submit(*script, clock=clock)
    status = local.ended(folder)
    assert (status.exit_code, status.warnings) == (0, ())
    assert status.started_ms is not None
    assert status.ended_ms is not None
    told = marks.read(Attempt(folder).marks, clock, status.started_ms, status.ended_ms)
    (warm_up, train), ((saved_ms, step),) = told.phases, told.checkpoints
    assert (warm_up[2], train[2], step, told.counts["steps"]) == ("warm-up", "train", 7, 7)
    assert status.started_ms < warm_up[0] < warm_up[1] == train[0] < saved_ms <= train[1] <= status.ended_ms
    assert warm_up[1] - warm_up[0] >= 200_000, "0.2 s, replayed a thousand times as fast"


def test_job_sees_that_a_pause_is_coming(local: "Stage") -> None:
    script = python(
        "print('ready', flush=True)",
        "while hooks.pause_coming() is None: time.sleep(0.01)",
        "hooks.checkpoint(step=1)",
    )
    folder = local.submit(*script)
    local.until(folder, Phase.RUNNING)
    local.await_output("ready")
    Attempt(folder).announce_pause(0)
    status = local.ended(folder)
    assert status.exit_code == 0
    told = marks.read(Attempt(folder).marks, Clock(), status.started_ms or 0, status.ended_ms or 0)
    assert [step for _, step in told.checkpoints] == [1]


def test_marks_are_the_owners_alone(local: "Stage") -> None:
    folder = local.submit(*python("hooks.steps(1)"), umask=0)
    local.ended(folder)
    found = [Attempt(folder).marks, *Attempt(folder).marks.iterdir()]
    assert len(found) == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in found)
