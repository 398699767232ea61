"""What an escort is told of the attempt that it goes with, and how it is brought there."""

import ast
import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from tidewatt.backends import checkpoint
from tidewatt.backends.attempt import MARKS, Attempt
from tidewatt.backends.backend import Launch
from tidewatt.backends.processes import MARK

_TERMS = ("signal", "grace_s", "exit_codes", "file", "unfinished", "log_line", "folder")


def order(
    launch: Launch,
    shared: bool,
    storage: str = "",
    restore: Sequence[str] = (),
    told_all: bool = False,
    meter: Sequence[str] = (),
    sent: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The order of an attempt.

    Args:
        launch: The attempt.
        shared: Whether its folder, and the job's, are seen there under the same names.
        storage: Object storage for its claim and its checkpoint, `s3://bucket/prefix/`.
        restore: Where earlier checkpoints of its job lie, newest first.
        told_all: Whether the engine's SIGTERM reaches the job itself, too.
        meter: The command of our own meter there.
        sent: Environment values that may be seen by whoever looks at the engine's jobs.
    """
    limit_s = None if launch.time_limit_s is None else launch.time_limit_s / launch.clock.factor
    return {
        "attempt": launch.attempt_id,
        "argv": list(launch.argv),
        "variables": _variables(launch, shared) | dict(sent or {}),
        "limit_s": limit_s,
        "grace_s": launch.grace_s,
        "clock": asdict(launch.clock),
        "storage": storage,
        "restore": list(restore),
        "told_all": told_all,
        "meter": list(meter),
        **_pauses(launch),
        **_files(launch, shared),
    }


def _pauses(launch: Launch) -> dict[str, Any]:
    """How it is asked for a checkpoint, and what it gets when it goes on."""
    pausing, resuming = launch.pausing, {"TIDEWATT_RESUME": "1"}
    if pausing is None:
        return {"pause": None, "resume_args": [], "resume_env": resuming}
    terms = asdict(pausing)
    return {
        "pause": {name: terms[name] for name in _TERMS},
        "resume_args": list(pausing.resume_args),
        "resume_env": resuming | dict(pausing.resume_env),
    }


def _files(launch: Launch, shared: bool) -> dict[str, Any]:
    """Where its files are, if they are seen there: what it goes on from, too."""
    if not shared:
        nothing = dict.fromkeys(("folder", "cwd", "stdout", "stderr"), "")
        return {**nothing, "umask": None, "environment_file": None, "previous": None}
    before = None if launch.resumes is None else checkpoint.read(launch.resumes)
    kept = launch.environment_file
    return {
        "folder": str(launch.folder),
        "cwd": str(launch.snapshot or launch.cwd),
        "stdout": str(launch.cwd / launch.stdout),
        "stderr": str(launch.cwd / launch.stderr),
        "umask": launch.umask,
        "environment_file": None if kept is None else str(kept),
        "previous": None if before is None or before.good is None else asdict(before.good),
    }


def _variables(launch: Launch, shared: bool) -> dict[str, str]:
    folder = "" if launch.pausing is None else launch.pausing.folder
    base = launch.snapshot or launch.cwd
    values = {
        "TIDEWATT_JOB_ID": launch.attempt_id.partition(".")[0],
        "TIDEWATT_ATTEMPT": launch.attempt_id,
        "TIDEWATT_REGION": launch.region,
    }
    if folder and not shared:
        values["TIDEWATT_CHECKPOINT_DIR"] = folder
    if shared:
        values |= {"PWD": str(base), MARK: str(launch.folder), MARKS: str(Attempt(launch.folder).marks)}
    return dict(launch.variables) | values


def source() -> Path:
    """The escort's own file."""
    return Path(__file__).with_name("escort.py")


@cache
def inline() -> str:
    """The escort as one argument after `python3 -c`, small enough for engines that count characters.

    Docstrings and annotations are left out, and the rest is packed.
    """
    tree = ast.parse(source().read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
            node.body = node.body[1:]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in (*node.args.args, *filter(None, [node.args.vararg])):
                argument.annotation = None
    packed = base64.b64encode(zlib.compress(ast.unparse(tree).encode(), 9)).decode()
    return f"import base64,zlib;exec(zlib.decompress(base64.b64decode('{packed}')))"
