"""AMD GPUs by a module with the names of AMD SMI's Python library."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tidewatt.backends.meters.amd import Amd


class AmdSmiLibraryException(Exception):  # noqa: N818 - the library's own name
    """What AMD SMI raises."""


class FakeAmdSmi(ModuleType):
    """Two GPUs; `steps` and `watts` are what they show, an exception is raised."""

    def __init__(self) -> None:
        super().__init__("amdsmi")
        self.steps: dict[str, Any] = {"a": 1_000_000, "b": 2_000_000}
        self.watts: dict[str, Any] = {"a": 300, "b": 500}
        self.step_name, self.watt_name = "energy_accumulator", "socket_power"
        self.fails = False
        self.open = 0

    def amdsmi_init(self) -> None:
        if self.fails:
            raise AmdSmiLibraryException("driver not loaded")
        self.open += 1

    def amdsmi_shut_down(self) -> None:
        self.open -= 1

    def amdsmi_get_processor_handles(self) -> list[str]:
        return ["a", "b"]

    def amdsmi_get_gpu_device_uuid(self, handle: str) -> str:
        return f"{handle * 2}ff74a1-0000-1000-80b4-89a5a1a4e5d6"

    def amdsmi_get_energy_count(self, handle: str) -> dict[str, Any]:
        if isinstance(self.steps[handle], Exception):
            raise self.steps[handle]
        return {self.step_name: self.steps[handle], "counter_resolution": 15.259, "timestamp": 1}

    def amdsmi_get_power_info(self, handle: str) -> dict[str, Any]:
        return {"average_socket_power": "N/A", self.watt_name: self.watts[handle], "power_limit": 750}


A, B = (f"gpu:{letter * 2}ff74a1-0000-1000-80b4-89a5a1a4e5d6" for letter in "ab")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAmdSmi]:
    fake = FakeAmdSmi()
    monkeypatch.setitem(sys.modules, "amdsmi", fake)
    yield fake
    assert fake.open == 0


def test_accumulator_counts_in_steps_of_its_resolution(library: FakeAmdSmi) -> None:
    amd = Amd()
    assert amd.read() == ({A: 15_259_000, B: 30_518_000}, {A: 300_000, B: 500_000})
    assert {device.how for device in amd.devices()} == {"measured"}
    amd.close()


def test_older_names_of_the_library_are_read_too(library: FakeAmdSmi) -> None:
    library.step_name, library.watt_name = "power", "current_socket_power"
    amd = Amd()
    assert amd.read() == ({A: 15_259_000, B: 30_518_000}, {A: 300_000, B: 500_000})
    amd.close()


def test_gpu_without_an_accumulator_is_sampled_and_says_so(library: FakeAmdSmi) -> None:
    library.steps = {"a": 0, "b": AmdSmiLibraryException("not supported")}
    amd = Amd()
    assert amd.read() == ({}, {A: 300_000, B: 500_000})
    assert {device.how for device in amd.devices()} == {"modelled"}
    assert "not supported" in amd.note
    amd.close()


def test_gpu_that_tells_nothing_is_left_out_and_the_other_read(library: FakeAmdSmi) -> None:
    library.watts["a"], library.steps["a"] = "N/A", "N/A"
    amd = Amd()
    assert amd.read() == ({B: 30_518_000}, {B: 500_000})
    amd.close()


def test_all_ones_are_no_number(library: FakeAmdSmi) -> None:
    library.watts["a"], library.steps["a"] = 2**32 - 1, 2**64 - 1
    amd = Amd()
    assert amd.read() == ({B: 30_518_000}, {B: 500_000})
    amd.close()


def test_library_that_does_not_start_is_told_and_tried_again_later(library: FakeAmdSmi) -> None:
    moments = [0.0]
    amd = Amd(monotonic=lambda: moments[0])
    library.fails = True
    assert amd.read() == ({}, {})
    assert "driver not loaded" in amd.note
    library.fails = False
    assert amd.read() == ({}, {})
    moments[0] = 61
    assert len(amd.read()[0]) == 2
    amd.close()


def test_host_without_the_library_has_no_amd_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    amd = Amd()
    assert (amd.read(), amd.devices(), amd.note) == (({}, {}), (), "")
