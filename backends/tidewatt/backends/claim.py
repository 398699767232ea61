"""The claim on an attempt: whoever links it first decides for ever whether the attempt was started."""

import time
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends import durable
from tidewatt.backends.identity import Identity

NAME = "claim"


@dataclass(frozen=True, slots=True)
class Claim:
    """Either the process that became the job, or the reason why none ever will.

    `started_ms` is on the attempt's clock; `mono_s` is the monotonic clock of the boot in `process`.
    """

    process: Identity | None
    started_ms: int = 0
    mono_s: float = 0.0
    reason: str = ""


def take(folder: Path, process: Identity, started_ms: int) -> bool:
    """Claims the attempt for `process`, durably; False where it was claimed or poisoned before."""
    content = {"process": process.to_dict(), "started_ms": started_ms, "mono_s": time.monotonic()}
    return durable.create(folder / NAME, content)


def poison(folder: Path, reason: str) -> bool:
    """Makes sure that the attempt never starts; False where it was claimed before."""
    if durable.create(folder / NAME, {"poisoned": True, "reason": reason}):
        return True
    claim = read(folder)
    if claim is None or claim.process is not None:
        return False
    durable.sync_folder(folder)  # whoever linked it may not have come so far yet
    return True


def read(folder: Path) -> Claim | None:
    """The attempt's claim, None where nobody has it yet.

    Raises:
        durable.CorruptError: The file is not a claim.
        OSError: It cannot be read.
    """
    content = durable.read(folder / NAME, durable.SMALL_BYTES)
    if content is None:
        return None
    if content.get("poisoned") is True:
        return Claim(None, reason=str(content.get("reason", "")))
    try:
        process = Identity.from_dict(content["process"])
        return Claim(process, int(content["started_ms"]), float(content["mono_s"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise durable.CorruptError(f"{folder / NAME} is not a claim: {error!r}") from error
