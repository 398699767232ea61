"""Configurations that were in force, kept in the state folder by digest; 0600, as they may hold secrets."""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from tidewatt.backends.durable import sync_folder
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import Paths

_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest(text: str) -> str:
    """SHA-256 of a configuration, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def whole(path: Path) -> str:
    """What a configuration file says now; raises BadInput where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the configuration file {path} cannot be read: {error}") from None


def keep(place: Paths, text: str) -> str:
    """Keeps a configuration, on the disk when this returns; its digest."""
    name = digest(text)
    place.policies.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = place.policies / f"{name}.toml"
    if target.exists():
        return name
    draft = place.policies / f".{name}.{os.getpid()}"
    with suppress(FileNotFoundError):
        draft.unlink()
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(target)
    sync_folder(place.policies)
    return name


def kept(place: Paths, name: str) -> str | None:
    """A configuration by its digest; None where it was not kept, or is not what it was."""
    if not _DIGEST.fullmatch(name):
        return None
    try:
        text = (place.policies / f"{name}.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return text if digest(text) == name else None
