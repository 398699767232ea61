"""Jobs, supervisors and the meter are killed: no energy is lost, no job orphaned, exit statuses are true."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.nvml.fake_nvml import FakeNvml
from tidewatt.backends import claim
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, Phase, StopReason
from tidewatt.backends.local import LocalBackend
from tidewatt.backends.meters import door
from tidewatt.backends.meters.balance import Allocation, account
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.reading import How

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage

WAIT = "echo ready; until test -e go; do sleep 0.02; done; exit 7"
WATTS = {"GPU-a": 300.0, "GPU-b": 200.0, "GPU-c": 100.0}
BURN = "import time\nwhile time.process_time() < 0.4: pass\n"


@pytest.fixture
def readings(own_home: Path) -> Iterator[Path]:
    yield own_home / "readings"
    with contextlib.suppress(OSError):  # one that hangs in its driver would not notice that it is over
        kill_meter(own_home / "readings")


@pytest.fixture
def nvml(own_home: Path, nvml_library: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """GPUs of steady draws, for meters that supervisors start; no RAPL, a CPU of 100 W."""
    made = FakeNvml.in_folder(own_home, nvml_library)
    for uuid, power_w in WATTS.items():
        made.add(uuid, idle_w=power_w)
    for name, value in made.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TIDEWATT_POWERCAP", str(own_home / "none"))
    monkeypatch.setenv("TIDEWATT_TDP_W", "100")
    return made


def check_gpu(readings: Path, attempt_id: str, status: AttemptStatus, *uuids: str) -> None:
    """All of the attempt's GPU energy from its start to its end is there, measured, within 1 %."""
    assert status.started_ms is not None
    assert status.ended_ms is not None
    used = usage(readings, attempt_id, uuids, status.started_ms, status.ended_ms)
    spans = [span for span in used.spans if span.component == "gpu"]
    told_j = sum(span.active_uj + span.idle_uj for span in spans) / 1e6
    truth_j = sum(WATTS[uuid] for uuid in uuids) * (status.ended_ms - status.started_ms) / 1000
    assert told_j == pytest.approx(truth_j, rel=0.03)  # a busy machine reads its meter some milliseconds late
    assert used.coverage["gpu"] == pytest.approx(1.0)
    assert {span.how for span in spans} == {How.MEASURED}


def run_a_while(seconds: float = 0.4) -> None:
    """Lets metered time pass."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.02)


def kill_meter(readings: Path) -> None:
    os.kill(int(json.loads(door.note(readings).read_text())["pid"]), signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_job_is_metered_to_its_end_and_its_signal_is_told(
    local: "Stage", nvml: FakeNvml, readings: Path, how: signal.Signals
) -> None:
    folder = local.submit("sh", "-c", WAIT, readings=readings, gpu_uuids=("GPU-a",))
    local.await_output("ready")
    run_a_while()
    taken = claim.read(folder)
    assert taken is not None
    assert taken.process is not None
    os.killpg(taken.process.pid, how)
    status = local.ended(folder)
    assert status.signal == how
    assert status.exit_code is None
    check_gpu(readings, "1.1", status, "GPU-a")


def test_killed_meter_loses_nothing_of_a_job_that_goes_on(
    local: "Stage", nvml: FakeNvml, readings: Path
) -> None:
    folder = local.submit("sh", "-c", WAIT, readings=readings, gpu_uuids=("GPU-a", "GPU-b"))
    local.await_output("ready")
    run_a_while()
    kill_meter(readings)
    run_a_while()
    (local.root / "go").touch()
    status = local.ended(folder)
    assert status.exit_code == 7
    check_gpu(readings, "1.1", status, "GPU-a", "GPU-b")


def test_job_whose_supervisor_is_killed_is_neither_orphaned_nor_unmetered(
    local: "Stage", nvml: FakeNvml, readings: Path
) -> None:
    folder = local.submit("sh", "-c", WAIT, readings=readings, gpu_uuids=("GPU-b",))
    local.await_output("ready")
    run_a_while()
    local.kill_supervisor(folder)
    local.see(folder, lambda _: Attempt(folder).supervisor() is not None)
    (local.root / "go").touch()
    status = local.ended(folder)
    assert status.exit_code == 7 or "exit status lost" in status.reason  # as the kernel can tell
    assert not LocalBackend().processes(folder)
    check_gpu(readings, "1.1", status, "GPU-b")


def test_supervisor_that_is_told_to_end_takes_its_job_along_and_meters_it(
    local: "Stage", nvml: FakeNvml, readings: Path
) -> None:
    folder = local.submit("sh", "-c", WAIT, readings=readings, gpu_uuids=("GPU-c",))
    local.await_output("ready")
    run_a_while()
    supervisor = Attempt(folder).supervisor()
    assert supervisor is not None
    supervisor.send(signal.SIGTERM)
    status = local.ended(folder)
    assert (status.stopped, status.signal) == (StopReason.SIGNALLED, signal.SIGTERM)
    assert not LocalBackend().processes(folder)
    check_gpu(readings, "1.1", status, "GPU-c")


def test_everything_killed_at_once_keeps_what_was_read(
    local: "Stage", nvml: FakeNvml, readings: Path
) -> None:
    folder = local.submit("sh", "-c", WAIT, readings=readings, gpu_uuids=("GPU-a",))
    local.await_output("ready")
    run_a_while()
    local.kill_supervisor(folder)
    kill_meter(readings)
    taken = claim.read(folder)
    assert taken is not None
    assert taken.process is not None
    os.killpg(taken.process.pid, signal.SIGKILL)
    status = local.ended(folder)
    assert status.phase is Phase.ENDED
    assert status.ended_ms is not None
    check_gpu(readings, "1.1", status, "GPU-a")  # the counter went on while nobody looked


def test_four_ranks_on_one_node_count_it_once(local: "Stage", nvml: FakeNvml, readings: Path) -> None:
    ranks = f"for rank in 0 1 2 3; do RANK=$rank '{sys.executable}' -c '{BURN}' & done; wait"
    uuids = ("GPU-a", "GPU-b", "GPU-c")
    folder = local.submit("sh", "-c", ranks, readings=readings, gpu_uuids=uuids)
    status = local.ended(folder)
    check_gpu(readings, "1.1", status, *uuids)
    assert status.started_ms is not None
    assert status.ended_ms is not None
    run = (status.started_ms, status.ended_ms)
    whole = account(readings, [Allocation("1.1", uuids, *run)], *run)
    for component, energy_uj in whole.jobs["1.1"].items():
        assert 0 < energy_uj <= whole.total[component], component


def test_driver_that_hangs_holds_no_job_up(local: "Stage", nvml: FakeNvml, readings: Path) -> None:
    nvml.delay_ms = 60_000
    nvml.write()
    began = time.monotonic()
    status = local.ended(local.submit("true", readings=readings, gpu_uuids=("GPU-a",)))
    assert status.exit_code == 0
    assert any("the meter did not answer" in warning for warning in status.warnings)
    assert time.monotonic() - began < 10
