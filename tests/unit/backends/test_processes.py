"""Identities, locks, leases and endings, seen on real processes."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tidewatt.backends import durable, ending, lease, lock
from tidewatt.backends.backend import BackendError
from tidewatt.backends.identity import Identity
from tidewatt.backends.processes import MARK, Tree

ME = lease.Holder("1.1", 4711, 1000, "0123456789abcdef")


@contextmanager
def process(*argv: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, start_new_session=True, env=dict(os.environ) | environ
    )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def test_own_identity_lives() -> None:
    assert Identity.own().alive()
    assert Identity.from_dict(Identity.own().to_dict()) == Identity.own()


def test_same_pid_started_at_another_time_is_another_process() -> None:
    other = replace(Identity.own(), start_ticks=Identity.own().start_ticks + 1)
    assert not other.alive()
    assert other.pidfd() is None
    assert not other.send(signal.SIGKILL)


def test_process_of_another_boot_is_gone() -> None:
    assert not replace(Identity.own(), boot_id="before").alive()


def test_zombie_does_not_live() -> None:
    with process("true") as child:
        identity = Identity.require(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not identity.alive()
        assert identity.fields() is not None


def test_command_with_brackets_and_spaces_is_no_hindrance(tmp_path: Path) -> None:
    strange = tmp_path / "a) R 1 (b"
    strange.symlink_to("/bin/sleep")
    with process(str(strange), "60") as child:
        assert Identity.require(child.pid).alive()


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", -9)])
def test_exit_of_a_child_is_told_and_left_in_place(script: str, code: int) -> None:
    with process("sh", "-c", script) as child:
        assert os.waitstatus_to_exitcode(ending.of_child(child.pid)) == code
        assert child.wait() == code


@pytest.mark.parametrize("script", ["exit 42", "kill -9 $$"])
def test_exit_of_a_stranger_is_told_where_the_kernel_can(script: str) -> None:
    with process("sh", "-c", f"sh -c 'sleep 0.2; {script}' & echo $!") as parent:
        assert parent.stdout is not None
        stranger = Identity.require(int(parent.stdout.readline()))
        parent.wait()
        pidfd = stranger.pidfd()
        assert pidfd is not None
        assert select.select([pidfd], [], [], 10)[0]
        status = ending.of_stranger(stranger, pidfd)
        os.close(pidfd)
    assert status is None or os.waitstatus_to_exitcode(status) in (42, -9)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.5, "0.5 s"), (90, "1 min 30 s"), (7200, "2 h"), (90_061, "25 h 1 min 1 s")],
)
def test_spans_in_words(seconds: float, words: str) -> None:
    assert ending.span(seconds) == words


def test_signals_in_words() -> None:
    assert ending.words(3) == ""
    assert ending.words(-15) == "ended by SIGTERM"
    assert "memory" in ending.words(-9)
    assert ending.words(-40) == "ended by signal 40"


def test_looking_at_a_lock_does_not_take_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not lock.held(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    assert not lock.held(path)
    assert lock.take(fd)
    other = os.open(path, os.O_RDWR)
    assert not lock.take(other)
    assert lock.held(path)
    os.close(fd)
    assert not lock.held(path)
    assert lock.take(other)
    os.close(other)


def test_lease_is_exclusive_and_named(own_home: Path) -> None:
    taken = lease.Lease.take("GPU-a", ME)
    assert lease.holders(["GPU-a", "GPU-b"]) == {"GPU-a": ME, "GPU-b": None}
    with pytest.raises(
        lease.LeaseError, match=r"GPU-a is leased by .*\(job 1 of user 1000, pid 4711\)"
    ) as raised:
        lease.take_all(["GPU-b", "GPU-a"], ME)
    assert raised.value.transient
    assert lease.holders(["GPU-b"]) == {"GPU-b": None}
    taken.release()
    taken.release()
    assert lease.holders(["GPU-a"]) == {"GPU-a": None}


def test_lease_lives_as_long_as_a_process_that_inherited_it(own_home: Path) -> None:
    taken = lease.Lease.take("GPU-a", ME)
    os.set_inheritable(taken.fd, True)
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    taken.release()
    assert lease.holders(["GPU-a"])["GPU-a"] == ME
    child.kill()
    child.wait()
    assert lease.holders(["GPU-a"])["GPU-a"] is None


def test_folder_of_leases_is_everybodys(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWATT_LEASES", str(own_home / "new"))
    before = os.umask(0o077)
    try:
        lease.Lease.take("GPU-a", ME).release()
    finally:
        os.umask(before)
    assert (own_home / "new").stat().st_mode & 0o7777 == 0o1777
    assert (own_home / "new" / "GPU-a").stat().st_mode & 0o777 == 0o666


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_gpu_leased_by_one_user_is_refused_to_another(own_home: Path) -> None:
    own_home.chmod(0o755)
    (own_home / "leases").chmod(0o1777)
    taken = lease.Lease.take("GPU-a", ME)
    pid = os.fork()
    if pid == 0:
        code = 9
        with suppress(BaseException):
            os.setuid(65534)
            try:
                lease.Lease.take("GPU-a", ME)
            except lease.LeaseError:
                lease.Lease.take("GPU-b", ME)  # and what is free it gets, in the same folder
                code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    taken.release()
    lease.Lease.take("GPU-b", ME).release()


@pytest.mark.parametrize("uuid", ["", "../x", "a/b", ".hidden"])
def test_strange_uuid_is_refused(uuid: str, own_home: Path) -> None:
    with pytest.raises(BackendError, match="not the UUID"):
        lease.Lease.take(uuid, ME)


def test_unusable_folder_of_leases_is_told(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_home / "file").touch()
    monkeypatch.setenv("TIDEWATT_LEASES", str(own_home / "file"))
    with pytest.raises(BackendError, match="set TIDEWATT_LEASES"):
        lease.Lease.take("GPU-a", ME)


def test_damaged_lease_still_counts(own_home: Path) -> None:
    taken = lease.Lease.take("GPU-a", ME)
    os.pwrite(taken.fd, b"??", 0)
    assert lease.holders(["GPU-a"]) == {"GPU-a": lease.UNNAMED}
    taken.release()


def test_members_of_a_job_are_its_session_and_what_bears_its_mark(tmp_path: Path) -> None:
    script = "sleep 60 & setsid sleep 60 & echo ready; wait"
    with process("sh", "-c", script, **{MARK: str(tmp_path)}) as child:
        assert child.stdout is not None
        child.stdout.readline()
        leader = Identity.require(child.pid)
        deadline = time.monotonic() + 10
        while len(members := Tree(leader, tmp_path).members()) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(members) == 3
        assert leader in members
        unmarked = Tree(leader, tmp_path / "other")  # without the mark what left the session is not found
        while len(unmarked.members()) > 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(unmarked.members()) == 2
        Tree(leader, tmp_path).signal(signal.SIGKILL)
        child.wait()
        while Tree(leader, tmp_path).members() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not Tree(leader, tmp_path).members()


def test_job_of_another_boot_has_no_processes(tmp_path: Path) -> None:
    assert Tree(replace(Identity.own(), boot_id="before"), tmp_path).members() == []


def test_replaced_file_is_whole_and_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for number in range(3):
        durable.replace(path, {"number": number})
    assert durable.read(path) == {"number": 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_created_file_is_never_replaced(tmp_path: Path) -> None:
    assert durable.create(tmp_path / "file", {"first": 1})
    assert not durable.create(tmp_path / "file", {"second": 2})
    assert durable.read(tmp_path / "file") == {"first": 1}


def test_supervisor_brings_no_heavy_imports() -> None:
    look = "print(sorted({'numpy', 'pandas', 'pydantic'} & set(sys.modules)))"
    code = f"import sys, tidewatt.backends.supervisor; {look}"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
