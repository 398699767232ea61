"""The escort as it is sent: by a file, or as one argument; it claims before it starts anything."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tidewatt.backends import claim, durable
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Launch, PauseTerms, StopReason
from tidewatt.backends.orders import inline, order, source


def launch(folder: Path, *argv: str, **more: object) -> Launch:
    given = {"cwd": folder, "environment_file": None, "stdout": folder / "out", "stderr": folder / "out"}
    (folder / "attempt").mkdir(exist_ok=True)
    return Launch("1.1", folder / "attempt", argv, **(given | more))  # type: ignore[arg-type]


def by_file(told: Launch) -> "subprocess.CompletedProcess[str]":
    path = told.folder / "order.json"
    durable.replace(path, order(told, shared=True))
    return subprocess.run(
        [sys.executable, str(source()), str(path)], capture_output=True, text=True, timeout=20
    )


def by_argument(told: Launch) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", inline(), json.dumps(order(told, shared=False))]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=told.cwd)


@pytest.mark.parametrize("way", [by_file, by_argument])
@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("exit 0", 0), ("kill -TERM $$", -15)])
def test_escort_ends_as_the_job_did(
    tmp_path: Path, way: "Callable[[Launch], subprocess.CompletedProcess[str]]", script: str, code: int
) -> None:
    assert way(launch(tmp_path, "sh", "-c", script)).returncode == code


def test_outcome_and_claim_lie_in_the_shared_folder(tmp_path: Path) -> None:
    told = launch(tmp_path, "sh", "-c", "echo out; exit 3")
    by_file(told)
    outcome = Attempt(told.folder).read(Attempt(told.folder).outcome)
    assert outcome is not None
    assert (outcome.exit_code, outcome.stopped) == (3, None)
    taken = claim.read(told.folder)
    assert taken is not None
    assert taken.process is not None
    assert taken.started_ms <= outcome.ended_ms
    assert (tmp_path / "out").read_text() == "out\n"


def test_poisoned_attempt_is_not_started(tmp_path: Path) -> None:
    told = launch(tmp_path, "sh", "-c", "echo ran > ran")
    assert claim.poison(told.folder, "withdrawn")
    assert by_file(told).returncode == 75
    assert not (tmp_path / "ran").exists()


def test_second_escort_of_an_attempt_starts_nothing(tmp_path: Path) -> None:
    told = launch(tmp_path, "sh", "-c", "echo ran >> ran")
    assert [by_file(told).returncode for _ in range(2)] == [0, 75]
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_time_limit_is_kept_without_us(tmp_path: Path) -> None:
    told = launch(tmp_path, "sleep", "60", time_limit_s=0.3, grace_s=5.0)
    by_file(told)
    outcome = Attempt(told.folder).read(Attempt(told.folder).outcome)
    assert outcome is not None
    assert (outcome.stopped, outcome.signal) == (StopReason.TIME_LIMIT, 15)


def test_command_that_is_not_there_says_so(tmp_path: Path) -> None:
    done = by_argument(launch(tmp_path, "no-such-command"))
    assert done.returncode == 127
    assert "the job could not be started" in done.stdout


def test_half_written_checkpoint_is_not_whole(tmp_path: Path) -> None:
    terms = PauseTerms(file="*.pt", unfinished="*.tmp", exit_codes=(85,), grace_s=10)
    script = "trap 'touch a.pt b.tmp; exit 85' TERM; sleep 60 & wait"
    told = launch(tmp_path, "sh", "-c", script, pausing=terms)
    path = told.folder / "order.json"
    durable.replace(path, order(told, shared=True))
    process = subprocess.Popen([sys.executable, str(source()), str(path)], stdout=subprocess.DEVNULL)
    while claim.read(told.folder) is None or not (told.folder / "alive").exists():
        assert process.poll() is None
    Attempt(told.folder).request_stop(StopReason.PAUSED)
    assert process.wait(20) in (85, -15)
    kept = durable.read(told.folder / "checkpoint.json")
    assert kept is not None
    assert not kept["whole"]


def test_what_is_sent_is_small_enough_for_engines_that_count() -> None:
    assert len(inline()) < 6200
