"""Small files that are wholly there after a crash, or not at all."""

import errno
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

MODE = 0o600
MOST_BYTES = 16_000_000  # of a file that is read back
SMALL_BYTES = 256_000  # of one that is looked at again and again


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
        with suppress(OSError):  # a draft that stays is nobody's file
            draft.unlink()
    sync_folder(path.parent)
    return True


def read(path: Path, most: int = MOST_BYTES) -> dict[str, Any] | None:
    """The object that is written there, None where nothing is.

    A job's own user can put anything in the place of such a file: whatever it is, reading it ends soon.

    Raises:
        CorruptError: The file does not hold a JSON object of at most `most` bytes, or is no plain file.
        OSError: It cannot be read.
    """
    data = read_bytes(path, most)
    if data is None:
        return None
    try:
        content = json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise CorruptError(f"{path} is not text: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CorruptError(f"{path} does not hold a JSON object")
    return content


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes | None:
    """What a plain file holds, None where there is none.

    Raises:
        CorruptError: It is a link, a pipe or another special file, or longer than `most` bytes.
        OSError: It cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise CorruptError(f"{path} is not a plain file") from error
        raise
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise CorruptError(f"{path} is not a plain file")
        data = file.read(most + 1)
    if len(data) > most:
        raise CorruptError(f"{path} has more than {most} bytes")
    return data


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
