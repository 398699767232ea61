"""What was submitted: the code in a job's folder as one digest, with commit and difference from git."""

import hashlib
import os
import stat
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends.backend import BackendError

_WRITTEN = "py pyx ipynb sh bash toml yaml yml json cfg ini c cc cpp cu cuh h hpp jl r lua rs"
SUFFIXES = frozenset(f".{suffix}" for suffix in _WRITTEN.split())
MAX_DIFF_BYTES = 5_000_000
MAX_HASHED_BYTES = 1_000_000  # a larger file counts by size and time
MAX_FILES = 5_000  # without git, or of those that git does not track
_GIT_S = 5.0
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """The code as it was. `method` says in words what `digest` covers and what is missing from `diff`.

    `digest` starts with the word of its method; "" means that nothing could be recorded.
    """

    digest: str
    method: str
    commit: str = ""
    dirty: bool = False
    diff: str = ""


class _NoGitError(Exception):
    """The folder is in no repository, or git cannot be asked; the text says which."""


def record(cwd: Path) -> SourceRecord:
    """Records the code in and around `cwd`; never raises, and says in `method` what could not be done."""
    try:
        tree = _Tree.around(cwd)
        digest, note = tree.digest()
        diff, cut = tree.diff()
        method = "all tracked files as they are, and untracked source files" + note + cut
        return SourceRecord(digest, method, tree.commit, tree.dirty, diff)
    except _NoGitError as error:
        digest, method = _plain(cwd)
        return SourceRecord(digest, f"{method} ({error})")


def digest(cwd: Path) -> str:
    """`record(cwd).digest`, sooner; "" where nothing could be read."""
    try:
        return _Tree.around(cwd).digest()[0]
    except _NoGitError:
        return _plain(cwd)[0]


def snapshot(cwd: Path, into: Path) -> Path:
    """Copies the tracked files with their uncommitted changes and returns the copy of `cwd` among them.

    Untracked files stay out. `into` must not exist yet; it is there, durably, only once it is complete.

    Raises:
        BackendError: There is no git repository around `cwd`, or the files cannot be copied.
    """
    import shutil  # only here: `digest` runs before every start

    try:
        tree = _Tree.around(cwd)
    except _NoGitError as error:
        raise BackendError(
            f"a snapshot takes the files that git tracks, and {cwd} has none ({error}): "
            "`git init && git add .` first, or submit without --snapshot"
        ) from error
    draft = into.with_name(f".{into.name}.{os.getpid()}")
    try:
        draft.mkdir(mode=0o700, parents=True)
        for name in tree.tracked():
            source = tree.root / name
            if not os.path.lexists(source) or (source.is_dir() and not source.is_symlink()):
                continue  # a submodule that was not checked out, or a file that was deleted
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        (draft / tree.inside).mkdir(parents=True, exist_ok=True)
        os.sync()
        draft.rename(into)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise BackendError(f"the snapshot {into} cannot be made: {error}", transient=True) from error
    return into / tree.inside


