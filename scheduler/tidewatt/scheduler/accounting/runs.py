"""The attempts of a job as its events tell of them, each with what it used."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.reading import Usage
from tidewatt.scheduler.accounting.emission import rounded
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.metered import AttemptRun, Move
from tidewatt.scheduler.accounting.pairs import Efficiency
from tidewatt.scheduler.accounting.progress import Event, progress_of

_REAL = 1000  # thousandths: a clock that goes as fast as time
PROMPT_MS = 120_000  # of real time: a round of planning, a launch, a host that is slow
PROMPT_PERCENT = 1  # of the time from the first plan to the start
_NO_PLAN = frozenset({"plan void", "job.held", "job.cancelled", "job.done", "job.failed"})

Usages = Callable[[str, Sequence[str], int, int], Usage]
"""What an attempt used: its id, its GPUs, from start to end in Unix milliseconds."""


def runs_of(
    events: Sequence[Event], usages: Usages, efficiencies: Mapping[str, Efficiency] | None = None
) -> list[AttemptRun]:
    """The attempts that started and ended, from all events of one job in their order."""
    launched = {each["attempt_id"]: each for each in events if each["kind"] == "attempt.launching"}
    started = {
        each["attempt_id"]: each["payload"]
        for each in reversed(events)
        if each["kind"] == "attempt.running" and "started_ms" in each["payload"]
    }
    ended_ms = {
        each["attempt_id"]: each["payload"]["ended_ms"] for each in events if each["kind"] == "attempt.ended"
    }
    found = []
    for attempt_id, progress in progress_of(events).items():
        if attempt_id in started and attempt_id in ended_ms:
            factors = launched[attempt_id]["payload"]
            times = started[attempt_id]["started_ms"], ended_ms[attempt_id]
            gpus = started[attempt_id].get("gpu_uuids", factors["gpus"])  # elsewhere they are given at start
            found.append(
                AttemptRun(
                    attempt_id=attempt_id,
                    region=factors["region"],
                    zones=factors["zones"],
                    pue=factors["pue_micro"] / MICRO,
                    pue_source=factors["pue_source"],
                    usage=usages(attempt_id, gpus, *times),
                    progress=progress,
                    efficiency=(efficiencies or {}).get(attempt_id),
                    move=_move(factors, launched[attempt_id]["time_ms"]),
                    gpu_model=factors.get("gpu_model", ""),
                )
            )
    return found


def promised_ug(events: Iterable[Event]) -> dict[str, int]:
    """What the last plan before the first launch expected to save against starting at once, by signal.

    A job that its engine keeps is planned on after its launch: there it is the last one before its start. In
    a replay that runs faster than time, meters see real seconds where the plan counts replayed ones: then the
    promise is of the real ones, too.
    """
    plan: Mapping[str, Any] | None = None
    factor_milli = _REAL
    for event in events:
        if event["kind"] == "plan":
            plan = event["payload"]
        elif event["kind"] == "attempt.launching":
            factor_milli = event["payload"].get("replay_factor_milli", _REAL)
            if "begin_ms" not in event["payload"]:
                break
        elif event["kind"] == "attempt.running":
            break
    else:
        return {}
    told = [plan, plan.get("beside")] if plan is not None else []
    return {
        each["signal"]: rounded((each["immediate_ug"] - each["expected_ug"]) * _REAL, factor_milli)
        for each in told
        if each is not None and each.get("signal") and {"expected_ug", "immediate_ug"} <= each.keys()
    }


def overdue_ms(events: Iterable[Event], turn: datetime | None = None) -> int:
    """How long the job was past the start of the plan in force, and past its `turn`, without running.

    Summed over its starts, from all its events in their order. A start that is late by no more than a round
    of planning and a launch take, two minutes of real time and 1 % of the time since its first plan, counts
    as on time: 0.
    """
    since_ms = 0 if turn is None else time_ms(turn)
    late_ms = total_ms = 0
    first_ms: int | None = None  # when it was planned first, for the start that comes next
    due_ms: int | None = None  # from when on the plan in force is overdue
    factor_milli, runs = _REAL, False
    for event in events:
        kind, now_ms = event["kind"], event["time_ms"]
        if kind == "attempt.launching":
            factor_milli = event["payload"].get("replay_factor_milli", _REAL)
        elif kind == "attempt.ended":
            runs, late_ms, first_ms, due_ms = False, 0, None, None
        elif kind == "attempt.running" and not runs:
            started_ms = event["payload"].get("started_ms", now_ms)
            late_ms += _past_ms(due_ms, started_ms)
            waited_ms = max(0, started_ms - (started_ms if first_ms is None else first_ms))
            prompt_ms = PROMPT_MS * factor_milli // _REAL + waited_ms * PROMPT_PERCENT // 100
            total_ms += late_ms if late_ms > prompt_ms else 0
            runs, due_ms = True, None
        elif not runs and (kind == "plan" or kind in _NO_PLAN):
            late_ms += _past_ms(due_ms, now_ms)
            due_ms = None
            if kind == "plan":
                first_ms = now_ms if first_ms is None else first_ms
                due_ms = max(event["payload"]["start_ms"], now_ms, since_ms)
    return total_ms


def _past_ms(due_ms: int | None, at_ms: int) -> int:
    return 0 if due_ms is None else max(0, at_ms - due_ms)


def _move(factors: Mapping[str, Any], at_ms: int) -> Move | None:
    """The data that moved with the attempt; None where none did."""
    moved = factors.get("transfer")
    if moved is None:
        return None
    return Move(
        energy_uj=moved["energy_uj"],
        low_uj=moved["low_uj"],
        high_uj=moved["high_uj"],
        source=moved["source"],
        origin=moved["origin"],
        zones=moved["zones"],
        at_ms=at_ms,
    )
