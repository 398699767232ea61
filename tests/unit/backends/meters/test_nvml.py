"""Sick GPUs and drivers; the driver's answers are a stub's."""

import os

import pytest

from tests.nvml.fake_nvml import FakeNvml
from tidewatt.backends.host import GpuHost, foreign, inventory
from tidewatt.backends.meters.journal import Slice
from tidewatt.backends.meters.nvml import Nvml


class Time:
    """A monotonic clock that a test winds on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_every_gpu_shows_counter_and_power(stubbed: FakeNvml) -> None:
    energy_uj, power_mw = Nvml().read()
    assert set(energy_uj) == {"gpu:GPU-a", "gpu:GPU-b"}
    assert power_mw == {"gpu:GPU-a": 60_000, "gpu:GPU-b": 70_000}


def test_gpu_without_a_counter_shows_power_only(stubbed: FakeNvml) -> None:
    stubbed.change("GPU-a", counter=False)
    nvml = Nvml()
    energy_uj, power_mw = nvml.read()
    assert set(energy_uj) == {"gpu:GPU-b"}
    assert set(power_mw) == {"gpu:GPU-a", "gpu:GPU-b"}
    assert [device.source for device in nvml.devices()] == ["NVML power, integrated", "NVML energy counter"]


def test_lost_gpu_spares_the_others_and_is_asked_again_with_backoff(stubbed: FakeNvml) -> None:
    time = Time()
    nvml = Nvml(time)
    nvml.read()
    stubbed.change("GPU-a", lost=True)
    assert set(nvml.read()[0]) == {"gpu:GPU-b"}
    assert "GPU-a" in nvml.note
    time.now_s += 1.5
    assert set(nvml.read()[0]) == {"gpu:GPU-b"}
    stubbed.change("GPU-a", lost=False)
    assert set(nvml.read()[0]) == {"gpu:GPU-b"}, "not before the backoff is over"
    time.now_s += 5
    assert set(nvml.read()[0]) == {"gpu:GPU-a", "gpu:GPU-b"}
    assert nvml.note == ""


def test_driver_that_is_loaded_again_is_found_again(stubbed: FakeNvml) -> None:
    time = Time()
    nvml = Nvml(time)
    nvml.read()
    stubbed.fail = 9
    stubbed.write()
    assert nvml.read() == ({}, {})
    time.now_s += 2
    assert nvml.read() == ({}, {})
    assert nvml.note == "the NVIDIA driver is not loaded"
    stubbed.fail = 0
    stubbed.write()
    time.now_s += 60
    assert len(nvml.read()[0]) == 2


def test_mig_devices_are_known_with_their_parent(stubbed: FakeNvml) -> None:
    stubbed.migs = [("MIG-1", "GPU-b", 3), ("MIG-2", "GPU-b", 4)]
    stubbed.write()
    nvml = Nvml()
    nvml.read()
    assert nvml.mig == {"MIG-1": Slice("GPU-b", 3, 7), "MIG-2": Slice("GPU-b", 4, 7)}


def test_inventory_names_gpus_and_says_why_there_are_none(stubbed: FakeNvml) -> None:
    host = inventory()
    assert [(gpu.uuid, gpu.index, gpu.limit_w) for gpu in host.gpus] == [("GPU-a", 0, 400), ("GPU-b", 1, 400)]
    assert host.gpu_note == ""
    assert host.mem_mb > 0
    stubbed.fail = 12
    stubbed.write()
    assert (inventory().gpus, inventory().gpu_note) == (
        (),
        "no NVIDIA driver: libnvidia-ml.so.1 was not found",
    )


def test_foreign_processes_are_those_that_are_not_ours(stubbed: FakeNvml) -> None:
    stubbed.set_processes(("GPU-a", os.getpid()), ("GPU-a", 1), ("GPU-b", 4_194_303))
    found = foreign(("GPU-a", "GPU-b"), ours={os.getpid()})
    assert [(use.gpu_uuid, use.pid) for use in found] == [("GPU-a", 1)], (
        "a number from outside is passed over"
    )
    assert found[0].command
    assert found[0].user == "root"


def test_foreign_asks_only_about_the_gpus_named(stubbed: FakeNvml) -> None:
    stubbed.set_processes(("GPU-a", 1))
    host = GpuHost()
    assert host.foreign(("GPU-b",), set()) == ()
    stubbed.change("GPU-a", lost=True)
    assert host.foreign(("GPU-a",), set()) == ()


@pytest.mark.parametrize("broken", ["UUID", "Name"])
def test_gpu_that_answers_nothing_at_start_is_left_out(
    stubbed: FakeNvml, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pynvml

    def fail(_handle: object) -> str:
        raise pynvml.NVMLError(999)

    monkeypatch.setattr(pynvml, f"nvmlDeviceGet{broken}", fail)
    nvml = Nvml()
    assert nvml.read() == ({}, {})
    assert "does not answer" in nvml.note
