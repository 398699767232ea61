"""How a job may be paused: as it is asked for, as the store keeps it, and as planner and backend take it."""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from tidewatt.backends.backend import PauseTerms
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import Pausing
from tidewatt.scheduler.plan_schema import Message

ASSUMED_CHECKPOINT_S = 120.0  # of a job that does not say how long its checkpoints take
ASSUMED_RESTART_S = 120.0
_SIGNAL = re.compile(r"(?:SIG)?([A-Z][A-Z0-9+-]{1,15})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
Seconds = Annotated[float, Field(ge=0, le=7 * 86_400)]
Text = Annotated[str, Field(max_length=4096)]
Record = dict[str, Any]


class PausingRequest(Message):
    """That a job may be paused, and how; what is not given comes from the `preset`, else is assumed.

    By `checkpoint` it saves its work and ends, and another attempt goes on; by `stop` it only ever stands
    still and keeps its memory. The words are those of `PauseTerms` and of the columns of job files.
    """

    by: Literal["checkpoint", "stop"] = "checkpoint"
    preset: Text = ""
    signal: Text = ""
    grace_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    exit_codes: Annotated[tuple[Annotated[int, Field(ge=0, le=255)], ...], Field(max_length=64)] = ()
    file: Text = ""
    unfinished: Text = ""
    log_line: Text = ""
    folder: Text = ""
    resume_args: tuple[Text, ...] = ()
    resume_env: dict[str, Text] = Field(default_factory=dict)
    anew: bool = False
    checkpoint_s: Seconds | None = None
    restart_s: Seconds | None = None
    checkpoint_wh: Annotated[float, Field(ge=0, le=1e6)] | None = None
    restart_wh: Annotated[float, Field(ge=0, le=1e6)] | None = None
    suspended_w: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    min_stint_s: Seconds = 0.0
    max_pauses: Annotated[int, Field(ge=0, le=100_000)] | None = None
    moves: bool = False


class PauseRequest(Message):
    """A pause asked for now: `mode` "" lets the daemon choose, `for_s` ends it by itself."""

    mode: Literal["", "stop", "checkpoint"] = ""
    for_s: Annotated[float, Field(gt=0, le=366 * 86_400)] | None = None


class SignalRequest(Message):
    """A signal for a running job, as `kill -l` names it."""

    name: str


def signal_name(text: str) -> str:
    """`USR1` of `usr1`, `SIGUSR1` or `USR1`.

    Raises:
        BadInput: where there is no such signal.
    """
    import signal

    match = _SIGNAL.fullmatch(text.strip().upper())
    if match is None or f"SIG{match[1]}" not in signal.Signals.__members__:
        raise BadInput(f"there is no signal {text!r}: name one as `kill -l` does, for example USR1")
    return match[1]


def record_of(request: PausingRequest) -> Record:
    """The request in integers and strings, complete: nothing in it depends on later presets.

    Raises:
        BadInput: for an unknown preset or signal, or terms that contradict each other.
    """
    _check(request)
    terms = _terms(request)
    assumed = [name for name in ("checkpoint_s", "restart_s") if getattr(request, name) is None]
    by_stop = request.by == "stop"
    checkpoint_s, restart_s = (
        0.0 if by_stop else default if given is None else given
        for given, default in (
            (request.checkpoint_s, ASSUMED_CHECKPOINT_S),
            (request.restart_s, ASSUMED_RESTART_S),
        )
    )
    known = {
        "checkpoint_mwh": request.checkpoint_wh,
        "restart_mwh": request.restart_wh,
    }
    return {
        "by": request.by,
        "preset": request.preset,
        "terms": _terms_record(terms),
        "checkpoint_ms": round(checkpoint_s * 1000),
        "restart_ms": round(restart_s * 1000),
        "times": "assumed" if assumed and not by_stop else "yours",
        **{name: round(value * 1000) for name, value in known.items() if value is not None},
        "suspended_mw": round(request.suspended_w * 1000),
        "min_stint_ms": round(request.min_stint_s * 1000),
        **({} if request.max_pauses is None else {"max_pauses": request.max_pauses}),
        "moves": int(request.moves),
    }


def request_of(record: Mapping[str, Any] | None) -> PausingRequest | None:
    """The request of a record, for running the job again; None for a job that did not ask for pauses."""
    if not record or not record.get("by"):
        return None
    terms, by_stop = record["terms"], record["by"] == "stop"
    said = record["times"] == "yours" and not by_stop
    return PausingRequest(
        by=record["by"],
        preset=record["preset"],
        **{name: value for name, value in terms.items() if name != "grace_ms"},
        grace_s=terms["grace_ms"] / 1000,
        checkpoint_s=record["checkpoint_ms"] / 1000 if said else None,
        restart_s=record["restart_ms"] / 1000 if said else None,
        checkpoint_wh=_thousandth(record.get("checkpoint_mwh")),
        restart_wh=_thousandth(record.get("restart_mwh")),
        suspended_w=record["suspended_mw"] / 1000,
        min_stint_s=record["min_stint_ms"] / 1000,
        max_pauses=record.get("max_pauses"),
        moves=bool(record["moves"]),
    )


def pausing_of(record: Mapping[str, Any] | None) -> Pausing | None:
    """What a pause costs, as the planner takes it; None for a job that it has to leave in one piece.

    Pauses that it had already are taken off `max_pauses`. A pause by checkpoint draws nothing meanwhile.
    """
    if not record or not record.get("by"):
        return None
    most, had = record.get("max_pauses"), record.get("pauses", 0)
    return Pausing(
        checkpoint=timedelta(milliseconds=record["checkpoint_ms"]),
        restart=timedelta(milliseconds=record["restart_ms"]),
        checkpoint_wh=_thousandth(record.get("checkpoint_mwh")),
        restart_wh=_thousandth(record.get("restart_mwh")),
        suspended_w=record["suspended_mw"] / 1000 if record["by"] == "stop" else 0.0,
        min_stint=timedelta(milliseconds=record["min_stint_ms"]),
        max_pauses=None if most is None else max(0, most - had),
        moves=bool(record["moves"]) and record["by"] == "checkpoint",
    )


def terms_of(record: Mapping[str, Any] | None) -> PauseTerms | None:
    """How a checkpoint is asked for, as the backend takes it; None where there never is one."""
    if not record or record.get("by") != "checkpoint":
        return None
    terms = record["terms"]
    values: Record = {name: value for name, value in terms.items() if name != "grace_ms"}
    values |= {name: tuple(terms[name]) for name in ("exit_codes", "resume_args")}
    values["anew"] = bool(terms.get("anew"))
    return PauseTerms(**values, grace_s=terms["grace_ms"] / 1000)


def _check(request: PausingRequest) -> None:
    if request.by == "stop":
        asked = [*filter(None, (request.preset, request.file, request.log_line)), *request.exit_codes]
        if asked or request.moves:
            raise BadInput(
                "a job that is paused by stop makes no checkpoint: leave out --preset, --done-when and"
                " --moves, or let it pause by checkpoint"
            )
    bad = [name for name in request.resume_env if not _NAME.fullmatch(name)]
    if bad:
        raise BadInput(f"--resume-env {bad[0]!r} is no name of a variable: write NAME=VALUE")
    if any("\0" in text for text in (*request.resume_args, *request.resume_env.values())):
        raise BadInput("what a job is resumed with has a zero byte in it: leave that out")


def _terms(request: PausingRequest) -> PauseTerms:
    """Those of the preset, with what was given in their place."""
    base = _preset(request.preset)
    given: Record = {
        "signal": signal_name(request.signal) if request.signal else "",
        "grace_s": request.grace_s,
        **{name: getattr(request, name) for name in ("exit_codes", "file", "unfinished", "log_line")},
        **{name: getattr(request, name) for name in ("folder", "resume_args", "resume_env", "anew")},
    }
    return replace(base, **{name: value for name, value in given.items() if value})


def _preset(name: str) -> PauseTerms:
    if not name:
        return PauseTerms()
    from tidewatt.backends.presets import PRESETS

    if name not in PRESETS:
        raise BadInput(f"there is no preset {name!r} of pauses: there are {', '.join(PRESETS)}")
    found: PauseTerms = PRESETS[name]
    return found


def _terms_record(terms: PauseTerms) -> Record:
    found: Record = {each.name: getattr(terms, each.name) for each in fields(PauseTerms)}
    found["grace_ms"] = round(found.pop("grace_s") * 1000)
    found["resume_env"] = dict(terms.resume_env)
    found["anew"] = int(terms.anew)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000
