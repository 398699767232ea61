"""A job's folder as a package that Ray keeps, for clusters that do not see it."""

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.ray.client import Client

LARGEST_BYTES = 100 * 2**20  # Ray's own limit for a working_dir
_SKIPPED = {".git", "__pycache__", ".venv", "node_modules"}


def package(launch: Launch, client: Client | None) -> str:
    """The URI of the package; equal content has one name and is uploaded once; without a client not at all.

    Raises:
        BackendError: It is too large, or cannot be uploaded.
    """
    content = packed(launch.snapshot or launch.cwd)
    name = f"_ray_pkg_{hashlib.sha256(content).hexdigest()[:32]}.zip"
    return f"gcs://{name}" if client is None else client.upload(name, content)


def packed(folder: Path) -> bytes:
    """The folder as a zip archive, the same bytes for the same files; at the root as Ray wants it."""
    size, out = 0, io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(_files(folder)):
            size += path.stat().st_size
            if size > LARGEST_BYTES:
                raise BackendError(
                    f"the job's folder {folder} is larger than the {LARGEST_BYTES >> 20} MB that Ray takes:"
                    " share it with the cluster, or name a working_dir in the region's runtime_env"
                )
            info = zipfile.ZipInfo(str(path.relative_to(folder)))  # its time is the zip format's first
            info.external_attr = (path.stat().st_mode & 0o777) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    return out.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each not in _SKIPPED]
        yield from (Path(where) / name for name in names if (Path(where) / name).is_file())
