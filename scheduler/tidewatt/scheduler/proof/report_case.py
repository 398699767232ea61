"""What a report was computed from, beside the ledger; and computing it again from the ledger's events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.report import ReportRow, report
from tidewatt.scheduler.accounting.report_schema import NotOver, Report
from tidewatt.scheduler.proof import purged
from tidewatt.scheduler.proof.chain import Event
from tidewatt.scheduler.proof.job_case import FROZEN, SETTLED
from tidewatt.scheduler.proof.lines import LABEL, WHOLE, Shown
from tidewatt.scheduler.proof.lots_check import LOTS
from tidewatt.scheduler.proof.queue_check import NEED

OWN = "own"
_ENDED = frozenset({"done", "failed", "cancelled"})
_OVER = frozenset(f"job.{state}" for state in _ENDED)
_WAITING = frozenset({"waiting", "held"})
_WHO = frozenset({"user", "project", "array"})
_ATTEMPT = Shown(None, reason=False)


@dataclass(frozen=True, slots=True)
class ReportCase:
    """What was asked for, and what the ledger does not tell: labels, by job, where it has some."""

    since_ms: int | None
    until_ms: int
    by: str
    baseline: str
    hold_out_share_ppm: int
    labels: Mapping[int, Mapping[str, str]]

    @property
    def subject(self) -> str:
        """What it is about, in words."""
        since = "the beginning" if self.since_ms is None else f"{moment(self.since_ms):%Y-%m-%d %H:%M} UTC"
        return f"from {since} to {moment(self.until_ms):%Y-%m-%d %H:%M} UTC"

    def form(self) -> dict[str, Any]:
        """Integers, strings, and lists and objects of them; `of` reads it."""
        asked = {"until_ms": self.until_ms, "by": self.by, "baseline": self.baseline}
        since = {} if self.since_ms is None else {"since_ms": self.since_ms}
        labels = {str(number): dict(labels) for number, labels in self.labels.items()}
        return {**asked, **since, "hold_out_share_ppm": self.hold_out_share_ppm, "labels": labels}

    @classmethod
    def of(cls, form: Mapping[str, Any]) -> "ReportCase":
        """The case that `form` wrote; raises KeyError, TypeError or ValueError where it is none."""
        return cls(
            form.get("since_ms"),
            form["until_ms"],
            form["by"],
            form["baseline"],
            form["hold_out_share_ppm"],
            {int(number): labels for number, labels in form["labels"].items()},
        )


@dataclass(slots=True)
class JobTold:
    """What the ledger tells of one job; `record` is its newest account, with the number of its event."""

    job_id: int
    user: str = ""
    project: str = ""
    array: int = 0
    region: str = ""
    state: str = ""
    was_waiting: bool = True
    ran: bool = False
    ended_ms: int | None = None
    told_ms: int = 0  # when the daemon saw that it had ended
    frozen: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None
    settled_seq: int = 0
    events: list[Event] = field(default_factory=list)  # before that account

    @property
    def over(self) -> bool:
        """True where it ran and has ended for good."""
        return self.ran and self.state in _ENDED and self.ended_ms is not None

    def take(self, event: Event) -> None:
        """Takes in the next event of the job."""
        kind = event["kind"]
        payload = event.get("payload", {})
        self.events.append(event)
        if kind in FROZEN or kind == "updated":
            self.frozen = payload.get("frozen", self.frozen)
            self.user, self.project = payload.get("user", self.user), payload.get("project", self.project)
            if "user" in (event.get("hidden") or {}):
                self.user = purged.NOBODY
            self.array = payload.get("array", self.array)
        elif kind == "attempt.launching":
            self.region = payload.get("region", self.region)
        elif kind == "attempt.running":
            self.ran = True
        elif kind == "attempt.ended":
            self.ended_ms, self.told_ms = payload["ended_ms"], event["time_ms"]
        elif kind.startswith("job."):
            self._move(kind.removeprefix("job."), event["time_ms"])
        elif kind.startswith(SETTLED):
            self.record, self.settled_seq = (payload or None), event["seq"]

    def _move(self, state: str, time_ms: int) -> None:
        if state in _ENDED and self.was_waiting:  # what ran had ended before
            self.ended_ms = time_ms
        self.state, self.was_waiting = state, state in _WAITING

    def row(self, labels: Mapping[str, str]) -> ReportRow:
        """The job as reports take it."""
        lot = self.frozen.get("lot", {})
        return ReportRow(
            job_id=self.job_id,
            user=self.user,
            project=self.project,
            region=self.region,
            ended=moment(self.ended_ms or 0),
            settlement=None if self.record is None else Settlement.restored(self.record, cells=False),
            labels=labels,
            array=self.array,
            arm=str(lot.get("arm", "")),
            stratum=str(lot.get("stratum", "")),
            signal=str(self.frozen.get("signal", "")),
        )


def told(events: Iterable[Event]) -> dict[int, JobTold]:
    """What the ledger tells of each job, by its number."""
    found: dict[int, JobTold] = {}
    for event in events:
        number = event["job_id"]
        if number:
            found.setdefault(number, JobTold(number)).take(event)
    return found


def counted(jobs: Mapping[int, JobTold], case: ReportCase) -> list[JobTold]:
    """Every job that ran and ended in the report's time, whatever became of its account."""
    since_ms = case.since_ms or 0
    return [
        jobs[number]
        for number in sorted(jobs)
        if jobs[number].over and (jobs[number].ended_ms or 0) >= since_ms
    ]


