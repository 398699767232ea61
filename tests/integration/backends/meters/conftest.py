"""Real meters on fake GPUs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.nvml.fake_nvml import FakeNvml, build
from tidewatt.backends.clock import Clock
from tidewatt.backends.meters import door
from tidewatt.backends.meters.client import MeterClient
from tidewatt.backends.meters.journal import readings_of

PATIENCE_S = 20.0

# A supervisor as the meter sees it: a subreaper with children, which says their pid and waits for them.
SUPERVISOR = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
job = subprocess.Popen(sys.argv[1:], start_new_session=True)
print(job.pid, flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
print("over", flush=True)
sys.stdin.read()
"""


@dataclass
class Stage:
    """A readings folder, its meter's client, and supervised processes."""

    readings: Path
    client: MeterClient
    supervisors: list[subprocess.Popen[str]] = field(default_factory=list)
    jobs: list[int] = field(default_factory=list)

    def supervise(self, attempt_id: str, *command: str) -> subprocess.Popen[str]:
        """Starts a registered supervisor with a job; its first line of output is the job's pid."""
        supervisor = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.supervisors.append(supervisor)
        self.jobs.append(int(self.line(supervisor)))
        assert self.client.register(attempt_id, supervisor.pid)
        return supervisor

    def line(self, supervisor: subprocess.Popen[str]) -> str:
        """The next line that the supervisor says."""
        assert supervisor.stdout is not None
        return supervisor.stdout.readline().strip()

    def kept(self) -> list[dict[str, Any]]:
        """All readings so far, oldest first."""
        paths = sorted(self.readings.glob("*.jsonl"))
        return [asdict(reading) for path in paths for reading in readings_of(path)]

    def meter_pid(self) -> int:
        """The pid of the meter that answers."""
        form = json.loads(door.note(self.readings).read_text())
        return int(form["pid"])

    def wait(self, told: Callable[[], Any]) -> Any:
        """What `told` returns once that is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := told()):
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)
        return found

    def end(self) -> None:
        """Ends the supervisors, their jobs and the meter."""
        for pid in self.jobs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        for supervisor in self.supervisors:
            supervisor.kill()
            supervisor.wait()
            for pipe in (supervisor.stdin, supervisor.stdout):
                if pipe:
                    pipe.close()
        if door.note(self.readings).exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.meter_pid(), signal.SIGKILL)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """No meter yet; one that is started reads every 0.2 s and has no RAPL."""
    monkeypatch.setenv("TIDEWATT_POWERCAP", str(tmp_path / "none"))
    monkeypatch.setenv("TIDEWATT_TDP_W", "100")
    readings = tmp_path / "readings"
    stage = Stage(readings, MeterClient(readings, 0.2, Clock()))
    yield stage
    stage.end()


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory, require_engine: Callable[[str], None]) -> Path:
    """The fake library, built once."""
    require_engine("gcc")
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(params=["library", "stub"])
def gpus(
    request: pytest.FixtureRequest, tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> FakeNvml:
    """Two fake GPUs for meters started from now on: by NVIDIA's module and a fake library, or by a stub."""
    library = request.getfixturevalue("nvml_library") if request.param == "library" else None
    nvml = FakeNvml.in_folder(tmp_path, library)
    nvml.add("GPU-a", idle_w=60)
    nvml.add("GPU-b", idle_w=70)
    for name, value in nvml.environ().items():
        monkeypatch.setenv(name, value)
    return nvml
