"""Supervisors that are killed, jobs that will not end, disks that are full, files that are damaged."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.backends.troupes import HostTroupe
from tidewatt.backends import claim, durable, lease
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import BackendError, Phase, StopReason
from tidewatt.backends.identity import Identity
from tidewatt.backends.local import LocalBackend

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage

ROUNDS = int(os.environ.get("TIDEWATT_SOAK_ROUNDS", "12"))
COUNT = "echo x >> {}; exit 4"


def job_of(folder: Path) -> Identity:
    taken = claim.read(folder)
    assert taken is not None
    assert taken.process is not None
    return taken.process


def wait_until(told: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_job_survives_its_supervisor_and_keeps_its_exit_code(local: "Stage") -> None:
    folder = local.submit("sh", "-c", f"until test -e {local.root}/go; do sleep 0.02; done; exit 5")
    local.until(folder, Phase.RUNNING)
    local.kill_supervisor(folder)
    assert local.status(folder).phase is Phase.RUNNING
    local.see(folder, lambda _: Attempt(folder).supervisor() is not None)
    (local.root / "go").touch()
    status = local.ended(folder)
    assert status.phase is Phase.ENDED
    assert status.exit_code == 5 or "exit status lost" in status.reason  # as the kernel can tell


def test_job_outlives_the_daemon_and_all_its_processes(local: "Stage") -> None:
    launch = local.launch("sh", "-c", f"until test -e {local.root}/go; do sleep 0.02; done; exit 5")
    Attempt(launch.folder).write_launch(launch)
    daemon = (
        "import pathlib, sys, time; from tidewatt.backends.attempt import Attempt; "
        "from tidewatt.backends.local import LocalBackend; "
        "LocalBackend().submit(Attempt(pathlib.Path(sys.argv[1])).launch()); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", daemon, str(launch.folder)], start_new_session=True
    ) as process:
        wait_until(lambda: claim.read(launch.folder) is not None)
        os.killpg(process.pid, signal.SIGKILL)
    before = Attempt(launch.folder).supervisor()
    assert local.status(launch.folder).phase is Phase.RUNNING
    assert Attempt(launch.folder).supervisor() == before
    (local.root / "go").touch()
    assert local.ended(launch.folder).exit_code == 5


def test_time_limit_counts_from_the_start_under_a_second_supervisor(local: "Stage") -> None:
    folder = local.submit("sleep", "60", time_limit_s=1.5)
    local.until(folder, Phase.RUNNING)
    local.kill_supervisor(folder)
    status = local.ended(folder)
    assert status.stopped is StopReason.TIME_LIMIT
    assert status.started_ms is not None
    assert status.ended_ms is not None
    assert 1_500 <= status.ended_ms - status.started_ms < 10_000


def test_job_whose_supervisor_was_killed_can_be_stopped(local: "Stage") -> None:
    folder = local.submit("sleep", "60", grace_s=1.0)
    local.until(folder, Phase.RUNNING)
    local.kill_supervisor(folder)
    local.backend.stop(folder, StopReason.CANCELLED)
    status = local.ended(folder)
    assert status.stopped is StopReason.CANCELLED
    assert not job_of(folder).alive()


def test_gpu_stays_leased_while_the_job_outlives_its_supervisor(local: "Stage") -> None:
    folder = local.submit("sleep", "60", gpu_uuids=("GPU-x",))
    local.until(folder, Phase.RUNNING)
    local.kill_supervisor(folder)
    assert lease.holders(["GPU-x"])["GPU-x"] is not None
    other = local.submit("true", gpu_uuids=("GPU-x",), attempt_id="2.1")
    assert local.ended(other).phase is Phase.POISONED
    local.backend.stop(folder, StopReason.CANCELLED)
    local.ended(folder)
    assert lease.holders(["GPU-x"])["GPU-x"] is None


def test_job_and_supervisor_that_died_together_lose_only_the_exit_status(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo ready; sleep 60")
    local.await_output("ready")
    local.kill_supervisor(folder)
    os.killpg(job_of(folder).pid, signal.SIGKILL)
    status = local.ended(folder)
    assert status.phase is Phase.ENDED
    assert status.exit_code is None
    assert "exit status lost" in status.reason or status.signal == signal.SIGKILL
    assert status.ended_ms is not None


def test_exit_code_is_kept_when_the_supervisor_is_killed_after_the_job_ended(local: "Stage") -> None:
    stubborn = (
        "(trap '' TERM; echo left; exec sleep 60) & until grep -q left 1.1.out; do sleep 0.02; done; exit 7"
    )
    folder = local.submit("sh", "-c", stubborn, grace_s=2.0)
    outcome = Attempt(folder).outcome
    wait_until(outcome.exists)  # the job has ended, what it left behind has not
    local.kill_supervisor(folder)
    status = local.ended(folder)
    assert status.exit_code == 7
    assert not LocalBackend().processes(folder)


def test_processes_left_behind_end_with_the_job(local: "Stage") -> None:
    script = "setsid sleep 600 & sleep 601 & (setsid sh -c 'sleep 602 & sleep 603' &) ; sleep 0.1; exit 0"
    folder = local.submit("sh", "-c", script)
    status = local.ended(folder)
    assert status.exit_code == 0
    assert "left behind" in status.warnings[0]
    assert subprocess.run(["pgrep", "-f", "sleep 60[0-3]"], check=False).returncode == 1


def test_worker_that_ends_a_moment_after_the_job_is_nothing_to_warn_of(local: "Stage") -> None:
    status = local.ended(local.submit("sh", "-c", "sleep 0.2 & exit 0"))
    assert status.exit_code == 0
    assert not status.warnings


def test_left_behind_process_that_ignores_sigterm_is_killed(local: "Stage") -> None:
    script = "trap '' TERM; setsid sleep 610 & exit 0"
    started = time.monotonic()
    folder = local.submit("sh", "-c", script, grace_s=0.5)
    assert local.ended(folder).exit_code == 0
    assert time.monotonic() - started < 10
    assert not LocalBackend().processes(folder)


def test_job_that_exits_zero_when_told_to_stop_is_stopped_not_done(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done")
    local.await_output("ready")
    local.backend.stop(folder, StopReason.CANCELLED)
    status = local.ended(folder)
    assert (status.exit_code, status.stopped) == (0, StopReason.CANCELLED)


def test_frozen_job_hears_the_stop_signal(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "trap 'exit 9' TERM; echo ready; kill -STOP $$; sleep 60")
    local.await_output("ready")
    local.backend.stop(folder, StopReason.CANCELLED)
    assert local.ended(folder).exit_code == 9


def test_supervisor_told_to_end_ends_its_job(local: "Stage") -> None:
    folder = local.submit("sleep", "60")
    local.until(folder, Phase.RUNNING)
    supervisor = Attempt(folder).supervisor()
    assert supervisor is not None
    supervisor.send(signal.SIGTERM)
    status = local.ended(folder)
    assert (status.stopped, status.signal) == (StopReason.SIGNALLED, signal.SIGTERM)


def test_supervisor_killed_at_random_instants_starts_the_job_exactly_once(local: "Stage") -> None:
    chance = random.Random(7)
    for number in range(1, ROUNDS + 1):
        counted = local.root / f"count-{number}"
        folder = local.submit("sh", "-c", COUNT.format(counted), attempt_id=f"{number}.1")
        for _ in range(chance.choice([1, 2])):
            time.sleep(chance.uniform(0.0, 0.15))
            local.status(folder)
            if (supervisor := Attempt(folder).supervisor()) is not None:
                supervisor.send(signal.SIGKILL)
        status = local.see(folder, lambda status: status.phase in (Phase.ENDED, Phase.POISONED))
        assert status.phase is Phase.ENDED
        assert status.exit_code == 4 or "lost" in status.reason
        assert counted.exists()
        assert counted.read_text() == "x\n"


def test_poison_and_start_race_and_exactly_one_wins(local: "Stage") -> None:
    chance = random.Random(11)
    poisoned = 0
    for number in range(1, ROUNDS + 1):
        counted = local.root / f"count-{number}"
        folder = local.submit("sh", "-c", COUNT.format(counted), attempt_id=f"{number}.1")
        time.sleep(chance.uniform(0.0, 0.2))
        won = local.backend.poison(folder)
        status = local.ended(folder)
        poisoned += won
        assert (status.phase is Phase.POISONED) == won
        attempt = Attempt(folder)
        while attempt.supervisor() is not None:
            time.sleep(0.01)
        assert counted.exists() != won
    assert poisoned > 0


@pytest.mark.parametrize("round_", range(5))
def test_of_many_who_claim_and_poison_exactly_one_wins(tmp_path: Path, round_: int) -> None:
    barrier = threading.Barrier(16)
    claimed: list[bool] = []
    withdrawn: list[bool] = []

    def contend(who: int) -> None:
        barrier.wait()
        if who % 2:
            claimed.append(claim.take(tmp_path, Identity.own(), 0))
        else:
            withdrawn.append(claim.poison(tmp_path, "withdrawn"))

    threads = [threading.Thread(target=contend, args=(who,)) for who in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claimed) + all(withdrawn) == 1
    assert any(withdrawn) == all(withdrawn)
    assert [path.name for path in tmp_path.iterdir()] == ["claim"]


def test_supervisor_that_cannot_be_started_poisons_the_attempt(
    local: "Stage", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidewatt.backends.local._START_S", 0.05)
    local.troupe = HostTroupe(LocalBackend(python="/bin/false"))
    folder = local.submit("true")
    status = local.ended(folder)
    assert status.phase is Phase.POISONED
    assert "its supervisor cannot be started" in status.reason


def test_host_without_the_interpreter_refuses_to_submit(local: "Stage") -> None:
    local.troupe = HostTroupe(LocalBackend(python="/no/such/python"))
    with pytest.raises(BackendError, match="cannot be started"):
        local.submit("true")


def test_launch_left_by_a_daemon_that_was_killed_is_started_by_the_next(local: "Stage") -> None:
    launch = local.launch("sh", "-c", "exit 6")
    Attempt(launch.folder).write_launch(launch)
    assert local.ended(launch.folder).exit_code == 6


def test_attempt_of_an_earlier_boot_ended_with_it(local: "Stage") -> None:
    launch = local.launch("true")
    Attempt(launch.folder).write_launch(launch)
    claim.take(launch.folder, replace(Identity.own(), boot_id="an earlier boot"), 1_000)
    status = local.ended(launch.folder)  # and this very process, whose pid the claim names, is left alone
    assert status.phase is Phase.ENDED
    assert status.reason.startswith("the machine restarted")


def test_used_again_pid_is_not_taken_for_the_job(local: "Stage") -> None:
    launch = local.launch("true")
    Attempt(launch.folder).write_launch(launch)
    claim.take(launch.folder, replace(Identity.own(), start_ticks=1), 1_000)
    assert "exit status lost" in local.ended(launch.folder).reason


@pytest.mark.parametrize("text", ["", "{}", '{"process": 4}', "[1]", "\0\0\0\0", '{"process": {"pid": "x"}}'])
def test_damaged_claim_is_unknown_and_never_started(local: "Stage", text: str) -> None:
    launch = local.launch("touch", "ran")
    (launch.folder / "claim").write_text(text)
    Attempt(launch.folder).write_launch(launch)
    assert local.status(launch.folder).phase is Phase.UNKNOWN
    with contextlib.suppress(BackendError):
        local.backend.submit(launch)
    with contextlib.suppress(BackendError):
        assert not local.backend.poison(launch.folder)
    assert local.status(launch.folder).phase is Phase.UNKNOWN
    assert not (local.root / "ran").exists()


def test_damaged_exit_is_unknown(local: "Stage") -> None:
    folder = local.submit("true")
    local.ended(folder)
    Attempt(folder).exit.write_text("{")
    status = local.status(folder)
    assert status.phase is Phase.UNKNOWN
    assert "exit.json is not JSON" in status.reason


def test_one_bad_attempt_does_not_hide_the_others(local: "Stage") -> None:
    good = local.submit("true")
    local.ended(good)
    bad = local.launch("true", attempt_id="2.1").folder
    (bad / "claim").write_text("?")
    statuses = local.backend.status([bad, good])
    assert (statuses[bad].phase, statuses[good].phase) == (Phase.UNKNOWN, Phase.ENDED)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


def test_full_disk_refuses_a_submit_and_may_be_tried_again(local: "Stage", small_disk: Path) -> None:
    local.root = small_disk
    launch = local.launch("true", stdout=Path("/dev/null"), stderr=Path("/dev/null"))
    fill(small_disk)
    with pytest.raises(BackendError, match="No space left on device") as raised:
        local.backend.submit(launch)
    assert raised.value.transient
    (small_disk / "filler").unlink()
    local.backend.submit(launch)
    assert local.ended(launch.folder).exit_code == 0


def test_exit_status_reaches_a_disk_that_became_full(local: "Stage", small_disk: Path) -> None:
    go = local.root / "go"
    local.root = small_disk
    script = f"until test -e {go}; do sleep 0.02; done; exit 5"
    folder = local.submit("sh", "-c", script, stdout=Path("/dev/null"), stderr=Path("/dev/null"))
    local.until(folder, Phase.RUNNING)
    fill(small_disk)
    go.touch()
    assert local.ended(folder).exit_code == 5


def test_job_that_writes_to_a_full_disk_fails_by_itself(local: "Stage") -> None:
    status = local.ended(local.submit("sh", "-c", "echo text || exit 8", stdout=Path("/dev/full")))
    assert status.exit_code == 8


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_other_users_read_nothing_of_an_attempt(local: "Stage", own_home: Path) -> None:
    own_home.chmod(0o755)
    local.root = own_home
    folder = local.submit("true")
    local.ended(folder)
    folder.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    for look in (["ls", str(folder)], ["cat", str(folder / "launch.json")], ["cat", str(folder / "claim")]):
        tried = subprocess.run(look, user="nobody", capture_output=True, text=True, check=False)
        assert "Permission denied" in tried.stderr
        assert not tried.stdout


def test_draft_of_a_killed_writer_is_no_claim(tmp_path: Path) -> None:
    (tmp_path / ".claim.99.deadbeef").write_text('{"poisoned"')
    assert claim.read(tmp_path) is None
    assert durable.create(tmp_path / "claim", {"poisoned": True})
