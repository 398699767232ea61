"""The attempts of a job as its events tell of them, each with what it used."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tidewatt.backends.meters.reading import Usage
from tidewatt.scheduler.accounting.emission import rounded
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.metered import AttemptRun, Move
from tidewatt.scheduler.accounting.pairs import Efficiency
from tidewatt.scheduler.accounting.progress import Event, progress_of

_REAL = 1000  # thousandths: a clock that goes as fast as time

Usages = Callable[[str, Sequence[str], int, int], Usage]
"""What an attempt used: its id, its GPUs, from start to end in Unix milliseconds."""


def runs_of(
    events: Sequence[Event], usages: Usages, efficiencies: Mapping[str, Efficiency] | None = None
) -> list[AttemptRun]:
    """The attempts that started and ended, from all events of one job in their order."""
    launched = {each["attempt_id"]: each for each in events if each["kind"] == "attempt.launching"}
    started_ms = {
        each["attempt_id"]: each["payload"]["started_ms"]
        for each in reversed(events)
        if each["kind"] == "attempt.running" and "started_ms" in each["payload"]
    }
    ended_ms = {
        each["attempt_id"]: each["payload"]["ended_ms"] for each in events if each["kind"] == "attempt.ended"
    }
    found = []
    for attempt_id, progress in progress_of(events).items():
        if attempt_id in started_ms and attempt_id in ended_ms:
            factors = launched[attempt_id]["payload"]
            times = started_ms[attempt_id], ended_ms[attempt_id]
            found.append(
                AttemptRun(
                    attempt_id=attempt_id,
                    region=factors["region"],
                    zones=factors["zones"],
                    pue=factors["pue_micro"] / MICRO,
                    pue_source=factors["pue_source"],
                    usage=usages(attempt_id, factors["gpus"], *times),
                    progress=progress,
                    efficiency=(efficiencies or {}).get(attempt_id),
                    move=_move(factors, launched[attempt_id]["time_ms"]),
                    gpu_model=factors.get("gpu_model", ""),
                )
            )
    return found


def promised_ug(events: Iterable[Event]) -> dict[str, int]:
    """What the last plan before the first launch expected to save against starting at once, by signal.

    In a replay that runs faster than time, meters see real seconds where the plan counts replayed ones: then
    the promise is of the real ones, too.
    """
    plan: Mapping[str, Any] | None = None
    factor_milli = _REAL
    for event in events:
        if event["kind"] == "plan":
            plan = event["payload"]
        elif event["kind"] == "attempt.launching":
            factor_milli = event["payload"].get("replay_factor_milli", _REAL)
            break
    else:
        return {}
    told = [plan, plan.get("beside")] if plan is not None else []
    return {
        each["signal"]: rounded((each["immediate_ug"] - each["expected_ug"]) * _REAL, factor_milli)
        for each in told
        if each is not None and each.get("signal") and {"expected_ug", "immediate_ug"} <= each.keys()
    }


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
