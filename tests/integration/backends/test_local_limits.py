"""Bounds on jobs of this host, their rotated output, and containers as commands like any other."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tidewatt.backends import cgroup, claim, lease
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Limits, PauseMode, Phase, StopReason
from tidewatt.backends.identity import Identity
from tidewatt.backends.kernel import _IOPRIO_SET
from tidewatt.backends.processes import Tree
from tidewatt.backends.standstill import stands

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage

MACHINE = os.uname().machine
COUNT = """
import sys, time
for number in range(int(sys.argv[1])):
    print(f"line {number:09d} " + "x" * 80, flush=True)
    if number % 100 == 0:
        time.sleep(0.008)
"""
TAKE = "import time; kept = bytearray(int({mb}) << 20); print('ready', flush=True); time.sleep(60)"


def process_of(folder: Path) -> Identity:
    taken = claim.read(folder)
    assert taken is not None
    assert taken.process is not None
    return taken.process


def require_cgroup(folder: Path, *names: str) -> None:
    """Skips where this user may make no cgroup with these controllers."""
    bounds = (64 if "memory" in names else None, 1.0 if "cpu" in names else None)
    made, missing = cgroup.make(lease.key(folder / "probe"), *bounds)
    if made is not None:
        made.remove()
    if made is None or missing:
        pytest.skip(missing or "there is no cgroup here that may be written to")


def test_job_is_nice_and_reads_and_writes_when_nobody_else_does(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo ready; sleep 60", limits=Limits(nice=7, io_idle=True))
    local.await_output("ready")
    pid = process_of(folder).pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == 7
    if MACHINE in _IOPRIO_SET:  # ioprio_get is the next number on all of them
        assert ctypes.CDLL(None).syscall(_IOPRIO_SET[MACHINE] + 1, 1, pid) == 3 << 13
    assert local.status(folder).warnings == ()


def test_job_that_takes_more_memory_than_it_may_is_ended_and_told_why(local: "Stage") -> None:
    require_cgroup(local.root, "memory")
    folder = local.submit(sys.executable, "-c", TAKE.format(mb=400), limits=Limits(memory_mb=100))
    status = local.ended(folder)
    assert status.signal == signal.SIGKILL
    assert status.reason == "ended by the kernel: it needed more than its 100 MB of memory"
    assert cgroup.find(lease.key(folder)) is None


def test_job_in_a_cgroup_of_its_own_is_paused_and_leaves_nothing_behind(local: "Stage") -> None:
    require_cgroup(local.root, "memory", "cpu")
    script = "(setsid sh -c 'while :; do echo x >> other; sleep 0.02; done' &); echo ready; sleep 60"
    folder = local.submit("sh", "-c", script, limits=Limits(memory_mb=500, cores=0.5), grace_s=2.0)
    local.await_output("ready")
    group = cgroup.find(lease.key(folder))
    assert group is not None
    assert process_of(folder).pid in group.members()
    local.see(folder, lambda _: (local.root / "other").exists())
    local.backend.pause(folder, PauseMode.STOP)
    local.until(folder, Phase.SUSPENDED)
    size = (local.root / "other").stat().st_size
    time.sleep(0.2)
    assert (local.root / "other").stat().st_size == size
    local.kill_supervisor(folder)
    local.see(folder, lambda _: Attempt(folder).supervisor() is not None)
    local.backend.resume(folder)
    local.until(folder, Phase.RUNNING)
    local.see(folder, lambda _: (local.root / "other").stat().st_size > size)
    members = Tree(process_of(folder), folder).members()
    local.backend.stop(folder, StopReason.CANCELLED)
    assert local.ended(folder).stopped is StopReason.CANCELLED
    assert not any(process.alive() for process in members)
    assert cgroup.find(lease.key(folder)) is None


def test_bound_that_cannot_be_had_is_told_and_stops_nothing(
    local: "Stage", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_places", dict)
    made, missing = cgroup.make("key", 100, 2.0)
    assert (made, missing) == (
        None,
        "it is not held to its bounds on memory and cores: there is no cgroup here that may be written to",
    )
    assert cgroup.make("key", None, None) == (None, "")


def test_output_is_rotated_while_the_job_writes_and_no_line_is_lost(local: "Stage") -> None:
    lines, bound_mb = 40_000, 1
    (local.root / "count.py").write_text(COUNT)
    folder = local.submit(sys.executable, "count.py", str(lines), limits=Limits(log_mb=bound_mb))
    read, offset = b"", 0
    while True:
        over = local.status(folder).phase is Phase.ENDED
        while chunk := local.backend.logs(folder, offset):
            read, offset = read + chunk, offset + len(chunk)
        if over:
            break
        time.sleep(0.05)
    numbers = [int(line.split()[1]) for line in read.splitlines()]
    assert numbers == list(range(lines))
    assert (local.root / "1.1.out").stat().st_size < len(read)
    assert (folder / "output.json").exists()
    assert not any(stands(process) for process in Tree(process_of(folder), folder).members())


def test_rotation_in_which_the_supervisor_was_killed_is_ended_by_the_next(local: "Stage") -> None:
    from tidewatt.backends import durable

    out = local.root / "1.1.out"
    folder = local.submit(
        "sh", "-c", "echo ready; until test -e go; do sleep 0.02; done; echo over", limits=Limits(log_mb=1)
    )
    local.await_output("ready")
    local.kill_supervisor(folder)
    # As it is left between the copy and the cut: the job stands still.
    process_of(folder).send(signal.SIGSTOP)
    parts = {"begins": 0, "older": 0, "after": out.stat().st_size}
    durable.replace(folder / "output.json", {str(out): parts})
    (local.root / "go").touch()
    local.ended(folder)
    assert local.backend.logs(folder) == b"ready\nover\n"


def test_container_is_a_command_like_any_other(local: "Stage") -> None:
    podman = local.root / "podman"
    podman.write_text('#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES" "$@"\n')
    podman.chmod(0o755)
    argv = ("run", "--rm", "--gpus", "all", "-e", "CUDA_VISIBLE_DEVICES", "image", "python", "train.py")
    folder = local.submit(str(podman), *argv, gpu_uuids=("GPU-a", "GPU-b"))
    assert local.ended(folder).exit_code == 0
    assert local.output() == f"GPU-a,GPU-b {' '.join(argv)}\n"


def test_job_without_gpus_sees_none(local: "Stage") -> None:
    folder = local.submit("sh", "-c", 'echo "[$CUDA_VISIBLE_DEVICES]"')
    local.ended(folder)
    assert local.output() == "[]\n"
