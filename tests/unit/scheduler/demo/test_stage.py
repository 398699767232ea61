"""The demo leaves nothing behind."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tidewatt.scheduler.demo.stage import DemoError, Stage

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
)


def start_in(stage: Stage, program: str) -> "subprocess.Popen[str]":
    """A process in a session of its own that has come as far as its first line of output."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=stage.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def test_processes_in_sessions_of_their_own_end_with_the_stage() -> None:
    with Stage() as stage:
        process = start_in(stage, "import time; print(flush=True); time.sleep(600)")
        assert list(stage.processes()) == [process.pid]
    assert process.wait(timeout=10) == -signal.SIGTERM
    assert not stage.folder.exists()


def test_process_that_ignores_the_request_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidewatt.scheduler.demo.stage.ENDING_S", 0.2)
    with Stage() as stage:
        process = start_in(stage, STUBBORN)
    assert process.wait(timeout=10) == -signal.SIGKILL


def test_stage_is_cleared_when_an_interrupt_ends_it() -> None:
    stage = Stage()
    process = start_in(stage, "import time; print(flush=True); time.sleep(600)")
    with pytest.raises(KeyboardInterrupt), stage:
        signal.raise_signal(signal.SIGINT)
    assert process.wait(timeout=10) == -signal.SIGTERM
    assert not stage.folder.exists()


def test_other_peoples_processes_are_not_of_the_stage() -> None:
    with Stage() as stage, Stage() as other:
        process = start_in(other, "import time; print(flush=True); time.sleep(600)")
        assert list(stage.processes()) == []
        process.kill()
        process.wait()


def test_stage_keeps_nothing_of_the_users_own_tidewatt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWATT_ZONE", "DE")
    with Stage() as stage:
        assert "TIDEWATT_ZONE" not in stage.environment
        assert Path(stage.environment["TIDEWATT_HOME"]).is_relative_to(stage.folder)


def test_failing_command_is_told_in_its_own_words() -> None:
    with Stage() as stage, pytest.raises(DemoError, match=r"`tidewatt status` failed: .*no daemon"):
        stage.tidewatt("status")
