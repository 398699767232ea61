"""Bundles as files: a zip that is the same byte for byte for the same content, read with bounded memory."""

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from tidewatt.scheduler.errors import BadInput

MOST_FILES = 5_000
MOST_BYTES = 512 * 1024**2  # of all files of a bundle together, unpacked
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_LONGEST_NAME = 200
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold


class BadBundle(BadInput):
    """The file is no bundle that could be looked into."""


def packed(files: Mapping[str, bytes]) -> bytes:
    """The zip of these files, in the order of their names; nothing of where or when it was made is in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o600) << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def unpacked(path: Path) -> dict[str, bytes]:
    """The files in a bundle by name; nothing is written anywhere.

    Raises:
        BadBundle: where it is no zip, is damaged, or has what no bundle has (links, odd or double names, more
            than a bundle could hold).
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe may never end
            raise BadBundle(f"{path} is no regular file: name the bundle's file itself")
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path)
    except OSError as error:
        raise BadBundle(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BadBundle(f"{path} is no bundle that can be read: it is no zip, or a damaged one") from error


def _read(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise BadBundle(
            f"{path} claims to hold more than a bundle can ({MOST_FILES} files, {MOST_BYTES >> 20} MiB)"
        )
    files: dict[str, bytes] = {}
    left = MOST_BYTES
    for entry in entries:
        name = entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME or kind not in (0, stat.S_IFREG):
            raise BadBundle(f"{path} holds {name[:80]!r}, which no bundle has: do not trust it")
        if name in files:
            raise BadBundle(f"{path} holds {name!r} twice: do not trust it")
        with archive.open(entry) as file:  # what the directory says of sizes may be a lie
            content = file.read(left + 1)
        left -= len(content)
        if left < 0:
            raise BadBundle(f"{path} unpacks to more than {MOST_BYTES >> 20} MiB: do not trust it")
        files[name] = content
    return files
