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
    if shared:  # what it goes on from is found here
        before = None if launch.resumes is None else checkpoint.read(launch.resumes)
        previous = None if before is None or before.good is None else asdict(before.good)
    else:
        previous = None
    clock, pausing = launch.clock, launch.pausing
    limit_s = None if launch.time_limit_s is None else launch.time_limit_s / clock.factor
    kept = launch.environment_file if shared else None
    return {
        "attempt": launch.attempt_id,
        "argv": list(launch.argv),
        "variables": _variables(launch, shared) | dict(sent or {}),
        "limit_s": limit_s,
        "grace_s": launch.grace_s,
        "clock": asdict(clock),
        "pause": None if pausing is None else {name: asdict(pausing)[name] for name in _TERMS},
        "resume_args": [] if pausing is None else list(pausing.resume_args),
        "resume_env": {"TIDEWATT_RESUME": "1"} | ({} if pausing is None else dict(pausing.resume_env)),
        "storage": storage,
        "restore": list(restore),
        "previous": previous,
        "told_all": told_all,
        "meter": list(meter),
        "folder": str(launch.folder) if shared else "",
        "cwd": str(launch.snapshot or launch.cwd) if shared else "",
        "stdout": str(launch.cwd / launch.stdout) if shared else "",
        "stderr": str(launch.cwd / launch.stderr) if shared else "",
        "umask": launch.umask if shared else None,
        "environment_file": None if kept is None else str(kept),
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
