"""The other side of the SSH backend: `python -m tidewatt.backends.ssh.agent` answers one question on stdin.

It runs as whoever logged in, starts and asks supervisors as the daemon does on its own host, and ends.
"""

import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import Any

from tidewatt.backends import environment, lease
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import BackendError, Launch, Pause, PauseMode, StopReason
from tidewatt.backends.local import LocalBackend
from tidewatt.backends.ssh.link import VERSION

MOST_BYTES = 50_000_000  # of readings or output in one answer


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a question, or the error that it ends in."""
    if question.get("version") != VERSION:
        return {"version": VERSION, "error": "the daemon has another version of Tidewatt"}
    try:
        verb = _VERBS[str(question["verb"])]
        return {"version": VERSION, "answer": verb(_base(str(question["base"])), question)}
    except BackendError as error:
        return {"version": VERSION, "error": str(error), "transient": error.transient}
    except (OSError, KeyError, ValueError, TypeError) as error:
        return {"version": VERSION, "error": f"{type(error).__name__}: {error}", "transient": True}


def _base(text: str) -> Path:
    folder = Path.home() / text
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _folder(base: Path, name: str) -> Path:
    """An attempt's folder; `name` is its place below the daemon's own: `jobs/12/1`."""
    parts = name.split("/")
    if len(parts) != 3 or parts[0] != "jobs" or not all(part.isdecimal() for part in parts[1:]):
        raise BackendError(f"{name!r} is no attempt")
    return base / name


def _submit(base: Path, question: Mapping[str, Any]) -> dict[str, Any]:
    folder = _folder(base, question["attempt"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    attempt = Attempt(folder)
    known = attempt.launch()
    if known is None:
        known = _prepared(base, folder, attempt, question)
    LocalBackend().submit(known)
    return {"gpus": list(known.gpu_uuids)}


def _prepared(base: Path, folder: Path, attempt: Attempt, question: Mapping[str, Any]) -> Launch:
    launch = attempt.parsed(question["launch"])
    where = folder / "tree" if question["sent"] else launch.cwd
    if not where.is_dir():
        raise BackendError(
            f"the job's folder {where} does not exist there: share it, or set options.send = true"
        )
    kept = None
    if question["environment"] is not None:
        kept = folder / "env.json"
        environment.write(kept, question["environment"])
    readings = base / "readings"
    readings.mkdir(mode=0o700, exist_ok=True)
    home = Path.home()  # a path of ours is relative to it there, unless it is absolute
    return replace(
        launch,
        folder=folder,
        cwd=where,
        snapshot=None,
        environment_file=kept,
        stdout=home / launch.stdout,
        stderr=home / launch.stderr,
        resumes=None if launch.resumes is None else home / launch.resumes,
        readings=None if launch.readings is None else readings,
        gpu_uuids=_free_gpus(launch),
        owner=None,
    )


def _free_gpus(launch: Launch) -> tuple[str, ...]:
    if not launch.gpus:
        return ()
    from tidewatt.backends.host import GpuHost

    host = GpuHost()
    try:
        found = [
            gpu.uuid
            for gpu in host.inventory().gpus
            if launch.gpu_kind.casefold() in gpu.name.casefold() or not launch.gpu_kind
        ]
        leased = lease.holders(found)
        free = [uuid for uuid in found if leased[uuid] is None and not host.foreign((uuid,), frozenset())]
    finally:
        host.close()
    if len(free) < launch.gpus:
        raise BackendError(
            f"it needs {launch.gpus} GPUs of kind {launch.gpu_kind or 'any'}, and {len(free)} are free",
            transient=True,
        )
    return tuple(free[: launch.gpus])


def _room(base: Path, question: Mapping[str, Any]) -> None:
    """Makes the attempt's folder, for files that are sent before it is submitted."""
    _folder(base, question["attempt"]).mkdir(mode=0o700, parents=True, exist_ok=True)


