"""One server, several people: what each may see, do and reach, as real users of the system."""

import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.shared.server import ALICE, BOB, OPERATOR, SERVED, STRANGER, Server, started
from tidewatt.backends.meters import door
from tidewatt.scheduler.client import Client
from tidewatt.scheduler.daemon.portions import CONNECTIONS

SECRET = "s3cret-of-alice"
STREAM = "/api/v1/events"  # an answer without end


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = started("[limits]\nwaiting = 20\n")
    yield found
    found.close()


@pytest.fixture
def sleeps(server: Server) -> Iterator[Callable[[int], int]]:
    """Starts a job of a user's that runs until the test is over."""
    numbers: list[int] = []

    def start(uid: int) -> int:
        numbers.append(server.submitted(uid, "sleep", "60", name=f"{SECRET}-{uid}"))
        server.running(numbers[-1])
        return numbers[-1]

    yield start
    for number in numbers:
        server.act(0, "cancel", number)
        for process in of_folder(server.state / "jobs" / str(number) / "1"):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def of_folder(folder: Path) -> list[psutil.Process]:
    """The attempt's supervisor and job."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), process.environ().get("TIDEWATT_ATTEMPT_FOLDER", "")]
            found += [process] if str(folder) in words else []
    return found


def supervisors(folder: Path) -> list[psutil.Process]:
    """The attempt's supervisors."""
    found = []
    for process in of_folder(folder):
        with suppress(psutil.Error):  # it is just ending
            found += [process] if str(folder) in process.cmdline() else []
    return found


def test_a_job_runs_as_its_submitter_in_every_respect(server: Server) -> None:
    told = "id -u; id -G; umask; grep Cap /proc/self/status; pwd; sleep 30"
    job = server.submitted(ALICE, "sh", "-c", told)
    process = server.running(job)
    supervisor = process.parent()
    assert supervisor is not None
    for each in (process, supervisor):
        assert each.uids() == (ALICE, ALICE, ALICE)
        assert each.gids() == (ALICE, ALICE, ALICE)
    server.until(lambda: str(server.home(ALICE)) in server.output(job))
    assert server.tidewatt(ALICE, "cancel", str(job)).code == 0
    assert server.ended(job)["state"] == "cancelled"
    uid, groups, umask, *rights, folder = server.tidewatt(ALICE, "logs", str(job)).out.split("\n")[:9]
    assert (uid, set(groups.split()), umask) == (str(ALICE), {str(ALICE), str(SERVED)}, "0022")
    assert [line.split()[1] for line in rights if not line.startswith("CapBnd")] == ["0" * 16] * 4
    assert folder == str(server.home(ALICE))


def test_all_files_of_a_job_are_its_submitters_and_closed_to_others(server: Server) -> None:
    job = server.submitted(ALICE, "true", env={"A": "b"}, array=[1, 2])
    server.ended(job)
    home = server.state / "jobs" / str(job)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {path.lstat().st_uid for path in [home, *home.rglob("*")]} == {ALICE}
    assert (server.state / "jobs" / str(job + 1)).stat().st_uid == ALICE
    assert (server.state / "jobs").stat().st_uid == 0


def test_root_submits_no_job(server: Server) -> None:
    said = server.tidewatt(0, "--system", "submit", "--", "id")
    assert said.code == 2
    assert "never run as root" in said.err


def routes(server: Server) -> list[tuple[str, str]]:
    """Method and path of all that the daemon can be asked."""
    [(_, text)] = server.asked(BOB, ("GET", "/api/v1/openapi.json", None))
    return [(m.upper(), path) for path, methods in json.loads(text)["paths"].items() for m in methods]


def test_jobs_of_others_answer_as_if_they_did_not_exist(server: Server, sleeps: Callable[[int], int]) -> None:
    job = sleeps(ALICE)
    verbs = ("cancel", "hold", "release", "start")
    asked = [
        (method, path.replace("{verb}", verb).replace("{key}", number), {"name": "USR1", "mode": "stop"})
        for method, path in routes(server)
        if "{key}" in path and "/tokens/" not in path
        for verb in (verbs if "{verb}" in path else ("",))
        for number in (str(job), "999999")
    ]
    answers = server.asked(BOB, *asked)
    assert len(answers) == len(asked) > 16
    for theirs, none, (_, path, _) in zip(answers[::2], answers[1::2], asked[::2], strict=True):
        assert theirs[0] == none[0] >= 400, path
        assert theirs[1].replace(f"job {job}:", "job N:") == none[1].replace("job 999999:", "job N:"), path
        assert SECRET not in theirs[1]
    assert server.job(job)["state"] == "running"