@dataclass(frozen=True, slots=True)
class _Tree:
    """A repository's working tree. `inside` is the way from its root to the folder that was asked about."""

    root: Path
    inside: Path
    commit: str
    changed: frozenset[str]  # tracked, and not as in the index
    untracked: tuple[str, ...]
    staged: bool

    @classmethod
    def around(cls, cwd: Path) -> "_Tree":
        root = Path(os.fsdecode(_git(cwd, "rev-parse", "--show-toplevel")).rstrip("\n"))
        status = _git(
            root, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames"
        )
        commit, changed, untracked, staged = "", set(), [], False
        for line in os.fsdecode(status).split("\0"):
            match line[:2]:
                case "# " if line.startswith("# branch.oid "):
                    commit = line.split()[2].replace("(initial)", "")
                case "1 ":
                    marks, name = line.split(" ")[1], line.split(" ", 8)[8]
                    staged |= marks[0] != "."
                    if marks[1] != ".":
                        changed.add(name)
                case "u ":
                    changed.add(line.split(" ", 10)[10])
                case "? ":
                    untracked.append(line[2:])
        inside = Path(os.path.relpath(cwd.resolve(), root.resolve()))
        return cls(root, inside, commit, frozenset(changed), tuple(sorted(untracked)), staged)

    @property
    def dirty(self) -> bool:
        """Whether tracked files differ from the commit."""
        return self.staged or bool(self.changed)

    def tracked(self) -> Iterator[str]:
        """Names from the root, submodules' files among them."""
        names = os.fsdecode(_git(self.root, "ls-files", "-z", "--recurse-submodules"))
        yield from (name for name in dict.fromkeys(names.split("\0")) if name)

    def digest(self) -> tuple[str, str]:
        """Digest and what is to be said about it. The same files give the same digest, committed or not."""
        lines = []
        for entry in _git(self.root, "ls-files", "-z", "--stage").split(b"\0"):
            if entry:
                about, _, name = entry.partition(b"\t")
                mode, blob, _ = about.split(b" ")
                if os.fsdecode(name) not in self.changed:
                    lines.append(b"%s\0%s %s" % (name, mode, blob))
        lines += [_line(self.root, name) for name in self.changed if os.path.lexists(self.root / name)]
        code = [name for name in self.untracked if Path(name).suffix.lower() in SUFFIXES]
        lines += [_line(self.root, name) for name in code[:MAX_FILES]]
        note = f", {len(code) - MAX_FILES} of these left out" if len(code) > MAX_FILES else ""
        return "git:" + hashlib.sha256(b"\0\0".join(sorted(lines))).hexdigest(), note

    def diff(self) -> tuple[str, str]:
        """The uncommitted difference of tracked files, and what is missing from it."""
        if not self.dirty or not self.commit:
            return "", "" if self.commit else "; nothing is committed yet, so there is no difference to keep"
        arguments = ("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
        data = _git_start(self.root, *arguments, limit=MAX_DIFF_BYTES + 1)
        if len(data) > MAX_DIFF_BYTES:
            return "", f"; the difference is larger than {MAX_DIFF_BYTES // 1_000_000} MB and was not kept"
        return data.decode(errors="backslashreplace"), ""


def _git(cwd: Path, *arguments: str) -> bytes:
    """What git prints."""
    try:
        done = subprocess.run(_command(arguments), cwd=cwd, capture_output=True, timeout=_GIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise _NoGitError(f"git took more than {_GIT_S:g} s") from None
    except FileNotFoundError:
        raise _NoGitError("git is not installed" if cwd.is_dir() else f"{cwd} does not exist") from None
    except OSError as error:
        raise _NoGitError(f"git cannot be run: {error.strerror}") from error
    if done.returncode:
        first = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise _NoGitError(f"git says: {first[0]}")
    return done.stdout


def _git_start(cwd: Path, *arguments: str, limit: int) -> bytes:
    """The first `limit` bytes of what git prints; a difference may be larger than memory."""
    with subprocess.Popen(
        _command(arguments), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        too_long = threading.Timer(_GIT_S, process.kill)
        too_long.start()
        try:
            return process.stdout.read(limit) if process.stdout is not None else b""
        finally:
            too_long.cancel()
            process.kill()


def _command(arguments: Iterable[str]) -> list[str]:
    """Takes no locks: the user may be at work in the repository."""
    return ["git", "--no-optional-locks", "-c", "core.quotePath=false", *arguments]


def _plain(cwd: Path) -> tuple[str, str]:
    """Digest and method without git."""
    names: list[str] = []
    for name in _sources(cwd):
        if len(names) == MAX_FILES:
            return _sum(cwd, names), f"the first {MAX_FILES} source files under the job's folder"
        names.append(name)
    if not names:
        return "", "no source file under the job's folder: nothing to record"
    return _sum(cwd, names), f"the {len(names)} source files under the job's folder"


def _sum(root: Path, names: Iterable[str]) -> str:
    lines = sorted(_line(root, name) for name in names)
    return "files:" + hashlib.sha256(b"\0\0".join(lines)).hexdigest()


def _sources(root: Path) -> Iterator[str]:
    """Names of source files in a fixed order, hidden folders and other people's packages left out."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        if "pyvenv.cfg" in files:  # a virtual environment
            folders.clear()
            continue
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in SUFFIXES:
                yield os.path.relpath(os.path.join(folder, name), root)


def _line(root: Path, name: str) -> bytes:
    """One file as git would name it: mode and blob id, so that committing it changes nothing."""
    path, raw = root / name, os.fsencode(name)
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return b"%s\0120000 %s" % (raw, _blob(os.fsencode(path.readlink())))
        if not stat.S_ISREG(status.st_mode):
            return b"%s\0other" % raw
        mode = b"100755" if status.st_mode & stat.S_IXUSR else b"100644"
        if status.st_size > MAX_HASHED_BYTES:
            return b"%s\0%s %d bytes, %d ns" % (raw, mode, status.st_size, status.st_mtime_ns)
        return b"%s\0%s %s" % (raw, mode, _blob(path.read_bytes()))
    except OSError:
        return b"%s\0gone" % raw


def _blob(data: bytes) -> bytes:
    """The id that git gives these bytes (SHA-1 repositories)."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest().encode()
