"""A process of ours as one of a server's users: `python -m tidewatt.backends.becoming UID WHAT ...`.

It is started by root, with user, groups and environment already changed before exec; it first makes sure
that there is no way back. `supervise FOLDER` becomes the attempt's supervisor. The other words do something
for the daemon with files and processes that are the user's, and print a JSON object.
`no_new_privs` is not set: within a job sudo and other set-user-ID programs do what they do in a login.
"""

import base64
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tidewatt.backends.backend import BackendError, Owner, PauseMode, StopReason

PATH = "/usr/local/bin:/usr/bin:/bin"  # of a job that kept no PATH
PASSED_ON = ("TIDEWATT_LEASES", "TZ")
PATIENCE_S = 20.0
_DYING_S = 2.0
MOST_BYTES = 32_000_000  # of an answer


def environ_of(owner: Owner) -> dict[str, str]:
    """What such a process finds in its environment: nothing of root's but where leases are."""
    import pwd

    values = {"PATH": PATH, "LANG": "C.UTF-8", "USER": owner.name, "LOGNAME": owner.name, "HOME": "/"}
    try:
        user = pwd.getpwuid(owner.uid)
        values |= {"HOME": user.pw_dir, "SHELL": user.pw_shell or "/bin/sh"}
    except KeyError:  # a user without an entry
        values["SHELL"] = "/bin/sh"
    return values | {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def started(owner: Owner, words: Sequence[str], python: str, out: int) -> "subprocess.Popen[bytes]":
    """Starts such a process in a session of its own; what it prints goes to the descriptor `out`.

    Raises:
        BackendError: The owner is root.
        OSError: No process can be made, or the user may not execute this Python.
    """
    if owner.uid == 0 or owner.gid == 0:
        raise BackendError("jobs never run as root here")
    return subprocess.Popen(
        [python, "-P", "-m", "tidewatt.backends.becoming", str(owner.uid), *words],
        user=owner.uid,
        group=owner.gid,
        extra_groups=list(owner.groups),
        umask=0o077,
        env=environ_of(owner),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out if words[0] == "supervise" else subprocess.DEVNULL,
        start_new_session=True,
    )


def asked(owner: Owner, *words: str, python: str = sys.executable) -> dict[str, Any]:
    """What such a process answers; it may be anything, since the user can reach the process.

    Raises:
        BackendError: It says so, says nothing within `PATIENCE_S`, or too much.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            process = started(owner, words, python, write)
        except (OSError, subprocess.SubprocessError) as error:
            raise BackendError(f"nothing can be started as {owner.name}: {error}", transient=True) from error
        finally:
            os.close(write)
        try:
            text = _heard(read, time.monotonic() + PATIENCE_S)
        finally:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # one that hangs in a file system of its user's
                process.wait(_DYING_S)
    finally:
        os.close(read)
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise BackendError(f"`{words[0]}` as {owner.name} gave no answer", transient=True)
    if "error" in answer:
        raise BackendError(str(answer["error"])[:2000], transient=answer.get("transient") is True)
    return answer


def _heard(fd: int, until: float) -> bytes:
    """All that is said before the deadline; other processes of the user's may hold the pipe open for ever."""
    parts: list[bytes] = []
    size = 0
    while size <= MOST_BYTES:
        ready, _, _ = select.select([fd], [], [], max(0.0, until - time.monotonic()))
        if not ready or not (part := os.read(fd, 65536)):
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts) if size <= MOST_BYTES else b""


def certain(uid: int) -> None:
    """Makes sure that this process is that user for good.

    Raises:
        BackendError: It is not, or it could become root again.
    """
    ids = set(os.getresuid())
    rights = {
        line.split()[0]: int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(("CapEff", "CapPrm", "CapInh", "CapAmb"))
    }
    if uid == 0 or ids != {uid} or 0 in os.getresgid() or any(rights.values()):
        raise BackendError(f"this process was to be user {uid} and nobody else; it has {ids}, {rights}")
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise BackendError("this process can become root again")


def _stop(folder: str, reason: str) -> dict[str, Any]:
    _host().stop(Path(folder), StopReason(reason))
    return {}


def _pause(folder: str, mode: str) -> dict[str, Any]:
    _host().pause(Path(folder), PauseMode(mode))
    return {}


def _resume(folder: str) -> dict[str, Any]:
    _host().resume(Path(folder))
    return {}


def _signal(folder: str, name: str) -> dict[str, Any]:
    _host().signal(Path(folder), name)
    return {}


def _logs(folder: str, offset: str, limit: str) -> dict[str, Any]:
    return {"data": base64.b64encode(_host().logs(Path(folder), int(offset), int(limit))).decode()}


def _record(cwd: str) -> dict[str, Any]:
    from tidewatt.backends import source

    return asdict(source.record(Path(cwd)))


def _snapshot(cwd: str, into: str) -> dict[str, Any]:
    from tidewatt.backends import source

    return {"path": str(source.snapshot(Path(cwd), Path(into)))}


def _host() -> Any:
    from tidewatt.backends.local import LocalBackend

    return LocalBackend()


_WORDS: dict[str, Callable[..., dict[str, Any]]] = {
    "stop": _stop,
    "pause": _pause,
    "resume": _resume,
    "signal": _signal,
    "logs": _logs,
    "record": _record,
    "snapshot": _snapshot,
}


def main(arguments: Sequence[str]) -> int:
    """Does what it was started for; 1 where it could not."""
    uid, what, *rest = arguments
    if what == "supervise":
        certain(int(uid))
        from tidewatt.backends import supervisor

        sys.argv = [sys.argv[0], *rest]
        supervisor.main()
        return 0
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing else may speak there
    try:
        certain(int(uid))
        answer = _WORDS[what](*rest)
    except BackendError as error:
        answer = {"error": str(error), "transient": error.transient}
    except Exception as error:  # the daemon shows what it was
        answer = {"error": f"`{what}` failed: {error!r}"}
    with open(out, "wb") as file:
        file.write(json.dumps(answer).encode())
    return int("error" in answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
