"""A shared server to test on: the real daemon, as root, in a folder of its own, and its users' commands.

The users have numbers and no entry in the user database; the group that is served is one of theirs.
"""

import json
import os
import shutil
import signal
import site
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tidewatt.scheduler.exchange import UnixConnection

ALICE, BOB, STRANGER, OPERATOR = 61001, 61002, 61003, 61004
SERVED, OPERATORS = 61000, 61009
PATIENCE_S = 30.0
_MAIN = "from tidewatt.scheduler.cli import main; main()"
Question = tuple[str, str, Any]  # method, path, body
Answer = tuple[int, str]
_NOBODY = 65534
_ROOM = '[[region]]\nname = "local"\ncpus = 64\n'  # also for attempts that nobody can tell of any more


@dataclass(frozen=True, slots=True)
class Said:
    """What a command of a user's printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer."""
        assert self.code == 0, self.err
        return json.loads(self.out)


class Server:
    """The daemon of a group, and its users."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="tw-shared-"))
        for part in ("", "var", "var/lib", "run", "homes", "leases"):
            (self.root / part).mkdir(exist_ok=True)
            (self.root / part).chmod(0o755)
        (self.root / "leases").chmod(0o1777)
        self.python = _python(self.root)
        self.state = self.root / "var/lib/tidewatt"
        self.socket = self.root / "run/tidewatt/tidewatt.sock"

    def home(self, uid: int) -> Path:
        """The user's own folder, closed to others."""
        folder = self.root / "homes" / str(uid)
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, uid, uid)
        return folder

    def environ(self, uid: int, **more: str) -> dict[str, str]:
        """What a login of the user's has."""
        return {
            "PATH": os.defpath,
            "HOME": str(self.home(uid) if uid else self.root / "run"),
            "XDG_RUNTIME_DIR": str(self.home(uid) / "runtime") if uid else str(self.root / "run/root"),
            "TIDEWATT_SYSTEM_ROOT": str(self.root),
            "TIDEWATT_LEASES": str(self.root / "leases"),
            "TZ": "UTC",
            "NO_COLOR": "1",
        } | more

    def run(self, uid: int, *argv: str, groups: tuple[int, ...] | None = None, **more: Any) -> Said:
        """Any command of a user's, within the served group unless other groups are given."""
        env = self.environ(uid) | more.pop("env", {})
        options = {"cwd": self.home(uid) if uid else "/", "timeout": 60.0} | more
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            user=uid,
            group=uid,
            extra_groups=self._groups(uid) if groups is None else list(groups),
            umask=0o022,
            env=env,
            **options,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def tidewatt(self, uid: int, *words: str, **more: Any) -> Said:
        """A command of Tidewatt's, as that user types it."""
        return self.run(uid, str(self.python), "-P", "-c", _MAIN, *words, **more)

    def up(self, config: str = "") -> None:
        """Starts the daemon."""
        file = self.root / "config.toml"
        file.write_text(f'tick_s = 0.2\n{config}\n[server]\noperators = ["{OPERATORS}"]\n{_ROOM}')
        done = self.tidewatt(0, "up", "--system", "--group", str(SERVED), "--config", str(file))
        assert done.code == 0, done.err

    def be(self, uid: int, act: Callable[[], Any], groups: tuple[int, ...] | None = None) -> Any:
        """What `act` returns in a process of the user's: JSON, or the name of what it raised."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups(self._groups(uid) if groups is None else groups)
                os.setgid(uid)
                os.setuid(uid)
                try:
                    answer = act()
                except Exception as error:
                    answer = type(error).__name__
                with open(write, "w") as file:
                    json.dump(answer, file)
            finally:
                os._exit(0)
        os.close(write)
        with open(read) as file:
            text = file.read()
        os.waitpid(pid, 0)
        return json.loads(text)

    def asked(self, uid: int, *questions: Question, groups: tuple[int, ...] | None = None) -> list[Answer]:
        """Status and text of each request that the user's process sends to the daemon."""

        def ask() -> list[Answer]:
            return [self._answered(*question) for question in questions]

        found = self.be(uid, ask, groups)
        return [(status, text) for status, text in found] if isinstance(found, list) else []

    def submitted(self, uid: int, *command: str, **more: Any) -> int:
        """The number of a new job."""
        body = {"argv": command, "cwd": str(self.home(uid)), "umask": 0o022} | more
        [(status, text)] = self.asked(uid, ("POST", "/api/v1/jobs", body))
        assert status == 200, text
        return int(json.loads(text)["job"]["id"])

    def act(self, uid: int, verb: str, job_id: int) -> int:
        """Does something with a job; the status of the answer."""
        return self.asked(uid, ("POST", f"/api/v1/jobs/{job_id}/{verb}", {}))[0][0]

    def job(self, job_id: int, uid: int = 0) -> Any:
        """A job as its user, or root, sees it."""
        [(status, text)] = self.asked(uid, ("GET", f"/api/v1/jobs/{job_id}", None))
        assert status == 200, text
        return json.loads(text)

    def output(self, job_id: int) -> str:
        """What it printed."""
        return (self.state / "jobs" / str(job_id) / "output.log").read_text()

    def ended(self, job_id: int) -> Any:
        """The job, once it has ended."""

        def look() -> Any:
            job = self.job(job_id)
            return job if job["state"] in {"done", "failed", "cancelled"} else None

        return self.until(look)

    def running(self, job_id: int) -> psutil.Process:
        """The job's process, once it runs."""
        claim = self.state / "jobs" / str(job_id) / "1" / "claim"
        process: psutil.Process = self.until(lambda: _process(claim))
        return process

    def until(self, look: Callable[[], Any]) -> Any:
        """What `look` returns, once it returns something."""
        stop = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert time.monotonic() < stop, f"waited in vain; {self.log()[-3000:]}"
            time.sleep(0.05)
        return found

    def log(self) -> str:
        """The daemon's log so far."""
        file = self.state / "log" / "daemon.log"
        return file.read_text() if file.exists() else ""

    def kill(self) -> None:
        """What a power cut does to the daemon."""
        pid = int((self.state / "daemon.lock").read_text())
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)

    def close(self) -> None:
        """Ends all that was started here, and removes it."""
        for _ in range(3):
            ours = [process for process in psutil.process_iter() if self._of_ours(process)]
            for process in ours:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(ours, timeout=5)
        shutil.rmtree(self.root, ignore_errors=True)

    def _groups(self, uid: int) -> list[int]:
        return [SERVED, OPERATORS] if uid == OPERATOR else [SERVED]

    def _answered(self, method: str, path: str, body: Any) -> Answer:
        connection = UnixConnection(self.socket, PATIENCE_S)
        try:
            connection.connect()
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()

    def _of_ours(self, process: psutil.Process) -> bool:
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            return False
        return any(str(self.root) in word for word in words) and process.pid != os.getpid()


