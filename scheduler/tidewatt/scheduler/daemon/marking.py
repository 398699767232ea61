"""What a training script told of its work, as one event of its attempt."""

from collections.abc import Mapping
from typing import Any

import structlog

from tidewatt.backends import marks
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.clock import Clock
from tidewatt.backends.marks import NOT_SAID, Marks
from tidewatt.scheduler.daemon.launching import attempt_folder
from tidewatt.scheduler.daemon.ownership import acting
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.store.records import AttemptRecord

log = structlog.get_logger()
GREATEST = 2**53 - 1  # what every reader of JSON keeps exactly


def told(paths: Paths, clock: Clock, attempt: AttemptRecord, start_ms: int, end_ms: int) -> dict[str, Any]:
    """The payload of the event, {} where nothing was told; trouble with the files never keeps a job open."""
    try:
        with acting(paths.job(attempt.job_id), paths):
            found = marks.read(Attempt(attempt_folder(paths, attempt)).marks, clock, start_ms, end_ms)
    except Exception:  # a job may have written anything there
        log.exception("marks.unreadable", attempt=attempt.id)
        return {}
    return payload(found)


def payload(found: Marks) -> dict[str, Any]:
    """The marks in integers and strings; what nobody said is left out."""
    return {
        **({"phases": [list(phase) for phase in found.phases]} if found.phases else {}),
        **({"checkpoints": [list(each) for each in found.checkpoints]} if found.checkpoints else {}),
        **({} if found.resumed_step is None else {"resumed_step": found.resumed_step}),
        **({"counts": _exact(found.counts)} if found.counts else {}),
        **({"kept": _exact(found.kept)} if found.kept else {}),
        **({"processes_left_out": found.processes_left_out} if found.processes_left_out else {}),
    }


def in_words(told: Mapping[str, Any]) -> str:
    """The event for a history: `2 phases, 1 checkpoint, 200 steps, went on from step 100`."""
    lengths = {word: len(told.get(f"{word}s", ())) for word in ("phase", "checkpoint")}
    parts = [f"{number} {word}{'s' * (number > 1)}" for word, number in lengths.items() if number]
    counts = [(int(number), kind) for kind, number in told.get("counts", {}).items()]
    parts += [f"{number:,} {kind.removesuffix('s') if number == 1 else kind}" for number, kind in counts]
    step = told.get("resumed_step")
    if step is not None:
        parts.append("went on from a checkpoint" if step == NOT_SAID else f"went on from step {step:,}")
    if left_out := told.get("processes_left_out"):
        parts.append(f"{left_out} processes too many to be read, so no counts")
    return ", ".join(parts)


def _exact(counts: Mapping[str, int]) -> dict[str, int | str]:
    return {kind: number if number <= GREATEST else str(number) for kind, number in counts.items()}
