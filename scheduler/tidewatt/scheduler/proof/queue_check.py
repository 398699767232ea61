"""Compares the queue that a job's turn was computed from with what the ledger tells of other jobs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.baseline import ReplayJob
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.jobs import ENDED
from tidewatt.scheduler.proof import purged
from tidewatt.scheduler.proof.chain import EMPTY
from tidewatt.scheduler.proof.job_case import FROZEN, JobCase
from tidewatt.scheduler.proof.lines import Chain, Shown
from tidewatt.scheduler.proof.outcome import Outcome

NEED = ("gpus", "gpu_kind", "cpus", "mem_mb")
REPLAYED_MS = 7 * 86_400_000  # the queue is replayed from so long before a job was submitted
_RUN = frozenset({"attempt.running", "attempt.ended"})
_NEEDED = frozenset({*NEED, "frozen", "started_ms", "ended_ms"})
_SLACK, _DRIFT = timedelta(minutes=1), 1.05  # between the clocks of an attempt and of its meter


def shown(event: Mapping[str, Any]) -> Shown | None:
    """What a bundle shows of another job's event: what it asked of the queue and when it ran, no more."""
    kind = event["kind"]
    if kind == purged.KIND:
        return Shown()
    if kind == "submitted":
        return Shown(frozenset({*NEED, "frozen"}))  # its reason says whether it was held
    if kind in FROZEN or kind == "updated":
        return Shown(frozenset({*NEED, "frozen"}), reason=False)
    if kind in _RUN:
        return Shown(frozenset({"started_ms", "ended_ms"}), reason=False)
    return Shown(frozenset(), reason=False)


@dataclass(slots=True)
class _Told:
    """What the ledger tells of one job."""

    need: dict[str, Any] = field(default_factory=dict)
    frozen: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    revived: bool = False  # it moved on after its end
    submitted: bool = False  # that event is in the chain, too
    started_ms: dict[str, int] = field(default_factory=dict)
    ended_ms: dict[str, int] = field(default_factory=dict)

    @property
    def ran_ms(self) -> int:
        """All running time of attempts that have ended."""
        return sum(
            self.ended_ms[attempt_id] - start_ms
            for attempt_id, start_ms in self.started_ms.items()
            if attempt_id in self.ended_ms
        )


def check(chain: Chain, case: JobCase, outcome: Outcome) -> None:
    """Adds whether the ledger tells of every job of the queue as it stands there, and none is left out."""
    told = _told(chain.events)
    wrong = [sentence for job in case.queue if (sentence := _wrong(job, told.get(job.job_id)))]
    wrong += [f"job {number} moved on after its end" for number, job in told.items() if job.revived]
    own = next((job for job in case.queue if job.job_id == case.job_id), None)
    if others := len([job for job in case.queue if job.job_id != case.job_id]):
        ran = f"how long {counted(others, 'other job')} ran is declared"
        outcome.open("queue", f"{ran}: no longer than their attempts")
    if hidden := [str(e["seq"]) for e in chain.events if _kept_back(e, case.job_id)] or chain.sealed:
        which = "" if isinstance(hidden, int) else f" {', '.join(hidden[:3])}"
        wrong.append(f"events{which} are kept back: jobs may be missing")
    if not _seen_whole(chain, case.job_id):
        wrong.append("the ledger is not shown from so long before it on: jobs may be missing")
    if own is not None:
        wrong += [f"job {number} is left out" for number in _left_out(case, own, told)]
    outcome.told(
        "queue",
        not wrong,
        f"{counted(len(case.queue), 'job')}, asked for and come as the ledger says; none left out",
        "; ".join(wrong[:5]) + (" ..." if len(wrong) > 5 else ""),
    )


def _kept_back(event: Mapping[str, Any], job_id: int) -> bool:
    """Whether another job's event does not show what the queue needs to know of it."""
    kind = event["kind"]
    if event["job_id"] in (0, job_id) or not (kind in FROZEN or kind in _RUN or kind == "updated"):
        return False
    if "payload" not in event or _NEEDED & set(event.get("hidden", ())):
        return True
    lacks = {*NEED, "frozen"} - set(event["payload"]) if kind == "submitted" else set()
    return bool(lacks) or (kind in FROZEN and "frozen" not in event["payload"])


def _seen_whole(chain: Chain, job_id: int) -> bool:
    """Whether the chain begins with the ledger, or before the time from which on the queue is replayed."""
    submitted = next((e for e in chain.events if e["job_id"] == job_id and e["kind"] == "submitted"), None)
    if chain.before == EMPTY or submitted is None:
        return chain.before == EMPTY
    return bool(chain.events[0]["time_ms"] <= submitted["time_ms"] - REPLAYED_MS)


def _told(events: Iterable[Mapping[str, Any]]) -> dict[int, _Told]:
    found: dict[int, _Told] = {}
    for event in events:
        if not event["job_id"]:
            continue
        job = found.setdefault(event["job_id"], _Told())
        kind, attempt_id = event["kind"], event["attempt_id"]
        if kind.startswith("job."):  # a label tells it, too
            job.revived |= job.state in ENDED
            job.state = kind.removeprefix("job.")
        if "payload" not in event:
            continue
        payload = event["payload"]
        if kind in FROZEN or kind == "updated":
            job.need |= {name: payload[name] for name in NEED if name in payload}
            job.frozen = payload.get("frozen", job.frozen)
            job.submitted = job.submitted or kind == "submitted"
            job.state = "held" if kind == "submitted" and event["reason"] == "held" else job.state
        elif kind == "attempt.running" and "started_ms" in payload:
            job.started_ms.setdefault(attempt_id, payload["started_ms"])
        elif kind == "attempt.ended" and "ended_ms" in payload:
            job.ended_ms[attempt_id] = payload["ended_ms"]
    return found


def _wrong(job: ReplayJob, told: _Told | None) -> str:
    """In what a job of the queue is not what the ledger tells of it; "" where it is."""
    if told is None or not told.frozen:
        return f"the ledger does not tell of job {job.job_id}"
    need = {name: getattr(job.need, name) for name in NEED}
    if need != told.need:
        return f"job {job.job_id} asked for something else"
    if job.submitted != moment(told.frozen["submitted_ms"]):
        return f"job {job.job_id} came at another time"
    if job.ended and told.started_ms and job.duration > timedelta(milliseconds=told.ran_ms) * _DRIFT + _SLACK:
        return f"job {job.job_id} did not run so long"
    return ""


def _left_out(case: JobCase, own: ReplayJob, told: Mapping[int, _Told]) -> Iterable[int]:
    """Jobs that came before ours to the same home and asked something of it, but are not in the queue."""
    home = told[own.job_id].frozen.get("home") if own.job_id in told else None
    there = {job.job_id for job in case.queue}
    turn = own.submitted, own.job_id
    for number, job in told.items():
        if number in there or not job.submitted or job.frozen.get("home") != home:
            continue
        asked = job.started_ms or job.state not in ("held", "cancelled")
        if asked and (moment(job.frozen["submitted_ms"]), number) < turn:
            yield number
