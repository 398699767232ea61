"""One user's files and processes, whatever they are, keep nobody else's attempts from being looked after."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tidewatt.backends import becoming, lease, lock
from tidewatt.backends.allowance import AT_ONCE_S, SHARE, Allowance
from tidewatt.backends.backend import BackendError, Phase, StopReason
from tidewatt.backends.shared_host import SharedHost

ALICE, BOB = 61001, 61002
FORMS: dict[str, dict[str, Any]] = {
    "claim": {
        "process": {"boot_id": "x", "pid": 1, "start_ticks": 1},
        "started_ms": 1,
        "mono_s": 1.0,
    },
    "exit.json": {"ended_ms": 1, "exit_code": 0, "signal": None, "reason": "", "stopped": None, "cpu_ms": 1},
    "warnings.json": {"warnings": ["a"]},
    "supervisor.lock": {"boot_id": "x", "pid": 1, "start_ticks": 1},
    "moves.jsonl": {"phase": "running", "at_ms": 1, "mono_s": 1.0, "reason": "a"},
}
ODD = ["Infinity", "-1e999", "NaN", "null", "true", "[]", "{}", '"x"', "1" * 5000, "[" * 3000, '"\\ud800"']


@pytest.fixture
def jobs() -> Iterator[Path]:
    """The folder of all jobs: root's, and everybody may pass through."""
    if os.geteuid() != 0:
        pytest.skip("only root can look after other users' files")
    with tempfile.TemporaryDirectory(prefix="tw-host-") as root:
        os.chmod(root, 0o711)
        folder = Path(root) / "jobs"
        folder.mkdir(mode=0o711)
        yield folder


@pytest.fixture
def host(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> SharedHost:
    """One that starts no supervisors."""
    monkeypatch.setattr(SharedHost, "_supervise", lambda *_: None)
    return SharedHost(jobs)


def attempt(jobs: Path, number: int, uid: int, **files: str) -> Path:
    """The folder of an attempt of that user's, claimed by a process of another boot."""
    folder = jobs / str(number) / "1"
    folder.mkdir(parents=True)
    for name, text in ({"claim": json.dumps(FORMS["claim"])} | files).items():
        (folder / name).write_text(text)
        os.chown(folder / name, uid, uid)
    for each in (folder, folder.parent):
        os.chown(each, uid, uid)
        each.chmod(0o700)
    return folder


def odd_files() -> Iterator[tuple[str, str]]:
    """Each file with something odd in the place of each of its parts, or of all of it."""
    for name, form in FORMS.items():
        yield from ((name, odd) for odd in ODD)
        for path in [(key,) for key in form] + ([("process", key) for key in form.get("process", {})]):
            for odd in ODD:
                changed = json.loads(json.dumps(form))
                place = changed[path[0]] if len(path) == 2 else changed
                place[path[-1]] = "@"
                yield name, json.dumps(changed).replace('"@"', odd)


def test_whatever_a_users_files_say_the_others_attempts_are_looked_at(jobs: Path, host: SharedHost) -> None:
    sound = attempt(jobs, 1, BOB, **{"exit.json": json.dumps(FORMS["exit.json"])})
    folders = [
        attempt(jobs, number, ALICE, **{name: text}) for number, (name, text) in enumerate(odd_files(), 2)
    ]
    assert len(folders) > 200
    found = host.status([*folders, sound])
    assert found[sound].phase is Phase.ENDED
    assert set(found) == {*folders, sound}
    for folder in folders:
        host.processes(folder)
        with suppress(BackendError):
            host.poison(folder)


def test_what_a_users_supervisor_says_steers_no_terminal(jobs: Path, host: SharedHost) -> None:
    said = FORMS["exit.json"] | {"reason": "\x1b]0;x\x07\n\x9b2J\u202egood"}
    found = attempt(jobs, 1, ALICE, **{"exit.json": json.dumps(said)})
    assert host.status([found])[found].reason == "?]0;x???2J?good"


def test_files_that_take_long_to_read_cost_their_user_a_bounded_time(jobs: Path, host: SharedHost) -> None:
    now = [0.0]
    host._allowance = Allowance(lambda: now[0], lambda: now[0])
    slow, quick = attempt(jobs, 1, ALICE), attempt(jobs, 2, BOB)
    looks = [0]
    see = SharedHost.__mro__[1].status  # type: ignore[attr-defined]

    def seen(self: SharedHost, folders: list[Path]) -> Any:
        if folders[0] == slow:
            looks[0] += 1
            now[0] += 3
        return see(self, folders)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SharedHost.__mro__[1], "status", seen)
        for _ in range(1000):
            now[0] += 0.1
            found = host.status([slow, quick])
    assert set(found) == {slow, quick}
    assert 3 * looks[0] < AT_ONCE_S + 3 + 1.1 * SHARE * now[0]


