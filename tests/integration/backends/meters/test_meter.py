"""The meter as a process: started once, hard to lose, gone when nobody needs it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.nvml.fake_nvml import FakeNvml
from tidewatt.backends import lock
from tidewatt.backends.clock import Clock
from tidewatt.backends.meters import door
from tidewatt.backends.meters.client import MeterClient
from tidewatt.backends.meters.energy import gaps, usage

if TYPE_CHECKING:
    from .conftest import Stage

BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def meters(readings: Path) -> list[int]:
    """The pids of all meters of this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "tidewatt.backends.meters.process" in words and str(readings) in words:
            found.append(int(path.parent.name))
    return found


def test_many_who_need_it_start_one_meter(stage: "Stage") -> None:
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda _: stage.client.ensure(), range(6)))
    stage.wait(lambda: len(meters(stage.readings)) == 1)
    assert meters(stage.readings) == [stage.meter_pid()]


def test_meter_is_nobodys_child_and_leads_no_session_of_ours(stage: "Stage") -> None:
    stage.client.ensure()
    fields = Path(f"/proc/{stage.meter_pid()}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()
    assert int(fields[3]) != os.getsid(0)


def test_reading_is_kept_when_the_answer_comes(stage: "Stage") -> None:
    assert stage.client.read("start 7.1")
    kept = [reading for reading in stage.kept() if reading["cause"] == "start 7.1"]
    assert len(kept) == 1
    assert kept[0]["cpu_ms"]["host"] > 0


def test_killed_meter_is_started_again_and_loses_at_most_the_last_interval(stage: "Stage") -> None:
    stage.supervise("3.1", "sleep", "60")
    assert stage.client.read("start 3.1")
    stage.wait(lambda: len(stage.kept()) >= 4)
    before = stage.kept()
    os.kill(stage.meter_pid(), signal.SIGKILL)
    assert stage.client.read("end 3.1")
    after = stage.kept()
    assert after[: len(before)] == before
    assert after[-1]["cause"] == "end 3.1"
    assert "3.1" in after[-1]["cpu_ms"], "the new meter knows the attempt from its file"
    used = usage(stage.readings, "3.1", [], before[0]["time_ms"], after[-1]["time_ms"])
    assert used.coverage["cpu"] == 1.0, "the counter went on meanwhile"
    assert not gaps(stage.readings, before[0]["time_ms"], after[-1]["time_ms"], interval_s=1.0)


def test_terminated_meter_keeps_a_last_reading(stage: "Stage") -> None:
    stage.client.ensure()
    stage.wait(stage.kept)
    pid = stage.meter_pid()
    count = len(stage.kept())
    os.kill(pid, signal.SIGTERM)
    stage.wait(lambda: not alive(pid))
    assert len(stage.kept()) > count
    assert not Path(json.loads(door.note(stage.readings).read_text())["socket"]).exists()


def test_meter_that_nobody_needs_ends_by_itself(stage: "Stage") -> None:
    client = replace(stage.client, linger_s=0.5)
    assert client.ensure()
    pid = stage.meter_pid()
    stage.wait(lambda: not alive(pid))
    assert client.read("start 9.1"), "and is started again when somebody does"


def test_meter_ends_when_its_folder_is_removed(stage: "Stage") -> None:
    client = replace(stage.client, linger_s=60)
    assert client.ensure()
    pid = stage.meter_pid()
    shutil.rmtree(stage.readings)
    stage.wait(lambda: not alive(pid))


@pytest.mark.parametrize("how", ["fcntl", "flock"])
def test_meter_lives_while_the_daemon_holds_its_lock(stage: "Stage", tmp_path: Path, how: str) -> None:
    import fcntl

    path = tmp_path / "daemon.lock"
    held = os.open(path, os.O_RDWR | os.O_CREAT)
    if how == "fcntl":
        assert lock.take(held)
    else:
        fcntl.flock(held, fcntl.LOCK_EX)
    client = replace(stage.client, linger_s=0.4, while_locked=(path,))
    assert client.ensure()
    pid = stage.meter_pid()
    until = time.monotonic() + 1.5
    stage.wait(lambda: time.monotonic() > until)
    assert alive(pid)
    os.close(held)
    stage.wait(lambda: not alive(pid))


def test_meter_lives_while_an_attempt_runs_and_forgets_a_dead_one(stage: "Stage") -> None:
    client = replace(stage.client, linger_s=0.5)
    supervisor = stage.supervise("5.1", "sleep", "60")
    assert client.ensure()
    pid = stage.meter_pid()
    until = time.monotonic() + 1.5
    stage.wait(lambda: time.monotonic() > until)
    assert alive(pid)
    os.killpg(stage.jobs[0], signal.SIGKILL)
    supervisor.kill()
    stage.wait(lambda: not list((stage.readings / "running").iterdir()))
    stage.wait(lambda: not alive(pid))


def cpu_ms(stage: "Stage", attempt_id: str) -> int:
    assert stage.client.read("look")
    return int(stage.kept()[-1]["cpu_ms"].get(attempt_id, -1))


def test_cpu_time_counts_children_that_have_ended(stage: "Stage") -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN.format(0.5)!r}])"
    supervisor = stage.supervise("6.1", sys.executable, "-c", nested)
    assert stage.client.read("start 6.1")
    assert stage.line(supervisor) == "over"
    assert 500 <= cpu_ms(stage, "6.1") < 1500