def test_no_list_or_sum_tells_of_others_jobs_but_counts(server: Server, sleeps: Callable[[int], int]) -> None:
    sleeps(ALICE)
    plain = [
        ("GET", path, None)
        for method, path in routes(server)
        if method == "GET" and "{" not in path and path != STREAM
    ]
    told = server.asked(BOB, *plain)
    assert len(told) == len(plain) > 10
    for (_, path, _), (_, text) in zip(plain, told, strict=True):
        assert SECRET not in text, path
        assert str(ALICE) not in text, path
        assert str(server.home(ALICE)) not in text, path
    status = server.tidewatt(BOB, "status", "--json").json
    assert status["others"]["running"] >= 1
    assert (status["running"], status["you"], status["group"]) == ([], str(BOB), str(SERVED))
    assert "others' jobs:" in server.tidewatt(BOB, "status").out


def test_the_stream_of_events_tells_of_ones_own_jobs_alone(
    server: Server, sleeps: Callable[[int], int]
) -> None:
    sleeps(ALICE)

    def listen() -> str:
        line, told = socket.socket(socket.AF_UNIX), b""
        line.settimeout(0.5)
        line.connect(str(server.socket))
        line.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0\r\n\r\n".encode())
        with suppress(TimeoutError):
            while part := line.recv(65536):
                told += part
        return told.decode()

    heard = server.be(BOB, listen)
    assert ("200 OK" in heard, SECRET in heard, str(ALICE) in heard) == (True, False, False)
    assert SECRET in server.be(ALICE, listen)


def test_a_job_cannot_wait_for_somebody_elses(server: Server, sleeps: Callable[[int], int]) -> None:
    job = sleeps(ALICE)
    body = {"argv": ["true"], "cwd": "/", "after": [str(job)]}
    [(status, text)] = server.asked(BOB, ("POST", "/api/v1/jobs", body))
    assert (status, f"there is no job {job}" in text) == (422, True)


def test_who_asks_is_told_by_the_kernel_alone(server: Server) -> None:
    forged = {"argv": ["true"], "cwd": "/", "user": str(ALICE), "uid": ALICE, "owner": {"uid": 0}}
    plain = {"argv": ["id", "-u"], "cwd": "/"}
    refused, taken = server.asked(BOB, ("POST", "/api/v1/jobs", forged), ("POST", "/api/v1/jobs", plain))
    assert refused[0] == 422
    job = json.loads(taken[1])["job"]
    assert job["user"] == str(BOB)
    server.ended(job["id"])
    assert server.output(job["id"]) == f"{BOB}\n"


def test_operators_see_and_cancel_all_and_nobody_else_may(
    server: Server, sleeps: Callable[[int], int]
) -> None:
    job = sleeps(ALICE)
    queue = server.tidewatt(OPERATOR, "queue", "--json").json["jobs"]
    assert (job, str(ALICE)) in [(each["id"], each["user"]) for each in queue]
    assert server.act(OPERATOR, "cancel", job) == 200
    assert server.ended(job)["state"] == "cancelled"
    [(status, text)] = server.asked(OPERATOR, ("POST", f"/api/v1/jobs/{job}/rerun", {}))
    assert (status, "own user" in text) == (409, True)
    for uid in (BOB, OPERATOR):
        [(status, text)] = server.asked(uid, ("POST", "/api/v1/shutdown", {}))
        assert (status, "only root" in text) == (409, True)


def test_what_concerns_everybody_is_for_operators(server: Server) -> None:
    changing = [
        (method, path)
        for method, path in routes(server)
        if (method in ("PUT", "DELETE") or path.endswith("/reload") or path.endswith("bundle/report"))
        and "/tokens/" not in path
    ]
    assert len(changing) >= 4
    for method, path in changing:
        asked = path.replace("{place}", "local").replace("{name}", "local").replace("{what}", "local")
        body = {"reason": "", "on": False, "enabled": False, "until": None}
        [(status, text)] = server.asked(BOB, (method, asked, body if method != "GET" else None))
        assert (status >= 400, "operator" in text or status == 422) == (True, True), (method, path, text)
    assert json.loads(server.asked(BOB, ("GET", "/api/v1/shifting", None))[0][1]) is not None


