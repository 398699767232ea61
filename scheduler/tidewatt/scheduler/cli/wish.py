"""What a person asks for with flags and `./tidewatt.toml`, as the request that the daemon takes."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tidewatt.scheduler.cli.wording import (
    cpus_of,
    data_of,
    gpus_of,
    kind_of,
    labels_of,
    memory_of,
    priority_of,
)
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.pausing_words import NAMES, pausing_fields
from tidewatt.scheduler.place import near, placed
from tidewatt.scheduler.when import parse_duration, parse_moment, parse_time_limit

DEFAULTS_FILE = "tidewatt.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Flags as they were typed, None where not given; named as flags and `./tidewatt.toml` name them."""

    finish_by: str | None = None
    start_by: str | None = None
    duration: str | None = None
    time: str | None = None
    gpus: str | int | None = None
    cpus: int | None = None
    mem: str | int | None = None
    region: Sequence[str] | None = None
    exclude_region: Sequence[str] | None = None
    project: str | None = None
    label: Sequence[str] | None = None
    env: Sequence[str] | None = None
    no_env: bool | None = None
    snapshot: bool | None = None
    notify: str | None = None
    gpu_kind: Sequence[str] | None = None
    priority: int | None = None
    retries: int | None = None
    data: str | None = None
    pausable: bool | None = None
    pause_by: str | None = None
    preset: str | None = None
    pause_signal: str | None = None
    pause_grace: str | None = None
    checkpoint_dir: str | None = None
    done_when: Sequence[str] | None = None
    resume_arg: Sequence[str] | None = None
    resume_env: Sequence[str] | None = None
    anew: bool | None = None
    checkpoint_time: str | None = None
    restart_time: str | None = None
    checkpoint_wh: float | None = None
    restart_wh: float | None = None
    suspended_w: float | None = None
    min_stint: str | None = None
    max_pauses: int | None = None
    moves: bool | None = None

    def over(self, defaults: "Wish") -> "Wish":
        """This wish, with the defaults where it says nothing; --no-env is a word on all the environment."""
        if self.no_env and self.env is None:
            defaults = replace(defaults, env=None)
        return Wish(
            **{
                each.name: getattr(defaults, each.name) if value is None else value
                for each in fields(self)
                for value in (getattr(self, each.name),)
            }
        )


_VARIABLES = ("finish_by", "start_by", "duration", "time", "gpus", "mem", "project", "data")
_TYPES: dict[str, tuple[type, ...]] = {
    "gpus": (str, int),
    "mem": (str, int),
    **dict.fromkeys(("cpus", "priority", "retries", "max_pauses"), (int,)),
    **dict.fromkeys(("no_env", "snapshot", "pausable", "moves", "anew"), (bool,)),
    **dict.fromkeys(("region", "exclude_region", "label", "env", "gpu_kind"), (list,)),
    **dict.fromkeys(("done_when", "resume_arg", "resume_env"), (list,)),
    **dict.fromkeys(("checkpoint_wh", "restart_wh", "suspended_w"), (float, int)),
}


def defaults(folder: Path, environ: Mapping[str, str], script: Wish | None = None) -> Wish:
    """The defaults of submit: `TIDEWATT_PROJECT` and the like, over a script's, over `./tidewatt.toml`.

    Raises:
        BadInput: for an unknown key or a wrong type, with file and line.
    """
    texts: dict[str, Any] = {key: environ.get(f"TIDEWATT_{key.upper()}") for key in _VARIABLES}
    return Wish(**texts).over((script or Wish()).over(_from_file(folder)))


def _from_file(folder: Path) -> Wish:
    path = folder / DEFAULTS_FILE
    if not path.is_file():
        return Wish()
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as TOML: {error}") from None
    known = [each.name for each in fields(Wish)]
    for key, value in values.items():
        where = placed(str(path), text, (key,))
        if key not in known:
            hint = near(key, known)
            raise BadInput(
                f"{where}: {key} is no default of submit{hint} (settings belong in the user's file)"
            )
        wanted = _TYPES.get(key, (str,))
        strings = not isinstance(value, list) or all(isinstance(item, str) for item in value)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted) or not strings:
            words = " or ".join(
                {str: "text", int: "a number", float: "a number", list: "a list of texts"}.get(
                    t, "true or false"
                )
                for t in wanted
            )
            raise BadInput(f"{where}: {key} must be {words}, it is {value!r}")
    return Wish(**values)


