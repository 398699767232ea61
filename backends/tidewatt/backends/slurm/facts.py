"""What an attempt's own script has left in its folder on the cluster."""

import base64
import binascii
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidewatt.backends import claim, durable
from tidewatt.backends.backend import BackendError
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.script import EXIT, GPUS

_READ = """
for each in "$@"; do
    for name in claim %s %s; do
        printf '%%s' "$(base64 -w0 "$each/$name" 2>/dev/null) |"
    done
    echo
done
""" % (EXIT, GPUS)  # noqa: UP031 - braces are the shell's
_POISON = """
set -e
umask 077
mkdir -p "$1"
cd "$1"
draft=.claim.poison.$$.$RANDOM
base64 -d > "$draft" <<< "$2"
sync "$draft" 2>/dev/null || :
ln "$draft" claim 2>/dev/null || :
rm -f "$draft"
cat claim
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is there by now: who claimed the attempt, how it ended, which GPUs it got."""

    claim: dict[str, Any] = field(default_factory=dict)
    exit: dict[str, Any] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()

    @property
    def poisoned(self) -> str:
        """Why it never starts; "" where it may."""
        return str(self.claim.get("reason") or "withdrawn") if self.claim.get("poisoned") is True else ""

    @property
    def started_ms(self) -> int | None:
        """When it claimed its start, real Unix milliseconds; None where it has not."""
        started = self.claim.get("started_ms")
        return started if isinstance(started, int) and not self.poisoned else None

    @property
    def number(self) -> str:
        """The Slurm job that runs it."""
        return str(self.claim.get("slurm", ""))


def look(reach: Reach, folders: Iterable[Path]) -> dict[Path, Facts]:
    """The facts in each of these folders there, with one call at most.

    Raises:
        BackendError: They cannot be read.
    """
    places = list(folders)
    if not places:
        return {}
    if not reach.ssh:
        return {place: _here(place) for place in places}
    lines = reach.script(_READ, *map(str, places)).splitlines()
    if len(lines) != len(places):
        raise BackendError(f"{reach.place} answered with something else than was asked", transient=True)
    return {place: _parsed(line) for place, line in zip(places, lines, strict=True)}


def poison(reach: Reach, there: Path, reason: str) -> bool:
    """Makes sure that the attempt never starts; False where it had already started.

    Raises:
        BackendError: That cannot be told now.
    """
    if not reach.ssh:
        try:
            there.mkdir(mode=0o700, parents=True, exist_ok=True)
            return claim.poison(there, reason)
        except (OSError, durable.CorruptError) as error:
            raise BackendError(f"{there / claim.NAME}: {error}", transient=True) from error
    content = json.dumps({"poisoned": True, "reason": reason})
    coded = base64.b64encode(content.encode()).decode()
    return bool(Facts(_object(reach.script(_POISON, str(there), coded).encode())).poisoned)


def _here(place: Path) -> Facts:
    found = []
    for name in (claim.NAME, EXIT, GPUS):
        try:
            found.append((place / name).read_bytes())
        except FileNotFoundError:
            found.append(b"")
        except OSError as error:
            raise BackendError(f"{place / name} cannot be read: {error}", transient=True) from error
    return _facts(*found)


def _parsed(line: str) -> Facts:
    cells = [cell.strip() for cell in line.split("|")][:3]
    with suppress(binascii.Error):
        return _facts(*(base64.b64decode(cell) for cell in cells))
    raise BackendError("the cluster's answer was cut off", transient=True)


def _facts(taken: bytes, ended: bytes, gpus: bytes) -> Facts:
    words = gpus.decode(errors="replace").split()
    return Facts(_object(taken), _object(ended), tuple(word for word in words if word.startswith("GPU-")))


def _object(text: bytes) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BackendError(f"a file of the attempt is not JSON: {error}", transient=True) from error
    if not isinstance(found, dict):
        raise BackendError("a file of the attempt holds no JSON object", transient=True)
    return found