def test_cpu_time_counts_orphans_below_the_supervisor(stage: "Stage") -> None:
    orphan = f'"{sys.executable}" -c "$0" & exit 0'
    stage.supervise("6.2", "sh", "-c", orphan, BURN.format(30))
    stage.client.ensure()
    stage.wait(lambda: cpu_ms(stage, "6.2") >= 300)


def test_cpu_time_goes_on_when_the_supervisor_is_killed(stage: "Stage") -> None:
    supervisor = stage.supervise("6.3", sys.executable, "-c", BURN.format(60))
    stage.client.ensure()
    before = stage.wait(lambda: max(0, cpu_ms(stage, "6.3")))
    supervisor.kill()
    supervisor.wait()
    stage.wait(lambda: cpu_ms(stage, "6.3") >= before + 200)
    os.kill(stage.meter_pid(), signal.SIGKILL)  # what the meter knew of the job outlives it
    stage.wait(lambda: cpu_ms(stage, "6.3") >= before + 400)


def test_adopting_supervisor_takes_over(stage: "Stage") -> None:
    supervisor = stage.supervise("6.4", sys.executable, "-c", BURN.format(60))
    stage.client.ensure()
    before = stage.wait(lambda: max(0, cpu_ms(stage, "6.4")))
    supervisor.kill()
    supervisor.wait()
    with subprocess.Popen(["sleep", "600"]) as adopting:  # it has waited for no process yet
        assert stage.client.register("6.4", adopting.pid, stage.jobs[0])
        after = stage.wait(lambda: (now := cpu_ms(stage, "6.4")) >= before + 200 and now)
        adopting.kill()
    assert after < before + 20_000


def test_meter_is_no_part_of_the_job_whose_supervisor_started_it(stage: "Stage") -> None:
    code = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
        "from pathlib import Path\n"
        "from tidewatt.backends.clock import Clock\n"
        "from tidewatt.backends.meters.client import MeterClient\n"
        f"print(MeterClient(Path({str(stage.readings)!r}), 0.2, Clock()).ensure(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert stage.line(supervisor) == "True"
        parent = Path(f"/proc/{stage.meter_pid()}/stat").read_text().rpartition(")")[2].split()[1]
        assert int(parent) != supervisor.pid
        supervisor.communicate("")


def test_long_folder_names_do_not_break_the_socket(stage: "Stage", tmp_path: Path) -> None:
    readings = tmp_path / ("long-" * 30) / ("and-longer-" * 10)
    stage.readings = readings
    assert MeterClient(readings, 0.2, Clock()).read("start 1.1")


def test_lost_socket_is_opened_again(stage: "Stage") -> None:
    client = replace(stage.client, linger_s=1.0)
    stage.supervise("8.1", "sleep", "60")
    client.ensure()
    pid = stage.meter_pid()
    Path(json.loads(door.note(stage.readings).read_text())["socket"]).unlink()
    stage.wait(lambda: client.read("look"))
    assert stage.meter_pid() == pid