def not_over(events: Iterable[Event], case: ReportCase) -> NotOver:
    """How many jobs ran in the report's time and have not ended, and how many of their tries have."""
    over: set[int] = set()
    tries: dict[str, tuple[int, int | None]] = {}  # of each that ran its job and end
    for event in events:
        kind, name = event["kind"], event["attempt_id"]
        if kind in _OVER:
            over.add(event["job_id"])
        elif kind == "attempt.running":
            tries[name] = event["job_id"], None
        elif kind == "attempt.ended" and name in tries:
            tries[name] = event["job_id"], event["payload"]["ended_ms"]
        elif kind == "attempt.poisoned":
            tries.pop(name, None)
    since_ms = case.since_ms or 0
    open_tries = [
        (number, ended_ms)
        for number, ended_ms in tries.values()
        if number not in over and (ended_ms is None or ended_ms >= since_ms)
    ]
    return NotOver(
        jobs=len({number for number, _ in open_tries}),
        attempts=sum(ended_ms is not None for _, ended_ms in open_tries),
    )


def computed(jobs: Sequence[JobTold], events: Sequence[Event], case: ReportCase) -> Report:
    """The report, from what the ledger tells."""
    since_ms = case.since_ms or 0
    own = [each["payload"] for each in events if each["kind"] == OWN and each["time_ms"] >= since_ms]
    return report(
        [job.row(case.labels.get(job.job_id, {})) for job in jobs],
        None if case.since_ms is None else moment(case.since_ms),
        case.by,
        baseline=case.baseline,
        until=moment(case.until_ms),
        own=own,
        hold_out_share_ppm=case.hold_out_share_ppm,
        not_over=not_over(events, case),
    )


class Choice:
    """What a report's bundle shows: of its jobs the newest accounts whole, who and what, commands never.

    Of others it shows when they were submitted, ran and ended: so that whoever is left out can be seen.
    """

    def __init__(self, newest: Mapping[int, int]) -> None:
        """`newest` are the numbers of the events with the accounts of the report's jobs, by job."""
        self._newest = newest

    def __call__(self, event: Event) -> Shown | None:
        """How much of the event is shown."""
        kind, number = event["kind"], event["job_id"]
        if kind in (OWN, LOTS, purged.KIND):
            return WHOLE
        if kind in ("attempt.running", "attempt.ended"):
            return _ATTEMPT
        if number not in self._newest:
            return Shown(frozenset({"frozen"}), reason=False) if kind == "submitted" else LABEL
        if event["seq"] == self._newest[number]:
            return WHOLE
        if kind == "submitted":
            return Shown(frozenset({*NEED, *_WHO, "frozen"}))
        if kind in FROZEN or kind == "updated":
            return Shown(frozenset({*NEED, *_WHO, "frozen"}), reason=False)
        if kind.startswith("attempt.") or kind == "marks":
            return _ATTEMPT
        return LABEL
