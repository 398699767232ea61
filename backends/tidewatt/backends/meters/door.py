"""Where a host's meter listens: a Unix socket in the user's runtime folder, named in the readings folder."""

import hashlib
import json
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidewatt.backends import durable

_LONGEST = 107  # bytes in sockaddr_un.sun_path, less the final zero (unix(7))
_REPLY_BYTES = 65536


def note(readings: Path) -> Path:
    """The file that says where the meter of these readings listens."""
    return readings / "meter.json"


def lock(readings: Path) -> Path:
    """The file that the one meter of these readings has locked."""
    return readings / "meter.lock"


def socket_path(readings: Path) -> Path:
    """A short path of its own for each readings folder, in a folder that only the user may enter.

    Raises:
        OSError: No such folder can be made.
    """
    name = f"meter-{hashlib.sha256(os.fsencode(readings.resolve())).hexdigest()[:12]}.sock"
    asked = os.environ.get("XDG_RUNTIME_DIR")
    own = f"tidewatt-{os.getuid()}"
    folders = [Path(asked) / "tidewatt"] if asked else []
    folders += [Path(tempfile.gettempdir()) / own, Path("/tmp") / own]  # noqa: S108 - they are checked
    for folder in folders:
        if len(os.fsencode(folder / name)) <= _LONGEST and _ours(folder):
            return folder / name
    raise OSError(
        f"no folder for the meter's socket: set XDG_RUNTIME_DIR to a folder of yours, not {asked!r}"
    )


def _ours(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        return found.st_uid == os.getuid() and found.st_mode & 0o077 == 0 and folder.is_dir()
    return False


def listen(readings: Path) -> socket.socket:
    """Opens the meter's door and notes its place; only the holder of the lock may. Raises OSError."""
    path = socket_path(readings)
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(str(path))
    path.chmod(0o600)
    door.listen(64)
    durable.replace(note(readings), {"socket": str(path), "pid": os.getpid()})
    return door


def ask(readings: Path, question: dict[str, Any], timeout_s: float) -> dict[str, Any] | None:
    """The meter's answer; None where none came in time."""
    try:
        place = json.loads(note(readings).read_text())["socket"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return exchange(place, question, timeout_s)


def exchange(place: str | Path, question: dict[str, Any], timeout_s: float) -> dict[str, Any] | None:
    """What is answered at that socket; None where nothing was in time."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(timeout_s)
            line.connect(str(place))
            line.sendall(json.dumps(question).encode() + b"\n")
            answer: dict[str, Any] = json.loads(receive(line))
            return answer
    except (OSError, ValueError, KeyError, TypeError):
        return None


def receive(line: socket.socket) -> bytes:
    """One line from the other side, at most 64 KiB."""
    text = b""
    while not text.endswith(b"\n") and len(text) < _REPLY_BYTES:
        part = line.recv(4096)
        if not part:
            break
        text += part
    return text