def _status(base: Path, question: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of each attempt; of one that never came here, null."""
    folders = {_folder(base, name): name for name in question["attempts"]}
    here = [
        folder for folder in folders if any((folder / file).exists() for file in ("launch.json", "claim"))
    ]
    found = LocalBackend().status(here)
    told = {folders[folder]: _plain(asdict(status)) for folder, status in found.items()}
    return {
        "now_ms": time.time_ns() // 1_000_000,
        "attempts": {name: told.get(name) for name in folders.values()},
    }


def _stop(base: Path, question: Mapping[str, Any]) -> None:
    LocalBackend().stop(_folder(base, question["attempt"]), StopReason(question["reason"]))


def _poison(base: Path, question: Mapping[str, Any]) -> bool:
    return LocalBackend().poison(_folder(base, question["attempt"]))


def _pause(base: Path, question: Mapping[str, Any]) -> None:
    _pausing().pause(_folder(base, question["attempt"]), PauseMode(question["mode"]))


def _resume(base: Path, question: Mapping[str, Any]) -> None:
    _pausing().resume(_folder(base, question["attempt"]))


def _signal(base: Path, question: Mapping[str, Any]) -> None:
    _pausing().signal(_folder(base, question["attempt"]), str(question["name"]))


def _pausing() -> Pause:
    backend = LocalBackend()
    if not isinstance(backend, Pause):
        raise BackendError("this version cannot pause jobs")
    return backend


def _logs(base: Path, question: Mapping[str, Any]) -> str:
    limit = min(int(question["limit"]), MOST_BYTES)
    found = LocalBackend().logs(_folder(base, question["attempt"]), int(question["offset"]), limit)
    return base64.b64encode(found).decode()


def _readings(base: Path, question: Mapping[str, Any]) -> dict[str, str]:
    """The readings of an attempt, as files by name."""
    from tidewatt.backends.meters.excerpt import export  # numpy takes its time

    folder = _folder(base, question["attempt"])
    times = int(question["start_ms"]), int(question["end_ms"])
    with tempfile.TemporaryDirectory(dir=folder) as into:
        export(base / "readings", Path(into), *times, str(question["attempt_id"]))
        files = sorted(Path(into).iterdir())
        if sum(path.stat().st_size for path in files) > MOST_BYTES:
            raise BackendError(f"the readings of {question['attempt_id']} are larger than {MOST_BYTES} bytes")
        return {path.name: path.read_text() for path in files}


def _capacity(_base: Path, _question: Mapping[str, Any]) -> dict[str, Any]:
    from tidewatt.backends.host import inventory

    host = inventory()
    held = lease.holders([gpu.uuid for gpu in host.gpus])
    gpus: dict[str, int] = {}
    free: dict[str, int] = {}
    for gpu in host.gpus:
        gpus[gpu.name] = gpus.get(gpu.name, 0) + 1
        free[gpu.name] = free.get(gpu.name, 0) + (held[gpu.uuid] is None)
    idle = max(0, host.cpus - round(os.getloadavg()[0]))
    return {"gpus": gpus, "gpus_free": free, "cpus": host.cpus, "cpus_free": idle, "note": host.gpu_note}


def _plain(value: Any) -> Any:
    """Enums as their values, so that JSON can hold them."""
    match value:
        case Enum():
            return value.value
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


_VERBS: dict[str, Callable[[Path, Mapping[str, Any]], Any]] = {
    "room": _room,
    "submit": _submit,
    "status": _status,
    "stop": _stop,
    "poison": _poison,
    "pause": _pause,
    "resume": _resume,
    "signal": _signal,
    "logs": _logs,
    "readings": _readings,
    "capacity": _capacity,
}


def main() -> None:
    """Answers what stands on stdin."""
    os.umask(0o077)
    sys.stdout.write(json.dumps(answer(json.loads(sys.stdin.read()))))


if __name__ == "__main__":
    main()