def plan_request(wish: Wish, now: Callable[[], datetime]) -> Json:
    """The PlanRequest of a wish; `now` is asked only where a time is given."""
    request: dict[str, Any] = {
        "regions": list(wish.region or ()),
        "exclude_regions": list(wish.exclude_region or ()),
        **times(wish, now),
    }
    if wish.gpus is not None:
        request["gpus"], request["gpu_kind"] = gpus_of(wish.gpus)
    if wish.gpu_kind:
        request |= _kinds_request(wish.gpu_kind, request)
    if wish.priority is not None:
        request["priority"] = priority_of(wish.priority)
    if wish.project:
        request["project"] = wish.project
    if wish.label:
        request["labels"] = labels_of(wish.label)
    if wish.data is not None:
        request["data_gb"] = data_of(wish.data)
    if wish.cpus is not None:
        request["cpus"] = cpus_of(wish.cpus)
    if wish.mem is not None:
        request["mem_mb"] = memory_of(str(wish.mem))
    if (pausing := pausing_fields({name: getattr(wish, name) for name in NAMES})) is not None:
        request["pausing"] = pausing
    return request


def times(wish: Wish, now: Callable[[], datetime]) -> Json:
    """Duration, limit, deadline and latest start, where they were given."""
    request: dict[str, Any] = {}
    if wish.duration is not None:
        request["duration_s"] = parse_duration(wish.duration).total_seconds()
    if wish.time is not None:
        request["time_limit_s"] = parse_time_limit(wish.time).total_seconds()
    for key, text in (("finish_by", wish.finish_by), ("start_by", wish.start_by)):
        if text is not None:
            what = f"--{key.replace('_', '-')}"
            request[key] = parse_moment(text, now(), what=what).isoformat()
    return request


def _kinds_request(kinds: Sequence[str], request: Json) -> Json:
    """The acceptable kinds, and one GPU where no number was given."""
    if request.get("gpu_kind"):
        raise BadInput(
            f"--gpus names the kind {request['gpu_kind']!r} already: give only their number there,"
            " and each acceptable kind with --gpu-kind"
        )
    return {"kinds": [kind_of(kind) for kind in kinds], "gpus": request.get("gpus", 1) or 1}


def folder_of(text: str | None, current: Path) -> Path:
    """The job's folder, absolute.

    Raises:
        BadInput: where it does not exist.
    """
    folder = current / Path(text).expanduser() if text else current
    if not folder.is_dir():
        raise BadInput(f"the folder {folder} does not exist: choose another with --chdir")
    return folder


def file_of(text: str | None, folder: Path) -> str:
    """An output file as an absolute path, "" where none was given.

    `%j` stands for the job's number, `%a` for that of its task.

    Raises:
        BadInput: where its folder does not exist, or it is a folder itself.
    """
    if not text:
        return ""
    path = folder / Path(text).expanduser()
    spelt = any(sign in str(path.parent) for sign in ("%j", "%a"))
    if path.is_dir() or (not spelt and not path.parent.is_dir()):
        raise BadInput(
            f"output cannot go to {path}: it is a folder, or the folder it would lie in does not exist"
        )
    return str(path)


def check_command(argv: Sequence[str], folder: Path, path: str) -> None:
    """Refuses a command that is not there, now rather than when its window has come.

    Raises:
        BadInput: where it is neither in `path` nor, with a slash in its name, in the job's folder.
    """
    name = argv[0]
    found = shutil.which(str(folder / name)) if "/" in name else shutil.which(name, path=path)
    if found is None:
        place = f"in {folder}" if "/" in name else "in PATH"
        raise BadInput(f"the command {name!r} does not exist {place}, or may not be executed: check its name")
    script = argv[1] if len(argv) > 1 else ""
    if Path(name).name.startswith("python") and script.endswith(".py") and not (folder / script).is_file():
        raise BadInput(f"the script {script} does not exist in {folder}: check its name, or give --chdir")
