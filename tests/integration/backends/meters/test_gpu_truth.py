"""The measurement for people with a real GPU, on a fake one whose truth is known."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_truth import RefusalError, Sample, found, integrated_j
from tests.nvml.fake_nvml import FakeNvml

ROOT = Path(__file__).resolve().parents[4]
COMMAND = [sys.executable, str(ROOT / "benchmarks" / "gpu_truth.py")]
# A load as it is driven: 300 W while it is told "on", 60 W else.
LOAD = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.nvml.fake_nvml import FakeNvml
nvml = FakeNvml.in_folder(Path(sys.argv[1]), Path(sys.argv[2]))
nvml.add("GPU-a", idle_w=60)
print("ready", flush=True)
for line in sys.stdin:
    nvml.set_power("GPU-a", 300 if line.strip() == "on" else 60)
"""


def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """What the program says."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=os.environ | environ
    )


@pytest.fixture
def no_driver(tmp_path: Path) -> dict[str, str]:
    """An environment in which NVML says that there is no driver."""
    nvml = FakeNvml.in_folder(tmp_path, None)
    nvml.fail = 9
    nvml.write()
    return nvml.environ()


def test_without_a_gpu_it_refuses_in_a_sentence(no_driver: dict[str, str]) -> None:
    done = run(**no_driver)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "nothing was measured: the NVIDIA driver is not loaded: run this on a machine with an NVIDIA GPU\n"
    )


def test_on_a_gpu_every_phase_shows_its_draw(tmp_path: Path, nvml_library: Path) -> None:
    nvml = FakeNvml.in_folder(tmp_path, nvml_library)
    nvml.add("GPU-a", idle_w=60)
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    load = f"{sys.executable} {script} {tmp_path} {nvml_library}"
    done = run("--seconds", "0.8", "--load", load, **nvml.environ())
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ") and " J" in line]
    watts = {row[0].removeprefix("| "): float(row[3].removesuffix(" W")) for row in rows}
    assert watts["idle"] == pytest.approx(60, rel=0.1)
    assert watts["the same process stopped"] == pytest.approx(60, rel=0.1)
    assert watts["steady load"] == pytest.approx(300, rel=0.1)
    assert 60 < watts["load on and off, 1 Hz"] < 300


def test_load_that_cannot_work_is_told(tmp_path: Path, nvml_library: Path) -> None:
    nvml = FakeNvml.in_folder(tmp_path, nvml_library)
    nvml.add("GPU-a", idle_w=60)
    done = run("--seconds", "0.3", "--load", "sh -c 'echo no GPU memory is left'", **nvml.environ())
    assert done.returncode == 1
    assert done.stderr == "nothing was measured: no GPU memory is left\n"


def test_power_sampled_in_step_with_the_load_is_told_beside_the_counter() -> None:
    samples = [Sample(n / 50, n * 8.0, 100.0 if n % 50 < 25 else 700.0) for n in range(501)]
    shown = found("square", samples)
    assert shown.counter_j == 4000
    assert shown.power_j == pytest.approx(4000, rel=0.02)
    assert shown.second_j == pytest.approx(1000, rel=0.02)
    assert shown.step_ms == pytest.approx(20)
    assert "(-75.0 %)" in shown.cells()[-2]


def test_gpu_without_counter_or_power_shows_a_dash_and_no_zero() -> None:
    samples = [Sample(n / 10, None, None) for n in range(10)]
    assert integrated_j(samples) is None
    assert found("idle", samples).cells()[2:] == ["-"] * 6
    assert issubclass(RefusalError, Exception)
