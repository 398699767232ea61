"""The parts that an NVIDIA GPU was divided into (MIG): each is leased like a GPU, and the whole never is.

A program may use one part only, so that a job with several of them needs a process for each. Whether a GPU is
divided is its operator's choice: nothing here switches it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """One part; `slices` of the `places` compute slices of its GPU are its own."""

    handle: Any
    uuid: str
    name: str  # "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
    slices: int
    places: int


def divided(handle: Any) -> bool:
    """Whether the GPU is divided into parts, be it into none yet: then it cannot be used as a whole."""
    import pynvml

    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0] == 1)
    except pynvml.NVMLError:  # most GPUs know nothing of it
        return False


def parts(handle: Any) -> Iterator[Part]:
    """The parts of a GPU, none where it has none; one that does not answer is left out."""
    import pynvml

    if not divided(handle):
        return
    try:
        places = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:
        return
    for place in range(places):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
            facts = pynvml.nvmlDeviceGetAttributes(part)
            name = _name(handle, part, facts)
            yield Part(part, pynvml.nvmlDeviceGetUUID(part), name, facts.computeInstanceSliceCount, places)
        except pynvml.NVMLError:
            continue  # nothing in this place


def _name(handle: Any, part: Any, facts: Any) -> str:
    """NVML's name of the part; where that is the GPU's, with slices and memory behind it."""
    import pynvml

    whole = str(pynvml.nvmlDeviceGetName(handle))
    try:
        name = str(pynvml.nvmlDeviceGetName(part))
    except pynvml.NVMLError:
        name = whole
    if name != whole:
        return name
    gigabytes = math.ceil(facts.memorySizeMB / 1024)
    share = (
        ""
        if facts.computeInstanceSliceCount == facts.gpuInstanceSliceCount
        else (f"{facts.computeInstanceSliceCount}c.")
    )
    return f"{whole} MIG {share}{facts.gpuInstanceSliceCount}g.{gigabytes}gb"