def test_processes_that_keep_the_daemon_waiting_are_not_asked_for_a_while(
    jobs: Path, host: SharedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = [0.0], [0]
    host._allowance = Allowance(lambda: now[0], lambda: 0.0)

    def stopped(*_: object, **__: object) -> dict[str, Any]:
        asked[0] += 1
        now[0] += 20
        raise BackendError("gave no answer", transient=True)

    monkeypatch.setattr(becoming, "asked", stopped)
    folder, other = attempt(jobs, 1, ALICE), attempt(jobs, 2, BOB)
    for _ in range(10):
        with pytest.raises(BackendError):
            host.stop(folder, StopReason.CANCELLED)
    assert asked[0] == 3
    with pytest.raises(BackendError, match="gave no answer"):  # others have their own
        host.stop(other, StopReason.CANCELLED)
    now[0] += 600
    with pytest.raises(BackendError, match="gave no answer"):
        host.stop(folder, StopReason.CANCELLED)


def test_honest_questions_cost_nothing() -> None:
    now = [0.0]
    allowance = Allowance(lambda: now[0], lambda: now[0] / 100)
    for _ in range(1000):
        with allowance.paying(ALICE):
            now[0] += 1.9
    assert not allowance.spent(ALICE)


def test_an_answer_that_is_nested_without_end_is_none(monkeypatch: pytest.MonkeyPatch, jobs: Path) -> None:
    def nested(_owner: object, _words: object, _python: object, out: int) -> Any:
        os.write(out, b"[" * 60_000)
        return subprocess.Popen(["true"])

    monkeypatch.setattr(becoming, "started", nested)
    with pytest.raises(BackendError, match="gave no answer"):
        becoming.asked(SharedHost(jobs).owner_of(attempt(jobs, 1, ALICE)), "stop")


@pytest.mark.parametrize("text", ["[" * 3000, "[1, Infinity, 2, 3]", "x" * 5_000_000, "[1]", "null"])
def test_a_lease_file_says_nothing_that_is_not_a_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TIDEWATT_LEASES", str(tmp_path))
    file = tmp_path / "GPU-1"
    file.write_text(text)
    with open(file, "r+b") as held:
        assert lock.take(held.fileno())
        assert lease.holders(["GPU-1"]) == {"GPU-1": lease.UNNAMED}


def test_a_pipe_in_the_place_of_a_lease_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEWATT_LEASES", str(tmp_path))
    os.mkfifo(tmp_path / "GPU-1")
    fd = os.open(tmp_path / "GPU-1", os.O_RDWR)
    try:
        lock.take(fd)
        assert lease.holders(["GPU-1"])["GPU-1"] in (None, lease.UNNAMED)
    finally:
        os.close(fd)


def test_a_lease_names_its_holder_in_plain_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWATT_LEASES", str(tmp_path))
    (tmp_path / "GPU-1").write_text(json.dumps(["7\x1b[2J.1", 5, 6, "k"]))
    with open(tmp_path / "GPU-1", "r+b") as held:
        assert lock.take(held.fileno())
        assert str(lease.holders(["GPU-1"])["GPU-1"]) == "job 7[2J of user 6, pid 5"
