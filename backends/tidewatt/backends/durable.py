"""Small files that are wholly there after a crash, or not at all."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

MODE = 0o600


class CorruptError(Exception):
    """A file that should hold a JSON object does not; its text says which file and why."""


def replace(path: Path, content: dict[str, Any]) -> None:
    """Writes the file, or puts it in the place of the one that is there."""
    draft = _draft(path, content)
    try:
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create(path: Path, content: dict[str, Any]) -> bool:
    """Writes the file unless it exists: of all who try, in all processes, one gets True.

    link(2) is atomic and never replaces, on every file system.
    """
    if path.exists():
        return False
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def read(path: Path) -> dict[str, Any] | None:
    """The object that is written there, None where nothing is.

    Raises:
        CorruptError: The file does not hold a JSON object.
        OSError: It cannot be read.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CorruptError(f"{path} is not text: {error}") from error
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CorruptError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CorruptError(f"{path} does not hold a JSON object")
    return content


def sync_folder(folder: Path) -> None:
    """Makes the folder's names durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _draft(path: Path, content: dict[str, Any]) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    try:
        with open(fd, "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(fd)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    return draft
