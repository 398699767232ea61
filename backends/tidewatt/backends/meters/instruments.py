"""The instruments of a host beside NVIDIA's GPUs and its CPUs: the node's own meter, AMD's GPUs."""

from importlib.util import find_spec
from pathlib import Path

from tidewatt.backends.meters.amd import Amd
from tidewatt.backends.meters.bench import Instrument
from tidewatt.backends.meters.node import Node


def others(readings: Path) -> tuple[Instrument, ...]:
    """Those that this host may have; the node's is configured by a file in the readings folder."""
    amd = (Amd(),) if find_spec("amdsmi") else ()
    return (Node(readings), *amd)