def test_who_is_not_in_the_group_is_not_let_in(server: Server) -> None:
    assert server.tidewatt(STRANGER, "--system", "status", groups=()).code == 1
    assert server.asked(STRANGER, ("GET", "/api/v1/status", None), groups=()) == []
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o660
    assert (server.socket.stat().st_uid, server.socket.stat().st_gid) == (0, SERVED)
    folder = server.socket.parent.stat()
    assert (folder.st_uid, stat.S_IMODE(folder.st_mode)) == (0, 0o755)


def test_who_gets_in_without_the_group_is_hung_up_on(server: Server) -> None:
    server.socket.chmod(0o666)
    try:
        assert server.asked(STRANGER, ("GET", "/api/v1/status", None), groups=()) == []
        assert server.asked(BOB, ("GET", "/api/v1/status", None))[0][0] == 200
    finally:
        server.socket.chmod(0o660)


def reached(pid: int, home: Path, state: Path) -> list[str]:
    """What of somebody's running job the caller can read, change or signal."""
    found = []
    targets = [Path(f"/proc/{pid}/environ"), Path(f"/proc/{pid}/mem"), Path(f"/proc/{pid}/fd/1")]
    targets += [home / name for name in ("env.json", "output.log")]
    targets += [home / "1" / name for name in ("launch.json", "claim", "supervisor.lock", "supervisor.log")]
    targets += [state / name for name in ("tidewatt.db", "mark", "system.json", "log/daemon.log")]
    for path in targets:
        with suppress(OSError):
            path.read_bytes()
            found.append(f"read {path}")
    for folder in (home, state, *(state / name for name in ("jobs", "readings", "keys", "log"))):
        with suppress(OSError):
            os.listdir(folder)
            found.append(f"listed {folder}")
        with suppress(OSError):
            (folder / "x").write_text("x")
            found.append(f"wrote to {folder}")
    for number in (0, 9, 15, 19):
        for one in (pid, -pid):
            with suppress(OSError):
                os.kill(one, number)
                found.append(f"signalled {one}")
    return found


def test_another_user_can_neither_read_nor_signal_a_job(server: Server) -> None:
    job = server.submitted(
        ALICE, "sh", "-c", f"echo {SECRET}; sleep 60", env={"TOKEN": SECRET, "PATH": os.defpath}
    )
    process = server.running(job)
    home = server.state / "jobs" / str(job)
    server.until((home / "output.log").exists)
    assert server.be(BOB, lambda: reached(process.pid, home, server.state)) == []
    environ = f"/proc/{process.pid}/environ"
    assert server.be(ALICE, lambda: SECRET in Path(environ).read_text()) is True
    assert process.is_running()
    server.act(ALICE, "cancel", job)
    server.ended(job)
    assert not (home / "env.json").exists()
    kept = [server.state / "tidewatt.db", server.state / "tidewatt.db-wal", server.state / "log/daemon.log"]
    for file in kept:
        assert f'"TOKEN":"{SECRET}"'.encode() not in file.read_bytes()
        assert f'"TOKEN": "{SECRET}"'.encode() not in file.read_bytes()


def test_a_folder_that_a_user_may_not_enter_does_not_exist_for_them(server: Server) -> None:
    for folder in (server.home(ALICE), server.state / "keys", server.root / "nowhere"):
        body = {"argv": ["id"], "cwd": str(folder)}
        [(status, text)] = server.asked(BOB, ("POST", "/api/v1/jobs", body))
        assert (status, "does not exist here" in text) == (422, True)


def test_outputs_are_opened_with_the_users_rights(server: Server) -> None:
    target = server.home(ALICE) / "precious"
    target.write_text("kept")
    os.chown(target, ALICE, ALICE)
    link = server.home(BOB) / "out.log"
    link.symlink_to(target)
    paths = (target, link, server.state / "tidewatt.db", Path("/etc/tidewatt-test"))
    jobs = [server.submitted(BOB, "echo", "hello", stdout=str(path)) for path in paths]
    for number in jobs:
        job = server.ended(number)
        assert (job["state"], "cannot be opened" in job["reason"]) == ("failed", True)
    assert target.read_text() == "kept"
    assert not Path("/etc/tidewatt-test").exists()


