"""What a job finds when it starts on this host, and what is said when it cannot."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tidewatt.backends import environment, lease
from tidewatt.backends.backend import BackendError, Phase
from tidewatt.backends.clock import Clock

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage

SHOW = "import json, os; print(json.dumps(dict(os.environ) | {'cwd': os.getcwd()}))"


def test_job_sees_its_gpus_and_its_own_environment_only(
    local: "Stage", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAEMON_KEY", "the daemon's own secret")
    kept = local.root / "environment"
    environment.write(kept, {"LR": "0.1", "PATH": os.environ["PATH"]})
    folder = local.submit(
        sys.executable, "-c", SHOW, environment_file=kept, gpu_uuids=("GPU-b", "GPU-a"), attempt_id="7.2"
    )
    assert local.ended(folder).exit_code == 0
    seen = json.loads(local.output("7.2"))
    assert seen["CUDA_VISIBLE_DEVICES"] == "GPU-b,GPU-a"
    assert seen["LR"] == "0.1"
    assert (seen["TIDEWATT_JOB_ID"], seen["TIDEWATT_ATTEMPT"]) == ("7", "7.2")
    assert (seen["cwd"], seen["PWD"]) == (str(local.root), str(local.root))
    assert "DAEMON_KEY" not in seen


def test_job_without_gpus_sees_none(local: "Stage") -> None:
    local.ended(local.submit("sh", "-c", "echo [$CUDA_VISIBLE_DEVICES]"))
    assert local.output() == "[]\n"


def test_both_outputs_go_to_one_file_in_order(local: "Stage") -> None:
    (local.root / "1.1.out").write_text("before\n")
    local.ended(local.submit("sh", "-c", "echo one; echo two >&2; echo three"))
    assert local.output() == "before\none\ntwo\nthree\n"


def test_output_and_error_may_go_apart(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo out; echo err >&2", stderr=local.root / "err")
    local.ended(folder)
    assert (local.output(), (local.root / "err").read_text()) == ("out\n", "err\n")


def test_job_leads_a_session_of_its_own(local: "Stage") -> None:
    show = "import os; print(os.getsid(0) == os.getpgid(0) == os.getpid())"
    local.ended(local.submit(sys.executable, "-c", show))
    assert local.output() == "True\n"


def test_job_neither_blocks_nor_ignores_signals(local: "Stage") -> None:
    local.ended(local.submit("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"))
    masks = [int(line.split()[1], 16) for line in local.output().splitlines()]
    assert [mask & 0x7FFFFFFF for mask in masks] == [0, 0]  # above are those of the C library's own


def test_job_has_the_umask_that_was_asked_for(local: "Stage") -> None:
    local.ended(local.submit("sh", "-c", "umask", umask=0o027))
    assert local.output() == "0027\n"


def test_snapshot_runs_in_place_of_the_folder(local: "Stage") -> None:
    snapshot = local.root / "snapshot"
    snapshot.mkdir()
    local.ended(local.submit("pwd", snapshot=snapshot))
    assert local.output() == f"{snapshot}\n"


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (("trainn", "--lr"), 127, "the command `trainn` does not exist: it is nowhere in PATH"),
        (("./gone.sh",), 127, "the command `./gone.sh` does not exist in "),
        (("./plain.txt",), 126, "the command `./plain.txt` may not be executed"),
        (("./lost.sh",), 127, "the interpreter that its first line names does not exist"),
        (("./empty.sh",), 126, "the command `./empty.sh` is not a program"),
        (("true", "x" * 200_000), 126, "Argument list too long"),
    ],
)
def test_command_that_cannot_be_started_fails_with_a_sentence(
    local: "Stage", argv: tuple[str, ...], code: int, sentence: str
) -> None:
    (local.root / "plain.txt").write_text("text")
    for name, text in {"lost.sh": "#!/no/such/shell\n", "empty.sh": "echo hello\n"}.items():
        (local.root / name).write_text(text)
        (local.root / name).chmod(0o755)
    status = local.ended(local.submit(*argv))
    assert (status.phase, status.exit_code) == (Phase.ENDED, code)
    assert sentence in status.reason


def test_missing_folder_fails_with_a_sentence(local: "Stage") -> None:
    status = local.ended(local.submit("true", cwd=local.root / "gone"))
    assert status.exit_code == 126
    assert f"{local.root / 'gone'} cannot be entered: No such file or directory" in status.reason


def test_output_that_cannot_be_opened_fails_with_a_sentence(local: "Stage") -> None:
    status = local.ended(local.submit("true", stdout=local.root))
    assert status.exit_code == 126
    assert f"the output file {local.root} cannot be opened: Is a directory" in status.reason


def test_named_pipe_that_nobody_reads_does_not_hold_an_attempt_up(local: "Stage") -> None:
    os.mkfifo(local.root / "pipe")
    status = local.ended(local.submit("true", stdout=local.root / "pipe"))
    assert "cannot be opened" in status.reason


def test_environment_that_is_gone_fails_with_a_sentence(local: "Stage") -> None:
    status = local.ended(local.submit("true", environment_file=local.root / "gone"))
    assert status.exit_code == 126
    assert "environment" in status.reason


def test_secret_is_nowhere_but_in_the_environment_file(local: "Stage") -> None:
    kept = local.root / "environment"
    environment.write(kept, {"API_KEY": "s3cr3t-value"})
    folder = local.submit("sh", "-c", "exec sleep 60", environment_file=kept)
    local.until(folder, Phase.RUNNING)
    held = {path for path in folder.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()}
    assert not held
    assert kept.stat().st_mode & 0o777 == 0o600


def test_files_of_an_attempt_are_its_owners_alone(local: "Stage") -> None:
    folder = local.submit("true")
    local.ended(folder)
    local.wait(lambda: not (folder / "reserve").exists())  # the last that its supervisor does
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_code_that_changed_since_submit_is_warned_about(local: "Stage") -> None:
    (local.root / "train.py").write_text("print('new')")
    folder = local.submit("true", source_digest="git:something else")
    status = local.ended(folder)
    assert status.exit_code == 0
    assert "changed since it was submitted" in status.warnings[0]


def test_relative_folder_is_refused(local: "Stage") -> None:
    launch = replace(local.launch("true"), folder=Path("jobs/1"))
    with pytest.raises(BackendError, match="absolute"):
        local.backend.submit(launch)


def test_replayed_clock_counts_the_time_limit(local: "Stage") -> None:
    real_ms = Clock().now_ms()
    clock = Clock(real_ms, 1_600_000_000_000, 60.0)
    folder = local.submit("sleep", "60", time_limit_s=60.0, clock=clock)
    status = local.ended(folder)
    assert status.reason == "stopped: time limit 1 min"
    assert status.started_ms is not None
    assert status.ended_ms is not None
    assert 60_000 <= status.ended_ms - status.started_ms < 600_000
    assert 1_600_000_000_000 < status.started_ms < 1_600_010_000_000


def test_gpu_leased_by_another_daemon_holds_the_attempt_back(local: "Stage") -> None:
    first = local.submit("sleep", "60", gpu_uuids=("GPU-x", "GPU-y"))
    local.until(first, Phase.RUNNING)
    second = local.submit("touch", "ran", gpu_uuids=("GPU-z", "GPU-y"), attempt_id="2.1")
    status = local.ended(second)
    assert status.phase is Phase.POISONED
    assert status.reason.startswith("GPU-y is leased by another daemon's job (job 1 ")
    assert not (local.root / "ran").exists()
    held = lease.holders(["GPU-x", "GPU-z"])
    assert held["GPU-z"] is None
    assert held["GPU-x"] is not None
    assert held["GPU-x"].key == lease.key(first)


def test_gpu_is_free_as_soon_as_its_job_has_ended(local: "Stage") -> None:
    for number in range(1, 5):
        folder = local.submit("true", gpu_uuids=("GPU-x",), attempt_id=f"{number}.1")
        assert local.ended(folder).phase is Phase.ENDED
