"""Jobs on another host: a real sshd on loopback, the agent behind it, and real processes."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ssh.host import SshHost
from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, Phase, StopReason
from tidewatt.backends.clock import Clock
from tidewatt.backends.engines import Setting
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.ssh.backend import SshBackend
from tidewatt.backends.ssh.engine import SshEngine

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, require_engine: Callable[[str], None]
) -> Iterator[SshHost]:
    require_engine("ssh")
    found = SshHost(tmp_path_factory.mktemp("sshd")).up()
    yield found
    found.down()


@pytest.fixture
def there(host: SshHost, tmp_path: Path) -> Callable[..., SshBackend]:
    """The backend for the region `hall`, with the options given."""

    def made(**options: Any) -> SshBackend:
        given = {"host": host.name, "ssh": host.arguments, "python": sys.executable}
        region = SshEngine.Options(**given | {"folder": str(tmp_path / "there")} | options)
        backend = SshEngine.made({"hall": region}, Setting(tmp_path / "home", Clock(), "tw-0123abcd"))
        assert isinstance(backend, SshBackend)
        return backend

    return made


def launch(tmp_path: Path, *argv: str, attempt: str = "1.1", **more: Any) -> Launch:
    folder = tmp_path / "home" / "jobs" / attempt.replace(".", "/")
    folder.mkdir(mode=0o700, parents=True)
    (tmp_path / "work").mkdir(exist_ok=True)
    out = folder.parent / "output.log"
    given = {"cwd": tmp_path / "work", "environment_file": None, "stdout": out, "stderr": out, "grace_s": 1.0}
    token = f"tw-0123abcd-{attempt.replace('.', '-')}"
    return Launch(attempt, folder, argv, region="hall", token=token, **given | more)


def until(backend: SshBackend, folder: Path, *phases: Phase) -> AttemptStatus:
    deadline = time.monotonic() + PATIENCE_S
    while (status := backend.status([folder])[folder]).phase not in phases:
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    return status


def test_job_runs_there_and_its_exit_code_and_output_come_back(
    there: Callable[..., SshBackend], tmp_path: Path
) -> None:
    backend = there()
    job = launch(tmp_path, "sh", "-c", "echo it ran in $PWD; exit 3")
    backend.submit(job)
    backend.submit(job)
    status = until(backend, job.folder, Phase.ENDED)
    assert (status.exit_code, status.stopped) == (3, None)
    assert backend.logs(job.folder) == f"it ran in {tmp_path / 'work'}\n".encode()
    assert backend.logs(job.folder, 3) == f"ran in {tmp_path / 'work'}\n".encode()


def test_values_of_the_environment_are_in_no_command_line(
    there: Callable[..., SshBackend], tmp_path: Path
) -> None:
    kept = tmp_path / "env.json"
    kept.write_text(json.dumps({"SECRET": "hunter2", "PATH": "/usr/bin:/bin"}))
    kept.chmod(0o600)
    backend = there()
    job = launch(tmp_path, "sh", "-c", "echo $SECRET", environment_file=kept)
    assert "hunter2" not in backend.rehearse(job)
    assert "SECRET" in backend.rehearse(job)
    backend.submit(job)
    until(backend, job.folder, Phase.ENDED)
    assert backend.logs(job.folder) == b"hunter2\n"
    assert all("hunter2" not in path.read_text() for path in job.folder.rglob("*.json"))


def test_files_are_sent_where_that_is_asked_for(there: Callable[..., SshBackend], tmp_path: Path) -> None:
    backend = there(send=True)
    job = launch(tmp_path, "cat", "data.txt")
    (tmp_path / "work" / "data.txt").write_text("forty-two\n")
    backend.submit(job)
    (tmp_path / "work" / "data.txt").write_text("changed later\n")
    until(backend, job.folder, Phase.ENDED)
    assert backend.logs(job.folder) == b"forty-two\n"


def test_stopped_job_is_not_done(there: Callable[..., SshBackend], tmp_path: Path) -> None:
    backend = there()
    job = launch(tmp_path, "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    backend.submit(job)
    until(backend, job.folder, Phase.RUNNING)
    backend.stop(job.folder, StopReason.CANCELLED)
    assert until(backend, job.folder, Phase.ENDED).stopped is StopReason.CANCELLED


def test_attempt_stopped_before_its_submit_never_starts(
    there: Callable[..., SshBackend], tmp_path: Path
) -> None:
    backend = there()
    job = launch(tmp_path, "true")
    backend.stop(job.folder, StopReason.CANCELLED)
    backend.submit(job)
    assert backend.status([job.folder])[job.folder].phase is Phase.POISONED


def test_host_that_cannot_be_reached_leaves_the_job_unknown_until_it_is_back(
    host: SshHost, there: Callable[..., SshBackend], tmp_path: Path
) -> None:
    backend = there()
    job = launch(tmp_path, "sleep", "60")
    backend.submit(job)
    until(backend, job.folder, Phase.RUNNING)
    host.down()
    try:
        status = backend.status([job.folder])[job.folder]
        assert status.phase is Phase.UNKNOWN
        assert "cannot be reached" in status.reason
        with pytest.raises(BackendError, match="cannot be reached") as refused:
            backend.stop(job.folder, StopReason.CANCELLED)
        assert refused.value.transient
    finally:
        host.up()
    another = there()  # the daemon was restarted, too
    assert another.status([job.folder])[job.folder].phase is Phase.RUNNING
    another.stop(job.folder, StopReason.CANCELLED)
    until(another, job.folder, Phase.ENDED)


def test_region_that_is_gone_from_the_configuration_strands_no_job(
    there: Callable[..., SshBackend], tmp_path: Path
) -> None:
    job = launch(tmp_path, "sh", "-c", "exit 4")
    there().submit(job)
    bare = SshBackend({}, tmp_path / "home")
    assert until(bare, job.folder, Phase.ENDED).exit_code == 4


def test_readings_of_the_meter_there_are_brought_here(
    there: Callable[..., SshBackend], tmp_path: Path
) -> None:
    backend = there()
    job = launch(
        tmp_path,
        sys.executable,
        "-c",
        "sum(range(30_000_000))",
        readings=tmp_path / "r",
        meter_interval_s=0.2,
    )
    backend.submit(job)
    status = until(backend, job.folder, Phase.ENDED)
    assert status.started_ms is not None
    assert status.ended_ms is not None
    deadline = time.monotonic() + PATIENCE_S
    while not backend.collect(job.folder):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    used = usage(job.folder / "readings", "1.1", (), status.started_ms, status.ended_ms)
    assert used.coverage["cpu"] > 0.95


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"python": "/no/such/python"}, "has no Tidewatt that /no/such/python finds"),
        ({"host": "nowhere.invalid", "ssh": ()}, "cannot be reached"),
    ],
)
def test_what_is_wrong_with_a_host_is_told(
    there: Callable[..., SshBackend], tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    backend = there(**options)
    with pytest.raises(BackendError, match=sentence):
        backend.capacity("hall")
    job = launch(tmp_path, "true")
    with pytest.raises(BackendError, match=sentence):
        backend.submit(job)
    assert sentence.split()[-1] in backend.status([job.folder])[job.folder].reason


def test_folder_that_is_not_there_is_told(there: Callable[..., SshBackend], tmp_path: Path) -> None:
    backend = there()
    job = launch(tmp_path, "true", cwd=tmp_path / "missing")
    with pytest.raises(BackendError, match=r"does not exist there: share it, or set options\.send"):
        backend.submit(job)
    assert backend.poison(job.folder)


def test_capacity_is_that_of_the_host(there: Callable[..., SshBackend]) -> None:
    found = there().capacity("hall")
    assert found.cpus >= 1
    assert 0 <= found.cpus_free <= found.cpus
