"""GPUs for tests within this process: the stub of `pynvml`, whatever the host has."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nvml.fake_nvml import HERE, FakeNvml


@pytest.fixture
def stubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNvml]:
    """Two GPUs behind the stub."""
    nvml = FakeNvml.in_folder(tmp_path, None)
    nvml.add("GPU-a", idle_w=60)
    nvml.add("GPU-b", idle_w=70)
    monkeypatch.setenv("FAKE_NVML", str(nvml.control))
    monkeypatch.syspath_prepend(HERE / "stub")
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    yield nvml
    sys.modules.pop("pynvml", None)
