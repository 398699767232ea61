"""What single flags say: kinds of GPU, priorities, sizes, predecessors, labels."""

import re
from collections.abc import Sequence

from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.memory import parse_memory

PRIORITIES = range(-100, 101)
MOST_RETRIES = 100
MOST_GPUS = MOST_CPUS = 100_000  # of one job
MOST_MEM_MB = 2**30  # of one job: a pebibyte
_GPUS = re.compile(r"(?:(?P<kind>[^:]+):)?(?P<count>\d+)")
_RATIO = re.compile(r"(?P<name>speed|power)=(?P<value>\d+(?:\.\d+)?)")
_DATA = {"M": 1e-3, "G": 1.0, "T": 1e3}  # gigabytes; of data, so in powers of ten


def gpus_of(text: str | int) -> tuple[int, str]:
    """How many GPUs, and a word of their name: `2`, `a100:2`.

    Raises:
        BadInput: for anything else.
    """
    match = _GPUS.fullmatch(str(text).strip())
    if match is None:
        raise BadInput(f"the GPUs {str(text)!r} cannot be read: write how many, 2, or of which kind, a100:2")
    count = match["count"].lstrip("0") or "0"
    if len(count) > 9 or int(count) > MOST_GPUS:
        raise BadInput(f"the GPUs must be at most {MOST_GPUS:,}, they are {count}")
    return int(count), (match["kind"] or "").strip()


def cpus_of(cpus: int) -> int:
    """The CPUs, checked.

    Raises:
        BadInput: where they are out of range.
    """
    if cpus < 1:
        raise BadInput(f"cpus must be at least 1, it is {cpus}")
    if cpus > MOST_CPUS:
        raise BadInput(f"cpus must be at most {MOST_CPUS:,}, it is {cpus}")
    return cpus


def memory_of(text: str) -> int:
    """The memory in mebibytes, checked.

    Raises:
        BadInput: for anything else, or more than one job may ask for.
    """
    mem_mb = parse_memory(text)
    if mem_mb > MOST_MEM_MB:
        raise BadInput(f"the memory {text!r} is too much: a job may ask for at most 1024T")
    return mem_mb


def kind_of(text: str) -> Json:
    """A kind of GPU, with its ratios to the kind that estimates are of: `a100`, `h100:speed=1.8,power=1.3`.

    Raises:
        BadInput: for anything else.
    """
    kind, sign, said = text.strip().partition(":")
    ratios = [_RATIO.fullmatch(part.strip()) for part in said.split(",")] if sign else []
    found = {match["name"]: float(match["value"]) for match in ratios if match}
    if not kind or len(found) < len(ratios) or not all(found.values()):
        raise BadInput(
            f"the kind of GPU {text!r} cannot be read: write a word of its name, a100, and where it is faster"
            " or draws more than the one that --duration is meant for, h100:speed=1.8,power=1.3"
        )
    return {"kind": kind, **found}


def priority_of(priority: int) -> int:
    """The priority, checked.

    Raises:
        BadInput: where it is out of range.
    """
    if priority not in PRIORITIES:
        raise BadInput(f"the priority must be from -100 to 100, it is {priority}")
    return priority


def retries_of(retries: int) -> int:
    """How often a job is tried again, checked.

    Raises:
        BadInput: where it is out of range.
    """
    if not 0 <= retries <= MOST_RETRIES:
        raise BadInput(f"the retries must be from 0 to {MOST_RETRIES}, they are {retries}")
    return retries


def data_of(text: str) -> float:
    """Gigabytes of `40G`, `500M`, `2T`.

    Raises:
        BadInput: for anything else.
    """
    match = re.fullmatch(r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>[MGT])B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise BadInput(f"the size of the data {text!r} cannot be read: write for example 40G, 500M or 2T")
    return float(match["value"]) * _DATA[match["unit"].upper()]


def after_of(texts: Sequence[str] | None) -> Json:
    """The jobs to wait for: `12`, `12,13`, `12_3`, and `any:12` for one that may end however it likes.

    Raises:
        BadInput: for anything else.
    """
    found: dict[str, list[str]] = {"after": [], "after_any": []}
    for text in texts or ():
        which, sign, numbers = text.rpartition(":")
        if sign and which != "any":
            raise BadInput(f"--after {text!r} cannot be read: write 12, 12,13 or any:12")
        found["after_any" if sign else "after"] += [str(parse_key(each)) for each in numbers.split(",")]
    return {key: keys for key, keys in found.items() if keys}


def labels_of(texts: Sequence[str] | None) -> dict[str, str]:
    """Labels by key."""
    labels = {}
    for text in texts or ():
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise BadInput(f"the label {text!r} cannot be read: write KEY=VALUE")
        labels[key] = value
    return labels