def test_an_attempts_folder_that_leads_elsewhere_is_not_followed(
    server: Server, sleeps: Callable[[int], int]
) -> None:
    victim = sleeps(ALICE)
    attempt = server.state / "jobs" / str(victim) / "1"
    job = server.submitted(BOB, "true", hold=True)
    home = server.state / "jobs" / str(job)
    server.be(BOB, lambda: (home / "1").symlink_to(attempt))
    assert server.act(BOB, "release", job) == 200
    server.until(lambda: server.job(job)["attempts"])
    server.act(BOB, "cancel", job)
    assert server.job(victim)["state"] == "running"
    assert not (attempt / "stop.json").exists()
    assert {path.lstat().st_uid for path in attempt.iterdir()} == {ALICE}
    (home / "1").unlink()


@pytest.mark.parametrize("name", ["claim", "exit.json", "supervisor.lock", "launch.json", "moves.jsonl"])
def test_odd_files_in_a_jobs_folder_hold_up_nobody(
    server: Server, sleeps: Callable[[int], int], name: str
) -> None:
    file = server.state / "jobs" / str(sleeps(BOB)) / "1" / name

    def odd() -> None:
        file.unlink(missing_ok=True)
        os.mkfifo(file)

    server.be(BOB, odd)
    other = server.submitted(ALICE, "true")
    assert server.ended(other)["state"] == "done"


@pytest.mark.parametrize(
    "content",
    [
        {"ended_ms": "soon", "exit_code": 0, "stopped": None},
        {"ended_ms": 2**80, "exit_code": 0, "stopped": None},
        {"ended_ms": 1, "exit_code": 0, "stopped": None, "reason": "x" * 100_000},
        {"ended_ms": 1, "exit_code": [], "stopped": {}},
        ["a", "list"],
    ],
)
def test_what_a_forged_exit_says_is_not_believed_blindly(
    server: Server, sleeps: Callable[[int], int], content: Any
) -> None:
    job = sleeps(BOB)
    folder = server.state / "jobs" / str(job) / "1"
    server.be(BOB, lambda: (folder / "exit.json").write_text(json.dumps(content)))
    for process in of_folder(folder):
        process.kill()
    other = server.submitted(ALICE, "true")
    assert server.ended(other)["state"] == "done"
    found = server.job(job)
    assert (found["state"], len(found["reason"]) < 2000) == ("running", True)
    server.be(BOB, (folder / "exit.json").unlink)
    server.ended(job)


def test_a_forged_supervisor_gets_nobody_elses_process_signalled(
    server: Server, sleeps: Callable[[int], int]
) -> None:
    victim = subprocess.Popen(["sleep", "60"])
    try:
        born = Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        forged = json.dumps({"boot_id": boot, "pid": victim.pid, "start_ticks": int(born)})
        job = sleeps(BOB)
        lock = server.state / "jobs" / str(job) / "1" / "supervisor.lock"
        server.be(BOB, lambda: lock.write_text(forged))
        for uid in (BOB, 0):
            server.act(uid, "cancel", job)
        for process in of_folder(lock.parent):
            process.kill()
        server.ended(job)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_a_launch_that_its_owner_rewrote_runs_as_nobody_else(
    server: Server, sleeps: Callable[[int], int]
) -> None:
    folder = server.state / "jobs" / str(sleeps(BOB)) / "1"
    launch = json.loads((folder / "launch.json").read_text())
    launch["owner"] = {"uid": 0, "gid": 0, "groups": [0], "name": "root"}
    server.be(BOB, lambda: (folder / "launch.json").write_text(json.dumps(launch)))
    [supervisor] = supervisors(folder)
    supervisor.kill()  # the daemon starts another one
    [another] = server.until(lambda: [each for each in supervisors(folder) if each.pid != supervisor.pid])
    assert another.uids().real == BOB


