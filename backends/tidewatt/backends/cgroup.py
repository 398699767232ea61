"""A cgroup for one job, where this process may make one: bounds on memory and cores, a freezer, a sure end.

Version 2 where it is mounted with what is needed, else the hierarchies of version 1 (cgroups(7)). It is made
below the cgroup that this process is in, so that whatever bounds us bounds our jobs. Where nothing is
writable there is none, and nothing here raises.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends.identity import PROC

_PREFIX = "tidewatt-"
_PERIOD_US = 100_000
_MB = 1 << 20
_PATIENCE_S = 2.0
_FIRST_VERSION = ("memory", "cpu", "freezer")
_UNIFIED = ""  # the name of the one hierarchy of version 2


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One job's folders: one of version 2 (key ""), or one for each hierarchy of version 1."""

    folders: Mapping[str, Path]

    def join(self) -> None:
        """Takes the calling process in; what it starts is in it, too."""
        for folder in self.folders.values():
            with suppress(OSError):
                (folder / "cgroup.procs").write_text("0")

    def members(self) -> set[int]:
        """The pids in it."""
        found: set[int] = set()
        for folder in self.folders.values():
            with suppress(OSError, ValueError):
                found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        return found

    def freeze(self, frozen: bool) -> bool:
        """Stops all its processes or lets them go on; returns when they stand. False where it cannot."""
        if not self.members():
            return False
        with suppress(OSError, KeyError):
            if _UNIFIED in self.folders:
                return self._freeze_unified(frozen)
            (self.folders["freezer"] / "freezer.state").write_text("FROZEN" if frozen else "THAWED")
            return self._is(self.folders["freezer"] / "freezer.state", "FROZEN" if frozen else "THAWED")
        return False

    def kill(self) -> bool:
        """SIGKILL to all its processes at once; False where this kernel has no such thing."""
        with suppress(OSError, KeyError):
            (self.folders[_UNIFIED] / "cgroup.kill").write_text("1")
            return True
        return False

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended one of its processes for want of memory."""
        names = {_UNIFIED: "memory.events", "memory": "memory.oom_control"}
        for key, name in names.items():
            with suppress(OSError, KeyError, ValueError):
                for line in (self.folders[key] / name).read_text().splitlines():
                    if line.startswith("oom_kill ") and int(line.split()[1]):
                        return True
        return False

    def remove(self) -> None:
        """Takes it away once it is empty; one that is not stays."""
        deadline = time.monotonic() + _PATIENCE_S
        for folder in self.folders.values():
            while folder.exists():
                with suppress(OSError):
                    folder.rmdir()
                    break
                if time.monotonic() >= deadline:
                    break
                time.sleep(0.01)  # the last of its processes is just going

    def _freeze_unified(self, frozen: bool) -> bool:
        folder = self.folders[_UNIFIED]
        (folder / "cgroup.freeze").write_text(str(int(frozen)))
        return self._is(folder / "cgroup.events", f"frozen {int(frozen)}")

    def _is(self, path: Path, line: str) -> bool:
        deadline = time.monotonic() + _PATIENCE_S
        while line not in path.read_text().splitlines():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
        return True


def make(key: str, memory_mb: int | None, cores: float | None) -> tuple[Cgroup | None, str]:
    """A cgroup of that name with those bounds, and what of them could not be had ("" where all was)."""
    wanted = [name for name, value in (("memory", memory_mb), ("cpu", cores)) if value is not None]
    found = _unified(key, wanted) or _first_version(key)
    if found is None:
        return None, _missing(wanted)
    held = [name for name in wanted if _bound(found, name, memory_mb, cores)]
    return found, _missing([name for name in wanted if name not in held])


def find(key: str) -> Cgroup | None:
    """The cgroup that an earlier supervisor made; None where there is none."""
    folders = {
        name: folder / f"{_PREFIX}{key}"
        for name, folder in _places().items()
        if (folder / f"{_PREFIX}{key}").is_dir()
    }
    return Cgroup(folders) if folders else None


def _missing(wanted: list[str]) -> str:
    if not wanted:
        return ""
    words = " and ".join({"memory": "memory", "cpu": "cores"}[name] for name in wanted)
    return f"it is not held to its bounds on {words}: there is no cgroup here that may be written to"


def _unified(key: str, wanted: list[str]) -> Cgroup | None:
    """A folder of version 2 that has the controllers; None where it has not."""
    parent = _places().get(_UNIFIED)
    if parent is None:
        return None
    with suppress(OSError):
        have = (parent / "cgroup.controllers").read_text().split()
        if not set(wanted) <= set(have):
            return None
        control = parent / "cgroup.subtree_control"
        for name in wanted:
            if name not in control.read_text().split():
                control.write_text(f"+{name}")
        folder = parent / f"{_PREFIX}{key}"
        folder.mkdir(exist_ok=True)
        return Cgroup({_UNIFIED: folder})
    return None


def _first_version(key: str) -> Cgroup | None:
    folders = {}
    for name, parent in _places().items():
        if name == _UNIFIED:
            continue
        with suppress(OSError):
            folder = parent / f"{_PREFIX}{key}"
            folder.mkdir(exist_ok=True)
            folders[name] = folder
    return Cgroup(folders) if folders else None


def _bound(found: Cgroup, name: str, memory_mb: int | None, cores: float | None) -> bool:
    """Whether the bound could be set."""
    folder = found.folders.get(_UNIFIED) or found.folders.get(name)
    if folder is None:
        return False
    unified = _UNIFIED in found.folders
    try:
        if name == "memory":
            size = str((memory_mb or 0) * _MB)
            (folder / ("memory.max" if unified else "memory.limit_in_bytes")).write_text(size)
        elif unified:
            (folder / "cpu.max").write_text(f"{round((cores or 0) * _PERIOD_US)} {_PERIOD_US}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(round((cores or 0) * _PERIOD_US)))
    except OSError:
        return False
    return True


def _places() -> dict[str, Path]:
    """The folders of the cgroups that this process is in, by controller; "" for version 2."""
    found: dict[str, Path] = {}
    mounts = dict(_mounts())
    with suppress(OSError):
        for line in (PROC / "self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            for name in names.split(",") if names else [_UNIFIED]:
                if name not in mounts or (name and name not in _FIRST_VERSION):
                    continue
                root, mount = mounts[name]
                inside = os.path.relpath(path, root)
                folder = mount if inside.startswith("..") else mount / inside
                if folder.is_dir() and os.access(folder, os.W_OK):
                    found[name] = folder
    return found


def _mounts() -> Iterator[tuple[str, tuple[str, Path]]]:
    """(controller, (what of the hierarchy is mounted, where)) from proc_pid_mountinfo(5)."""
    with suppress(OSError):
        for line in (PROC / "self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ", 2)
            root, mount = before.split()[3:5]
            if kind == "cgroup2":
                yield _UNIFIED, (root, Path(mount))
            elif kind == "cgroup":
                for name in options.rpartition(" ")[2].split(","):
                    yield name, (root, Path(mount))
