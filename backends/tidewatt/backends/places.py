"""The kinds of places of checkpoints: folders here and elsewhere, and object storage."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidewatt.backends.backend import BackendError
from tidewatt.backends.carrying import CHUNK, MOST_FILES, File, Manifest

PARTLY = ".tidewatt-part"
PARTS = ".tidewatt-parts"  # where rsync keeps what it has of a file
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9._-]*")
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this host."""

    name: str
    path: Path

    @classmethod
    def at(cls, text: str) -> "Folder":
        """The folder of that absolute path."""
        return cls(text, Path(text))

    def manifest(self) -> Manifest:
        """Its files with their digests; links are not followed."""
        found: dict[str, File] = {}
        for root, _, names in os.walk(self.path):
            for name in names:
                path = Path(root) / name
                if name.endswith(PARTLY) or PARTS in path.parts or not path.is_file() or path.is_symlink():
                    continue
                found[path.relative_to(self.path).as_posix()] = _hashed(_chunks(path))
                if len(found) > MOST_FILES:
                    raise BackendError(f"{self.path} has over {MOST_FILES:,} files: that is no checkpoint")
        return found

    def read(self, name: str) -> Iterator[bytes]:
        """A file's content."""
        return _chunks(self._path(name))

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """Writes it beside its place, and renames it when it is on the disk."""
        path = self._path(name)
        partly = path.with_name(path.name + PARTLY)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(partly, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            partly.replace(path)
        except OSError as error:
            raise BackendError(f"{path} cannot be written: {error.strerror}", transient=True) from error

    def _path(self, name: str) -> Path:
        path = self.path / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise BackendError(f"{name!r} is no name of a file below {self.path}")
        return path


@dataclass(frozen=True, slots=True)
class Host:
    """A folder of another host, by SSH; rsync sends there only what is missing of a large file."""

    name: str
    host: str
    folder: str
    ssh: tuple[str, ...] = SSH
    timeout_s: float = 3600.0

    def __post_init__(self) -> None:
        """Raises BackendError for what could be taken for an option."""
        if not _HOST.fullmatch(self.host) or not self.folder.startswith("/"):
            raise BackendError(f"{self.name!r} is no folder of a host: write host:/folder")

    def manifest(self) -> Manifest:
        """Its files, hashed over there."""
        where = shlex.quote(self.folder)
        files = f"find . -type f ! -name '*{PARTLY}' ! -path '*/{PARTS}/*'"
        script = (
            f"cd {where} 2>/dev/null || exit 0;"
            f" {files} -printf '%s %p\\0' | head -z -n {MOST_FILES};"
            " printf '\\0';"
            f" {files} -print0 | head -z -n {MOST_FILES} | xargs -0 -r sha256sum -z"
        )
        sizes_text, _, digests_text = self._run(script).partition(b"\0\0")
        sizes: dict[str, int] = {}
        for entry in filter(None, sizes_text.split(b"\0")):
            size, _, path = entry.partition(b" ")
            sizes[_plain(path)] = int(size)
        found: dict[str, File] = {}
        for entry in filter(None, digests_text.split(b"\0")):
            digest, _, path = entry.partition(b"  ")
            name = _plain(path)
            found[name] = File(sizes.get(name, -1), digest.decode())
        return found

    def read(self, name: str) -> Iterator[bytes]:
        """A file's content, as it comes over the line."""
        command = [*self.ssh, "--", self.host, f"cat -- {shlex.quote(f'{self.folder}/{name}')}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            while chunk := process.stdout.read(CHUNK):
                yield chunk
        if process.returncode:
            raise BackendError(f"{self.host}:{self.folder}/{name} cannot be read", transient=True)

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """Streams it there under another name, and renames it."""
        path = f"{self.folder}/{name}"
        partly = shlex.quote(path + PARTLY)
        folder = shlex.quote(os.path.dirname(path))
        script = f"mkdir -p -- {folder} && cat > {partly} && mv -f -- {partly} {shlex.quote(path)}"
        command = [*self.ssh, "--", self.host, script]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            try:
                for chunk in chunks:
                    process.stdin.write(chunk)
                process.stdin.close()
                code = process.wait(self.timeout_s)
            except (OSError, subprocess.TimeoutExpired) as error:
                process.kill()
                raise BackendError(f"{self.name} does not take {name}: {error}", transient=True) from error
        if code:
            raise BackendError(f"{self.name} does not take {name}: ssh ended with {code}", transient=True)

    def syncs(self) -> bool:
        """Whether rsync is installed here; that it is there, too, shows when it is used."""
        return shutil.which("rsync") is not None

    def push(self, folder: Path, name: str) -> None:
        """Sends a file of a folder here with rsync; what arrived of it before is not sent again."""
        self._run(f"mkdir -p -- {shlex.quote(self.folder)}")
        self._sync(f"./{name}", f"{self.host}:{self.folder}/", folder)

    def pull(self, name: str, folder: Path) -> None:
        """Fetches a file into a folder here with rsync."""
        folder.mkdir(parents=True, exist_ok=True)
        self._sync(f"{self.host}:{self.folder}/./{name}", f"{folder}/", folder)

    def _sync(self, source: str, target: str, folder: Path) -> None:
        options = ["--relative", "--protect-args", "--times", f"--partial-dir={PARTS}", "--timeout=60"]
        self._call(["rsync", *options, "--rsh", shlex.join(self.ssh), "--", source, target], folder)

    def _run(self, script: str) -> bytes:
        return self._call([*self.ssh, "--", self.host, script], None)

    def _call(self, command: list[str], folder: Path | None) -> bytes:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=self.timeout_s,
                check=False,
                cwd=folder,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"{self.host} does not answer: {error}", transient=True) from error
        if done.returncode:
            told = done.stderr.decode(errors="replace").strip()[-200:]
            raise BackendError(f"{self.host} cannot be asked: {told or done.returncode}", transient=True)
        return done.stdout


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder of an object storage, or of anything else that fsspec knows."""

    name: str
    files: Any
    root: str

    @classmethod
    def at(cls, url: str) -> "Storage":
        """The storage of a URL, with the credentials of the environment.

        Raises:
            BackendError: fsspec, or what it needs for this kind, is not installed.
        """
        try:
            import fsspec

            files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise BackendError(
                f"{url} needs a package that is not installed ({error}): pip install 'tidewatt[storage]'"
            ) from error
        except ValueError as error:
            raise BackendError(f"{url!r} is of no kind that fsspec knows: {error}") from error
        return cls(url, files, root.rstrip("/"))

    def manifest(self) -> Manifest:
        """Its files, read once to be hashed: storages tell other digests, or none."""
        with _storing(self.name):
            self.files.invalidate_cache()
            if not self.files.exists(self.root):
                return {}
            paths = [str(path) for path in self.files.find(self.root)]
            return {
                self._relative(path): _hashed(self._chunks(path))
                for path in paths
                if not path.endswith(PARTLY)
            }

    def read(self, name: str) -> Iterator[bytes]:
        """A file's content."""
        with _storing(self.name):
            yield from self._chunks(f"{self.root}/{name}")

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """Writes it; a storage shows an object only when all of it is there."""
        path = f"{self.root}/{name}"
        with _storing(self.name):
            self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self.files.open(path, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)

    def _chunks(self, path: str) -> Iterator[bytes]:
        with self.files.open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.root).lstrip("/")


class _storing:  # noqa: N801 - reads as a verb
    """Errors of a storage as this area's own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Names the place, whatever the storage raised."""
        if isinstance(error, Exception) and not isinstance(error, BackendError):
            raise BackendError(f"{self._name} cannot be used: {error}", transient=True) from error


def _hashed(chunks: Iterator[bytes]) -> File:
    size, digest = 0, hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return File(size, digest.hexdigest())


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise BackendError(f"{path} cannot be read: {error.strerror}", transient=True) from error


def _plain(path: bytes) -> str:
    return path.decode(errors="surrogateescape").removeprefix("./")
