"""The power of a cloud instance by a published model: never a measurement, and labelled `modelled`.

Watts of one vCPU between idle and full load by processor: Cloud Carbon Footprint's coefficients for AWS, from
SPECpower results, `coefficients-aws-use.csv` as of 2026-03-09; of GPUs, and 0.392 W per GB of memory, that
project's constants as of 2023, which take GPUs from their TDP. That a load is not known and taken as one half
is its assumption, too. What processor, and how many GPUs, a type has are AWS's own pages on instance types.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends import reference
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.meters import reported
from tidewatt.backends.meters.reading import Device, How
from tidewatt.backends.meters.reported import PREFIX

LOAD = 0.5
MEMORY_W_PER_GB = 0.392
_SOURCE = "Cloud Carbon Footprint 2026-03"

_VCPU_W: Mapping[str, tuple[float, float]] = {  # at no load, at full load
    "Broadwell": (0.713, 3.685),
    "Skylake": (0.613, 4.104),
    "Cascade Lake": (0.690, 4.063),
    "Ice Lake": (0.767, 3.758),
    "Sapphire Rapids": (1.036, 4.160),
    "EPYC 1st Gen": (0.847, 2.604),
    "EPYC 2nd Gen": (0.474, 1.693),
    "EPYC 3rd Gen": (0.456, 1.957),
    "EPYC 4th Gen": (0.739, 2.282),
    "Graviton2": (0.474, 1.693),
    "Graviton3": (0.474, 1.693),
}
_GPU_W: Mapping[str, tuple[float, float]] = {
    "T4": (8.0, 71.0),
    "A10G": (18.0, 153.0),
    "V100": (35.0, 306.0),
    "A100": (46.0, 407.0),
}
_FAMILIES: Mapping[str, tuple[str, ...]] = {  # several: AWS gives either
    "c5": ("Skylake", "Cascade Lake"),
    "m5": ("Skylake", "Cascade Lake"),
    "r5": ("Skylake", "Cascade Lake"),
    "c5a": ("EPYC 2nd Gen",),
    "m5a": ("EPYC 1st Gen",),
    "r5a": ("EPYC 1st Gen",),
    "c6i": ("Ice Lake",),
    "m6i": ("Ice Lake",),
    "r6i": ("Ice Lake",),
    "c6a": ("EPYC 3rd Gen",),
    "m6a": ("EPYC 3rd Gen",),
    "r6a": ("EPYC 3rd Gen",),
    "c6g": ("Graviton2",),
    "m6g": ("Graviton2",),
    "r6g": ("Graviton2",),
    "c7g": ("Graviton3",),
    "m7g": ("Graviton3",),
    "r7g": ("Graviton3",),
    "c7i": ("Sapphire Rapids",),
    "m7i": ("Sapphire Rapids",),
    "r7i": ("Sapphire Rapids",),
    "c7a": ("EPYC 4th Gen",),
    "m7a": ("EPYC 4th Gen",),
    "r7a": ("EPYC 4th Gen",),
    "g4dn": ("Cascade Lake",),
    "g5": ("EPYC 2nd Gen",),
    "p3": ("Broadwell",),
    "p4d": ("Cascade Lake",),
}
_VCPUS = {
    "medium": 1,
    "large": 2,
    "xlarge": 4,
    "2xlarge": 8,
    "4xlarge": 16,
    "8xlarge": 32,
    "12xlarge": 48,
    "16xlarge": 64,
    "24xlarge": 96,
    "32xlarge": 128,
    "48xlarge": 192,
}
_GPUS: Mapping[str, tuple[str, Mapping[str, int]]] = {  # GPU, and how many a size has where it is not one
    "g4dn": ("T4", {"12xlarge": 4}),
    "g5": ("A10G", {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}),
    "p3": ("V100", {"8xlarge": 4, "16xlarge": 8}),
    "p4d": ("A100", {"24xlarge": 8}),
}


@dataclass(frozen=True, slots=True)
class Instance:
    """A type of instance; `gpu` is "" where it has none."""

    type: str
    processors: tuple[str, ...]
    vcpus: int
    gpu: str = ""
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Draw:
    """The modelled draw of a part of an instance. `device.source` says of what, between which bounds."""

    device: Device
    power_w: float
    low_w: float
    high_w: float


def instance(name: str) -> Instance | None:
    """The type of that name ("m6i.xlarge"); None where no power of it is published here."""
    family, _, size = name.partition(".")
    if family not in _FAMILIES or size not in _VCPUS:
        return None
    gpu, counts = _GPUS.get(family, ("", {}))
    return Instance(name, _FAMILIES[family], _VCPUS[size], gpu, counts.get(size, 1) if gpu else 0)


def draws(name: str, vcpus: int, gpus: int = 0, mem_mb: int = 0) -> tuple[Draw, ...]:
    """What so much of an instance draws, by part; () for a type that is not known: its energy stays missing.

    Raises:
        ValueError: More GPUs than such an instance has.
    """
    found = instance(name)
    if found is None:
        return ()
    if gpus > found.gpus:
        raise ValueError(f"{name} has {found.gpus} GPUs, not {gpus}")
    low = sum(_VCPU_W[each][0] for each in found.processors) / len(found.processors)
    high = sum(_VCPU_W[each][1] for each in found.processors) / len(found.processors)
    what = f"{name}: {vcpus} vCPU of {' or '.join(found.processors)}"
    parts = [_draw("cpu", what, vcpus * low, vcpus * high)]
    if gpus:
        idle, full = _GPU_W[found.gpu]
        parts.append(_draw("gpu", f"{name}: {gpus} {found.gpu}", gpus * idle, gpus * full))
    if mem_mb:
        memory_w = mem_mb / 1024 * MEMORY_W_PER_GB
        source = f"modelled, {name}: {mem_mb / 1024:g} GB at {MEMORY_W_PER_GB} W each ({_SOURCE})"
        parts.append(
            Draw(Device(f"{PREFIX}dram", "dram", How.MODELLED, source), memory_w, memory_w, memory_w)
        )
    return tuple(parts)


def report(folder: Path) -> bool:
    """Writes the modelled energy of an ended attempt as readings, where its instance is known.

    Always True: nothing more will come.
    """
    attempt = Attempt(folder)
    launch, found, outcome = attempt.launch(), reference.read(folder), attempt.read(attempt.exit)
    if launch is None or found is None or outcome is None or found.started_ms is None:
        return True
    started_ms, kind = launch.clock.at_ms(found.started_ms), str(found.place.get("instance_type") or "")
    lasted_s = (outcome.ended_ms - started_ms) / 1000
    if lasted_s > 0:
        with suppress(ValueError):  # more GPUs than it has: whatever ran it, it was not this type
            for part in draws(kind, launch.cpus, launch.gpus, launch.mem_mb):
                points = ((started_ms, 0), (outcome.ended_ms, round(part.power_w * lasted_s * 1e6)))
                reported.write(folder / "readings", launch.attempt_id, part.device, points, launch.clock)
    return True


def _draw(component: str, what: str, low_w: float, high_w: float) -> Draw:
    power_w = low_w + LOAD * (high_w - low_w)
    source = f"modelled, {what} at an assumed {LOAD:.0%} load, {low_w:.1f} to {high_w:.1f} W ({_SOURCE})"
    return Draw(Device(f"{PREFIX}{component}", component, How.MODELLED, source), power_w, low_w, high_w)