def test_git_of_a_working_tree_runs_as_its_user_also_for_snapshots(server: Server) -> None:
    tree, told = server.home(BOB) / "tree", server.home(BOB) / "ran-as"

    def make() -> None:
        tree.mkdir()
        (tree / "train.py").write_text("x = 1")
        hook = tree / "hook"
        hook.write_text(f"#!/bin/sh\nid -u >> {told}\n")
        hook.chmod(0o755)
        environ = {"HOME": str(server.home(BOB)), "PATH": os.defpath}
        for words in (["init", "-q"], ["add", "."], ["config", "core.fsmonitor", str(hook)]):
            subprocess.run(["git", *words], cwd=tree, check=True, env=environ)

    server.be(BOB, make)
    job = server.submitted(BOB, "cat", "train.py", cwd=str(tree), snapshot=True)
    assert server.ended(job)["state"] == "done"
    [(_, text)] = server.asked(BOB, ("POST", f"/api/v1/jobs/{job}/rerun", {}))
    assert server.ended(json.loads(text)["job"]["id"])["state"] == "done"
    assert set(told.read_text().split()) == {str(BOB)}
    assert server.output(job) == "x = 1"


def test_a_users_pause_and_signal_reach_their_own_job_only(server: Server) -> None:
    job = server.submitted(ALICE, "sh", "-c", "trap 'echo heard' USR1; while :; do sleep 0.1; done")
    process = server.running(job)
    assert server.tidewatt(BOB, "signal", str(job), "USR1").code == 2
    assert server.tidewatt(ALICE, "signal", str(job), "USR1").code == 0
    server.until(lambda: "heard" in server.output(job))
    assert server.tidewatt(ALICE, "pause", str(job), "--stop").code == 0
    server.until(lambda: process.status() == psutil.STATUS_STOPPED)
    server.until(lambda: server.job(job)["state"] == "paused")
    assert server.tidewatt(ALICE, "resume", str(job)).code == 0
    server.until(lambda: process.status() != psutil.STATUS_STOPPED)
    server.act(ALICE, "cancel", job)
    assert server.ended(job)["state"] == "cancelled"


def test_the_meter_takes_from_users_only_what_is_theirs(server: Server, sleeps: Callable[[int], int]) -> None:
    job, mine = sleeps(ALICE), sleeps(BOB)
    theirs, own = server.running(job).pid, server.running(mine).pid

    def asked(uid: int, *questions: dict[str, Any]) -> Any:
        place = server.state / "meter.sock"
        return server.be(uid, lambda: [door.exchange(place, question, 2.0) for question in questions])

    answers = asked(
        BOB,
        {"ask": "hello", "clock": "{}", "interval_s": 0.001, "while_locked": ["/etc/passwd"]},
        {"ask": "register", "attempt_id": f"{job}.1", "supervisor_pid": own, "job_pid": None},
        {"ask": "register", "attempt_id": f"{mine}.1", "supervisor_pid": theirs, "job_pid": None},
        {"ask": "register", "attempt_id": f"{mine}.1", "supervisor_pid": own, "job_pid": 1},
        {"ask": "register", "attempt_id": f"../{mine}.1", "supervisor_pid": own, "job_pid": None},
        {"ask": "register", "attempt_id": f"{mine}.1", "supervisor_pid": True, "job_pid": None},
        {"ask": "unregister", "attempt_id": f"{job}.1"},
        {"ask": "unregister", "attempt_id": "own"},
        {"ask": "read", "cause": f"end {job}.1"},
        {"ask": "read", "cause": "tick"},
        {"ask": "read", "cause": f"end {mine}.1\nx"},
        {"ask": "register", "attempt_id": f"{mine}.1", "supervisor_pid": own, "job_pid": None},
        {"ask": "read", "cause": f"phase {mine}.1"},
    )
    assert [answer["ok"] for answer in answers] == [True] + [False] * 10 + [True, True]
    assert all(set(answer) <= {"ok", "pid", "problem"} for answer in answers)
    assert (server.state / "readings" / "running" / f"{job}.1.json").exists()
    often = asked(BOB, *[{"ask": "read", "cause": f"phase {mine}.1"}] * 200)
    assert not all(answer["ok"] for answer in often)
    assert asked(ALICE, {"ask": "read", "cause": f"phase {job}.1"})[0]["ok"]


