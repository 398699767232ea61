"""The environment that a job keeps: chosen at submit, held in one file of its owner's, deleted afterwards."""

import json
import os
import pwd
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from tidewatt.backends import durable
from tidewatt.backends.backend import BackendError

BASE = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "SHELL")


def select(
    environ: Mapping[str, str], keep: Sequence[str] | None, none: bool, deny: Sequence[str]
) -> dict[str, str]:
    """What of `environ` a job keeps.

    Args:
        environ: The submitter's environment.
        keep: `NAME` keeps only the names so given, `NAME=VALUE` sets one, whatever else is kept. None keeps
            all.
        none: Keeps nothing but what `keep` names.
        deny: Patterns of names (`*_TOKEN`) that are never kept, the operator's word. Case counts.

    Raises:
        BackendError: A name to keep is not set, or is no name.
    """
    names = [entry for entry in keep or () if "=" not in entry]
    sets = dict(entry.split("=", 1) for entry in keep or () if "=" in entry)
    for name in (*names, *sets):
        if not name or "\0" in name:
            raise BackendError(
                f"{name!r} is not the name of an environment variable: give NAME or NAME=VALUE"
            )
    missing = [name for name in names if name not in environ]
    if missing:
        raise BackendError(f"{missing[0]} is not set in your environment: set it, or give {missing[0]}=VALUE")
    kept = {name: environ[name] for name in names} if names or none else dict(environ)
    return {
        name: value
        for name, value in {**kept, **sets}.items()
        if not any(fnmatchcase(name, pattern) for pattern in deny)
    }


def write(path: Path, values: Mapping[str, str]) -> None:
    """Writes the environment durably, mode 0600, in the place of one that may be there.

    Raises:
        BackendError: It cannot be written.
    """
    try:
        durable.replace(path, dict(values))
    except OSError as error:
        raise BackendError(
            f"the job's environment cannot be written to {path}: {error.strerror}", transient=True
        ) from error


def read(path: Path) -> dict[str, str]:
    """The environment that was written there.

    Raises:
        BackendError: It is gone, somebody else's, readable by others, or no environment; no value is ever
            quoted.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BackendError(f"the job's environment {path} cannot be read: {error.strerror}") from error
    with open(fd) as file:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise BackendError(f"the job's environment {path} is not its owner's alone: mode 0600 is needed")
        try:
            values = json.load(file)
        except ValueError:
            values = None  # the parser's own message may quote a secret
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise BackendError(f"{path} does not hold an environment: names and texts in one JSON object")
    return values


def base(environ: Mapping[str, str]) -> dict[str, str]:
    """What a process needs to find its home and its commands: from `environ`, else from the user table."""
    values = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    with suppress(KeyError):  # a uid without an entry
        user = pwd.getpwuid(os.geteuid())
        values |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell}
    return values | {name: environ[name] for name in BASE if name in environ}


def delete(path: Path) -> None:
    """Deletes the environment, and the draft of one that a killed writer may have left; safe to repeat."""
    for leftover in (path, *path.parent.glob(f".{path.name}.*")):
        leftover.unlink(missing_ok=True)
