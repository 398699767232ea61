"""A node's own meter, read by a real meter process."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tidewatt.backends.meters import node_source
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.node_source import NodeSource

if TYPE_CHECKING:
    from .conftest import Stage


def configured(stage: "Stage", tmp_path: Path, text: str) -> None:
    tool = tmp_path / "ipmitool"
    tool.write_text(f"#!/bin/sh\n{text}\n")
    tool.chmod(0o700)
    source = NodeSource("PDU", command=(str(tool),), pattern=r"(\d+) Watts", interval_s=0.2, timeout_s=30)
    node_source.write(stage.readings, source)


def test_node_power_is_read_and_what_is_beyond_the_components_is_shared(
    stage: "Stage", tmp_path: Path
) -> None:
    configured(stage, tmp_path, 'echo "Instantaneous power reading: 900 Watts"')
    stage.supervise("1.1", "sleep", "60")
    assert stage.client.ensure()
    stage.wait(lambda: stage.kept() and "node:PDU" in stage.kept()[-1]["power_mw"])
    assert stage.client.read("start 1.1")
    count = len(stage.kept())
    stage.wait(lambda: len(stage.kept()) >= count + 3)
    assert stage.client.read("end 1.1")
    first, last = (
        next(each for each in stage.kept() if each["cause"] == f"{edge} 1.1") for edge in ("start", "end")
    )
    used = usage(stage.readings, "1.1", [], first["time_ms"], last["time_ms"])
    assert used.coverage["node overhead"] == pytest.approx(1.0)
    assert used.sources["node overhead"].startswith("PDU, less the metered components")
    assert not [note for note in used.notes if "components only" in note]


def test_node_meter_that_hangs_delays_no_reading(stage: "Stage", tmp_path: Path) -> None:
    configured(stage, tmp_path, "sleep 60")
    assert stage.client.ensure()
    stage.wait(lambda: len(stage.kept()) >= 5)
    passed_ms = [two["mono_ms"] - one["mono_ms"] for one, two in itertools.pairwise(stage.kept())]
    assert sorted(passed_ms)[len(passed_ms) // 2] < 5000, "half of them at least come about in time"
    assert not any(each["power_mw"] for each in stage.kept())