def test_a_receipt_of_a_users_job_is_metered_by_roots_meter(server: Server) -> None:
    job = server.submitted(ALICE, "sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    server.ended(job)
    account = server.until(lambda: server.job(job, ALICE)["settlement"])
    [cpu] = [each for each in account["components"] if each["component"] == "cpu"]
    assert cpu["energy_j"] > 0
    assert not any("meter did not answer" in warning for warning in server.job(job)["warnings"])


def test_readings_that_a_user_made_up_count_for_nothing(server: Server) -> None:
    made_up = "mkdir readings && cp /etc/hostname readings/2026-01-01-00000000.jsonl; echo {} > engine.json"
    job = server.submitted(BOB, "sh", "-c", f'cd "$TIDEWATT_ATTEMPT_FOLDER" && {made_up}; sleep 0.3')
    assert server.ended(job)["attempts"][0]["exit_code"] == 0
    account = server.until(lambda: server.job(job)["settlement"])
    [cpu] = [each for each in account["components"] if each["component"] == "cpu"]
    assert (cpu["energy_j"] is not None, cpu["how"]) == (True, "modelled") or cpu["how"] == "measured"


def test_a_request_without_end_is_cut_off(server: Server) -> None:
    body = {"argv": ["true", "x" * 100_000_000], "cwd": "/"}
    assert [status for status, _ in server.asked(BOB, ("POST", "/api/v1/jobs", body))] != [200]
    assert server.asked(BOB, ("GET", "/api/v1/status", None))[0][0] == 200


def test_a_request_of_nothing_but_brackets_costs_the_daemon_next_to_nothing(server: Server) -> None:
    daemon = psutil.Process(int((server.state / "daemon.lock").read_text()))
    before = daemon.memory_info().rss
    [(status, text)] = server.asked(BOB, ("POST", "/api/v1/jobs", {"argv": [[]] * 9_000_000}))
    assert (status, "parts" in text) == (413, True)
    assert daemon.memory_info().rss - before < 500_000_000


def test_a_user_with_hundreds_of_connections_leaves_room_for_others(server: Server) -> None:
    def crowd() -> int:
        lines = []
        for _ in range(300):
            lines.append(socket.socket(socket.AF_UNIX))
            lines[-1].settimeout(5)
            lines[-1].connect(str(server.socket))
        return sum(not _hung_up(line) for line in lines)

    assert server.be(ALICE, crowd) <= CONNECTIONS
    assert server.asked(BOB, ("GET", "/api/v1/status", None))[0][0] == 200
    assert server.until(lambda: server.asked(ALICE, ("GET", "/api/v1/status", None)))[0][0] == 200


def _hung_up(line: socket.socket) -> bool:
    try:
        line.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        return not line.recv(1)
    except OSError:
        return True


def test_a_pipe_beside_a_snapshot_holds_up_nothing(server: Server) -> None:
    tree = server.home(BOB) / "piped"
    script = """#!/bin/sh
    p=$PPID
    while [ "$p" -gt 1 ]; do
        for word in $(tr '\\0' ' ' < /proc/$p/cmdline); do
            case $word in
                */.new-*/source) mkfifo "${word%/source}/snapshot.path" && echo made >> ../pipes ;;
            esac
        done
        p=$(sed 's/.*) . //; s/ .*//' /proc/$p/stat)
    done
    """

    def make() -> None:
        tree.mkdir()
        (tree / "train.py").write_text("x = 1")
        (tree / "hook").write_text(script)
        (tree / "hook").chmod(0o755)
        environ = {"HOME": str(server.home(BOB)), "PATH": os.defpath}
        for words in (["init", "-q"], ["add", "."], ["config", "core.fsmonitor", str(tree / "hook")]):
            subprocess.run(["git", *words], cwd=tree, check=True, env=environ)

    server.be(BOB, make)
    body = {"argv": ["true"], "cwd": str(tree), "snapshot": True}
    [(status, text)] = server.asked(BOB, ("POST", "/api/v1/jobs", body))
    assert (tree.parent / "pipes").read_text().startswith("made")
    assert (status, "cannot be written" in text) == (422, True)


@pytest.mark.parametrize(
    "more",
    [
        {"argv": ["true", *["x" * 100_000] * 80]},
        {"labels": {"a\x1b[2J": "b"}},
        {"labels": {f"l{number}": "x" for number in range(65)}},
        {"stdout": "x/" * 3000},
    ],
)
def test_what_nobody_can_run_or_read_is_not_kept(server: Server, more: dict[str, Any]) -> None:
    [(status, text)] = server.asked(BOB, ("POST", "/api/v1/jobs", {"argv": ["true"], "cwd": "/"} | more))
    assert (status, len(text) < 500) == (422, True)


def test_a_claim_with_an_impossible_number_holds_up_nobody(
    server: Server, sleeps: Callable[[int], int]
) -> None:
    claim = server.state / "jobs" / str(sleeps(BOB)) / "1" / "claim"

    def forge() -> None:
        form = json.loads(claim.read_text())
        form["process"]["pid"] = float("inf")
        claim.write_text(json.dumps(form))

    server.be(BOB, forge)
    assert server.ended(server.submitted(ALICE, "true"))["state"] == "done"


def test_running_jobs_survive_the_daemon_and_stay_their_users(server: Server) -> None:
    job = server.submitted(ALICE, "sh", "-c", "sleep 2; exit 7")
    server.running(job)
    server.kill()
    assert server.tidewatt(ALICE, "--system", "status").code == 3
    server.up("[limits]\nwaiting = 20\n")
    ended = server.ended(job)
    assert (ended["state"], ended["attempts"][0]["exit_code"]) == ("failed", 7)
    assert server.asked(BOB, ("GET", f"/api/v1/jobs/{job}", None))[0][0] == 422


def test_commands_find_the_shared_daemon_and_prefer_ones_own(server: Server) -> None:
    assert server.tidewatt(BOB, "status", "--json").json["socket"] == str(server.socket)
    assert server.tidewatt(BOB, "status", env={"TIDEWATT_SYSTEM": "0"}).code == 3
    own = server.home(BOB) / "own"
    assert server.tidewatt(BOB, "up", env={"TIDEWATT_HOME": str(own)}).code == 0
    try:
        status = server.tidewatt(BOB, "status", "--json", env={"TIDEWATT_HOME": str(own)}).json
        assert (status["home"], status["group"], status["you"]) == (str(own), "", "")
    finally:
        server.tidewatt(BOB, "down", env={"TIDEWATT_HOME": str(own)})


def test_nothing_is_sent_to_a_socket_that_another_user_serves(server: Server) -> None:
    path = server.root / "homes" / "trap"
    listen = (
        "import os, socket, sys; door = socket.socket(socket.AF_UNIX); door.bind(sys.argv[1]);"
        "os.chmod(sys.argv[1], 0o777); door.listen(); print('ready', flush=True);"
        "line, _ = door.accept(); line.settimeout(5); print('heard', line.recv(4096), flush=True)"
    )
    path.parent.chmod(0o777)
    words = [str(server.python), "-c", listen, str(path)]
    trap = subprocess.Popen(words, user=BOB, group=BOB, stdout=subprocess.PIPE, text=True)
    try:
        assert trap.stdout is not None
        assert trap.stdout.readline() == "ready\n"
        assert server.be(ALICE, lambda: Client(path).status()) == "Refused"
        assert trap.stdout.readline() == "heard b''\n"
    finally:
        trap.kill()
        trap.communicate()
        path.parent.chmod(0o755)


def test_limits_are_told_at_submit(server: Server) -> None:
    job = server.submitted(BOB, "true", hold=True, array=list(range(20)))
    body = {"argv": ["true"], "cwd": "/"}
    [(status, text)] = server.asked(BOB, ("POST", "/api/v1/jobs", body))
    assert (status, "jobs waiting, may have 20" in text) == (409, True)
    urgent = body | {"priority": 5}
    plain, first = server.asked(ALICE, ("POST", "/api/v1/jobs", body), ("POST", "/api/v1/jobs", urgent))
    assert plain[0] == 200
    assert (first[0], "only operators" in first[1]) == (409, True)
    shares = json.loads(server.asked(BOB, ("GET", "/api/v1/shares", None))[0][1])["shares"]
    assert [(each["name"], each["limit"]["waiting"]) for each in shares] == [(str(BOB), 20)]
    server.act(BOB, "cancel", job)


def test_only_root_can_serve_others(server: Server) -> None:
    said = server.tidewatt(BOB, "up", "--system")
    assert (said.code, "only root" in said.err) == (2, True)
