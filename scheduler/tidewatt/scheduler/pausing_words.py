"""How flags, `./tidewatt.toml` and projects spell pauses, as the fields of a PausingRequest."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration

Fields = dict[str, Any]
NAMES = (
    *("pausable", "pause_by", "preset", "pause_signal", "pause_grace", "checkpoint_dir", "done_when"),
    *("resume_arg", "resume_env", "anew", "checkpoint_time", "restart_time", "checkpoint_wh", "restart_wh"),
    *("suspended_w", "min_stint", "max_pauses", "moves"),
)
_SECONDS = {
    "pause_grace": "grace_s",
    "checkpoint_time": "checkpoint_s",
    "restart_time": "restart_s",
    "min_stint": "min_stint_s",
}
_PLAIN = {
    "preset": "preset",
    "pause_signal": "signal",
    "checkpoint_dir": "folder",
    "checkpoint_wh": "checkpoint_wh",
    "restart_wh": "restart_wh",
    "suspended_w": "suspended_w",
    "max_pauses": "max_pauses",
    "moves": "moves",
    "anew": "anew",
}
_ZERO = re.compile(r"\s*0\s*[smhd]?\s*")
_DONE = "exit:85, file:GLOB, unfinished:GLOB or log:LINE"


def pausing_fields(said: Mapping[str, Any]) -> Fields | None:
    """What was said about pauses, by `NAMES`; None where nothing was, or `pausable` is False.

    Naming any of them is enough for a job to be pausable.

    Raises:
        BadInput: for a word that cannot be read.
    """
    known = {name: said[name] for name in NAMES if said.get(name) is not None}
    if known.pop("pausable", True) is False:
        if known:
            raise BadInput(f"--no-pausable says that it runs in one piece: leave out {_flag(min(known))}")
        return None
    if not known and not said.get("pausable"):
        return None
    found: Fields = {}
    for name, value in known.items():
        if name in _SECONDS:
            found[_SECONDS[name]] = _seconds(value, _flag(name))
        elif name in _PLAIN:
            found[_PLAIN[name]] = value
    if by := known.get("pause_by"):
        if by not in ("checkpoint", "stop"):
            raise BadInput(f"--pause-by is checkpoint or stop, not {by!r}")
        found["by"] = by
    found |= _done_when(_list(known.get("done_when")))
    if arguments := _list(known.get("resume_arg")):
        found["resume_args"] = arguments
    if pairs := _list(known.get("resume_env")):
        found["resume_env"] = dict(_pair(each) for each in pairs)
    return found


def _done_when(words: Sequence[str]) -> Fields:
    """How a whole checkpoint is known."""
    found: Fields = {}
    for word in words:
        kind, _, rest = word.partition(":")
        if not rest or kind not in ("exit", "file", "unfinished", "log"):
            raise BadInput(f"--done-when {word!r} cannot be read: write {_DONE}")
        if kind == "exit":
            codes = [code.strip() for code in rest.split(",")]
            if not all(code.isdecimal() and int(code) < 256 for code in codes):
                raise BadInput(f"--done-when {word!r} names no exit codes: write for example exit:85")
            found["exit_codes"] = [*found.get("exit_codes", ()), *map(int, codes)]
        else:
            found["log_line" if kind == "log" else kind] = rest
    return found


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise BadInput(f"--resume-env {text!r} cannot be read: write NAME=VALUE")
    return name, value


def _seconds(value: Any, flag: str) -> float:
    if isinstance(value, str) and _ZERO.fullmatch(value):
        return 0.0
    return parse_duration(str(value), flag).total_seconds()


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(each) for each in value]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
