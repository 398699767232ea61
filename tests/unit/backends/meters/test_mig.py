"""GPUs that are divided into parts; the driver's answers are a stub's."""

import os
from pathlib import Path

import pytest

from tests.nvml.fake_nvml import FakeNvml
from tidewatt.backends import lease
from tidewatt.backends.host import foreign, inventory
from tidewatt.backends.meters.nvml import Nvml

ONE, TWO = "MIG-11111111-2222", "MIG-33333333-4444"


def test_parts_of_a_divided_gpu_are_kinds_of_their_own_and_the_whole_is_none(stubbed: FakeNvml) -> None:
    stubbed.divide((ONE, "GPU-b", 3), (TWO, "GPU-b", 1))
    found = {gpu.uuid: (gpu.name, gpu.index, gpu.limit_w) for gpu in inventory().gpus}
    name = stubbed.gpus["GPU-b"].name
    assert found == {
        "GPU-a": (name, 0, 400),
        ONE: (f"{name} MIG 3g.30gb", 1, 171),
        TWO: (f"{name} MIG 1g.10gb", 1, 57),
    }


def test_divided_gpu_is_still_metered_as_a_whole(stubbed: FakeNvml) -> None:
    stubbed.divide((ONE, "GPU-b", 3))
    assert [device.key for device in Nvml().devices()] == ["gpu:GPU-a", "gpu:GPU-b"]


def test_part_that_a_driver_names_like_its_gpu_is_named_by_its_slices(
    stubbed: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pynvml

    stubbed.divide((ONE, "GPU-b", 3))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda _: "NVIDIA A100")
    assert [gpu.name for gpu in inventory().gpus] == ["NVIDIA A100", "NVIDIA A100 MIG 3g.29gb"]


def test_process_of_somebody_else_is_seen_on_its_part_only(stubbed: FakeNvml) -> None:
    stubbed.divide((ONE, "GPU-b", 3), (TWO, "GPU-b", 1))
    stubbed.set_processes((TWO, os.getpid()))
    assert [use.gpu_uuid for use in foreign(("GPU-a", ONE, TWO), frozenset())] == [TWO]


def test_parts_are_leased_one_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWATT_LEASES", str(tmp_path))
    old = "MIG-GPU-1b2c/7/0"  # as drivers before 470 name it
    holder = lease.Holder("1.1", os.getpid(), os.geteuid(), "key")
    held = lease.take_all([ONE, old], holder)
    assert lease.holders([ONE, TWO, old]) == {ONE: holder, TWO: None, old: holder}
    for each in held:
        each.release()