def test_meter_on_the_replay_clock_tells_replayed_times(stage: "Stage") -> None:
    clock = Clock(real_ms=time.time_ns() // 1_000_000, replay_ms=1_600_000_000_000, factor=100.0)
    client = MeterClient(stage.readings, 0.2, clock)
    assert client.ensure()
    stage.wait(lambda: len(stage.kept()) >= 3)
    first, *_, last = stage.kept()
    real_ms = last["mono_ms"] - first["mono_ms"]
    assert last["time_ms"] - first["time_ms"] == pytest.approx(100 * real_ms, abs=2000)
    assert next(stage.readings.glob("*.jsonl")).name.startswith("2020-09-13")


def test_readings_are_only_for_their_owner(stage: "Stage") -> None:
    stage.client.register("1.1", os.getpid())
    stage.client.read("start 1.1")
    kept = list(stage.readings.rglob("*"))
    assert {path.stat().st_mode & 0o077 for path in [stage.readings, *kept]} == {0}


def fill(path: Path) -> None:
    """Makes the file as large as its disk lets it be."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1024)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_meter_goes_on_after_the_disk_was_full(stage: "Stage") -> None:
    stage.readings.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k,mode=700", "tmpfs", str(stage.readings)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        assert stage.client.read("start 1.1")
        filler = stage.readings / "filler"
        fill(filler)
        stage.wait(lambda: not stage.client.read("full"))
        pid = stage.meter_pid()
        filler.unlink()
        stage.wait(lambda: stage.client.read("end 1.1"))
        assert stage.meter_pid() == pid
        lines = next(stage.readings.glob("*.jsonl")).read_text().splitlines()
        assert any('"end 1.1"' in line for line in lines)  # ticks may have come after it
        assert "No space left" in (stage.readings / "meter.log").read_text()
    finally:
        stage.end()
        subprocess.run(["umount", "-l", str(stage.readings)], check=True)


def test_gpu_energy_is_the_truth_whatever_the_sampling(stage: "Stage", gpus: FakeNvml) -> None:
    gpus.set_square("GPU-a", 100, 300, period_ms=200)  # the meter's own interval: samples would alias
    assert stage.client.ensure()
    stage.wait(lambda: len(stage.kept()) >= 2)
    assert stage.client.read("start 1.1")
    truth_j = gpus.energy_j("GPU-a")
    stage.wait(lambda: stage.kept()[-1]["mono_ms"] - stage.kept()[0]["mono_ms"] > 2500)
    assert stage.client.read("end 1.1")
    truth_j = gpus.energy_j("GPU-a") - truth_j
    edges = {reading["cause"]: reading["time_ms"] for reading in stage.kept()}
    used = usage(stage.readings, "1.1", ["GPU-a"], edges["start 1.1"], edges["end 1.1"])
    measured_j = sum(span.active_uj + span.idle_uj for span in used.spans if span.component == "gpu") / 1e6
    assert measured_j == pytest.approx(truth_j, rel=0.02, abs=15), (
        "15 J are 50 ms between looking and reading"
    )
    assert used.coverage["gpu"] == 1.0


def test_lost_gpu_and_driver_come_back_in_a_running_meter(stage: "Stage", gpus: FakeNvml) -> None:
    def shown() -> set[str]:
        return set(stage.kept()[-1]["energy_uj"]) if stage.kept() else set()

    assert stage.client.ensure()
    stage.wait(lambda: shown() >= {"gpu:GPU-a", "gpu:GPU-b"})
    gpus.change("GPU-a", lost=True)
    stage.wait(lambda: shown() == {"gpu:GPU-b", "cpu-model"})
    gpus.change("GPU-a", lost=False)
    stage.wait(lambda: shown() >= {"gpu:GPU-a", "gpu:GPU-b"})
    gpus.fail = 9
    gpus.write()
    stage.wait(lambda: shown() == {"cpu-model"})
    gpus.fail = 0
    gpus.write()
    stage.wait(lambda: shown() >= {"gpu:GPU-a", "gpu:GPU-b"})


def test_job_killed_at_once_keeps_its_energy_to_that_second(stage: "Stage", gpus: FakeNvml) -> None:
    stage.supervise("2.1", "sleep", "60")
    assert stage.client.read("start 2.1")
    gpus.set_power("GPU-a", 400)
    stage.wait(lambda: len(stage.kept()) >= 6)
    os.killpg(stage.jobs[0], signal.SIGKILL)
    count = len(stage.kept())
    stage.wait(lambda: len(stage.kept()) >= count + 2)  # nobody asks for an end reading
    first, last = stage.kept()[0], stage.kept()[-1]
    used = usage(stage.readings, "2.1", ["GPU-a"], first["time_ms"], last["time_ms"])
    assert sum(span.active_uj for span in used.spans if span.component == "gpu") > 200_000_000
    assert used.coverage["gpu"] == 1.0