def started(config: str = "") -> Server:
    """A server that serves; skips where this is not root, or no Python can be run by all users."""
    if os.geteuid() != 0:
        pytest.skip("only root can run jobs as other users")
    server = Server()
    try:
        server.up(config)
    except BaseException:
        server.close()
        raise
    return server


def _python(root: Path) -> Path:
    """A Python with this package that everybody may run: this one, or the system's of the same version."""
    for given in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        found = Path(os.path.realpath(given))
        if not found.exists() or not _open_to_all(found):
            continue
        venv = root / "venv"
        library = venv / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        library.mkdir(parents=True)
        (venv / "bin").mkdir()
        (venv / "bin/python").symlink_to(found)
        (venv / "pyvenv.cfg").write_text(f"home = {found.parent}\n")
        paths = [path for path in site.getsitepackages() if Path(path).is_dir()]
        lines = [f"import site; site.addsitedir({path!r})" for path in paths]
        (library / "all.pth").write_text("\n".join(lines) + "\n")
        subprocess.run(["chmod", "-R", "a+rX", str(venv)], check=True)
        probe = [str(venv / "bin/python"), "-P", "-c", "import tidewatt.scheduler.cli, pydantic_core"]
        done = subprocess.run(probe, user=_NOBODY, group=_NOBODY, extra_groups=[], cwd="/", check=False)
        if done.returncode == 0:
            return venv / "bin/python"
        shutil.rmtree(venv)
    shutil.rmtree(root)
    pytest.skip("no Python of this version, with Tidewatt, can be run by every user of this machine")


def _open_to_all(path: Path) -> bool:
    folders = [path, *path.parents]
    return all(each.stat().st_mode & stat.S_IXOTH for each in folders)


def _process(claim: Path) -> psutil.Process | None:
    try:
        return psutil.Process(json.loads(claim.read_text())["process"]["pid"])
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
