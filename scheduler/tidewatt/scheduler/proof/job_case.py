"""What a job's account stands on beside its events, readings and intensity; and computing it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting.baseline import ReplayJob, first_feasible, predecessors_ended
from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.pairs import Efficiency
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.runs import Usages, overdue_ms, promised_ug, runs_of
from tidewatt.scheduler.accounting.settlement import Observations, settle
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.proof.chain import Event

SETTLED = "settlement."
FROZEN = frozenset({"submitted", "released", "may start"})  # kinds of event that tell the baseline's inputs


@dataclass(frozen=True, slots=True)
class JobCase:
    """The queue of the home region up to the job's own turn, and what settings and other jobs contributed.

    `idle_mw` are the idle draws that were used: by attempt, then device. `efficiencies` are by attempt.
    """

    job_id: int
    key: str
    queue: tuple[ReplayJob, ...]
    efficiencies: Mapping[str, Efficiency]
    idle_mw: Mapping[str, Mapping[str, int]]
    final_after_ms: int
    unverified_after_ms: int

    def form(self) -> dict[str, Any]:
        """Integers, strings, and lists and objects of them; `of` reads it."""
        return {
            "job_id": self.job_id,
            "key": self.key,
            "queue": [_row(each) for each in self.queue],
            "efficiencies": {attempt_id: each.record() for attempt_id, each in self.efficiencies.items()},
            "idle_mw": {attempt_id: dict(draws) for attempt_id, draws in self.idle_mw.items()},
            "final_after_ms": self.final_after_ms,
            "unverified_after_ms": self.unverified_after_ms,
        }

    @classmethod
    def of(cls, form: Mapping[str, Any]) -> "JobCase":
        """The case that `form` wrote; raises KeyError, TypeError or ValueError where it is none."""
        return cls(
            form["job_id"],
            form["key"],
            tuple(_replayed(row) for row in form["queue"]),
            {attempt_id: Efficiency.restored(each) for attempt_id, each in form["efficiencies"].items()},
            form["idle_mw"],
            form["final_after_ms"],
            form["unverified_after_ms"],
        )


def up_to(queue: Sequence[ReplayJob], job_id: int) -> tuple[ReplayJob, ...]:
    """The queue up to a job's own turn, in its order: nobody after it moves it."""
    turns = sorted(queue, key=lambda job: (job.submitted, job.job_id))
    place = next((number for number, job in enumerate(turns) if job.job_id == job_id), len(turns) - 1)
    return tuple(turns[: place + 1])


def frozen_of(events: Sequence[Event]) -> Mapping[str, Any]:
    """The baseline's inputs as they were fixed last, from the events of one job."""
    told = [
        each["payload"]["frozen"] for each in events if each["kind"] in FROZEN and "frozen" in each["payload"]
    ]
    if not told:
        raise ValueError("no event tells what its baseline was fixed on")
    found: Mapping[str, Any] = told[-1]
    return found


def feasible_start(case: JobCase, frozen: Frozen) -> datetime | None:
    """The job's start had nobody waited for clean power."""
    return first_feasible(case.queue, frozen.region()).get(case.job_id)


def account(
    case: JobCase, events: Sequence[Event], usages: Usages, observations: Observations, settled_ms: int
) -> Settlement:
    """The job's account, computed again from its events before the account, as of when it was settled."""
    frozen = Frozen.restored(frozen_of(events))
    turn = feasible_start(case, frozen)
    return settle(
        frozen,
        runs_of(events, usages, case.efficiencies),
        turn,
        observations,
        moment(settled_ms),
        timedelta(milliseconds=case.final_after_ms),
        timedelta(milliseconds=case.unverified_after_ms),
        predecessors_ended=predecessors_ended(case.queue, case.job_id),
        forecast_saved_ug=promised_ug(events),
        overdue_ms=overdue_ms(events, turn),
    )


def _row(job: ReplayJob) -> dict[str, Any]:
    need = job.need
    return {
        "job_id": job.job_id,
        "turn_ms": time_ms(job.submitted),
        "duration_ms": job.duration // timedelta(milliseconds=1),
        "gpus": need.gpus,
        "gpu_kind": need.gpu_kind,
        "cpus": need.cpus,
        "mem_mb": need.mem_mb,
        "ended": int(job.ended),
    }


def _replayed(row: Mapping[str, Any]) -> ReplayJob:
    need = Need(row["gpus"], row["gpu_kind"], row["cpus"], row["mem_mb"])
    duration = timedelta(milliseconds=row["duration_ms"])
    return ReplayJob(row["job_id"], moment(row["turn_ms"]), duration, need, bool(row["ended"]))
