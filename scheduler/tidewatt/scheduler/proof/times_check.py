"""Compares the times that events tell with each other: an outcome comes after what it is the outcome of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.proof.heads import Head
from tidewatt.scheduler.proof.job_case import FROZEN, SETTLED
from tidewatt.scheduler.proof.outcome import Outcome

APART_MS = 300_000  # clocks of daemon, meter and jobs on one host never are: then one was set
_SAME_MS = 1_000
_NOW = (
    "job.",
    SETTLED,
    "submitted",
    "released",
    "may start",
    "updated",
    "plan",
)  # told at the time they have
Events = Iterable[Mapping[str, Any]]


def check(job_id: int, events: Events, apart_ms: int) -> list[str]:
    """In what one job's times contradict each other; its events must show their payloads."""
    wrong = []
    submitted_ms: int | None = None
    ended_ms = latest_ms = 0
    for event in events:
        kind, payload, time_ms = event["kind"], event.get("payload", {}), event["time_ms"]
        latest_ms = max(latest_ms, time_ms)
        if kind == "submitted":
            submitted_ms = time_ms
        if (
            kind in FROZEN
            and "frozen" in payload
            and abs(payload["frozen"]["submitted_ms"] - time_ms) > _SAME_MS
        ):
            wrong.append(
                f"job {job_id}: its baseline is of another time than event {event['seq']} that fixed it"
            )
        # where its own time is earlier, too, somebody set the clock: that is told of the whole ledger
        seen = submitted_ms is not None and time_ms >= submitted_ms - apart_ms
        if seen and payload.get("started_ms", time_ms) < (submitted_ms or 0) - apart_ms:
            wrong.append(f"job {job_id}: it started before it was submitted")
        ended_ms = max(ended_ms, payload.get("ended_ms", 0)) if kind == "attempt.ended" else ended_ms
        if kind.startswith(SETTLED) and payload:
            settled_ms = payload["settled_at_ms"]
            if settled_ms != time_ms or (
                settled_ms < ended_ms - apart_ms and latest_ms <= time_ms + apart_ms
            ):
                wrong.append(
                    f"job {job_id}: it was settled at another time than its account says, or too early"
                )
    return wrong


def backwards(events: Events, heads: Sequence[Head], apart_ms: int, outcome: Outcome) -> None:
    """Adds where the ledger's times run backwards: somebody set the clock, or wrote other times.

    Heads are in it at their places: each was signed after what comes before it.
    """
    told = [(event["seq"], 0, event["time_ms"]) for event in events if event["kind"].startswith(_NOW)]
    told += [(head.seq, 1, head.time_ms) for head in heads]
    latest_ms, worst, where = 0, 0, 0
    for seq, _, time_ms in sorted(told):
        if latest_ms - time_ms > worst:
            worst, where = latest_ms - time_ms, seq
        latest_ms = max(latest_ms, time_ms)
    if worst > apart_ms:
        times = f"times of events and heads run backwards by {worst // 1000} s at event {where}"
        outcome.open("time", f"{times}: the clock was set, or they are not when it happened")


def vouched(own: Sequence[Mapping[str, Any]], heads: Sequence[Head], outcome: Outcome) -> None:
    """Adds from when on a signed head vouches for a submission: before that only the order of events does."""
    first = next((head for head in heads if head.seq >= own[0]["seq"]), None)
    ended = [each["seq"] for each in own if each["kind"] == "attempt.ended"]
    if first is None or not ended:
        return
    at = f"event {first.seq}, {moment(first.time_ms):%Y-%m-%d %H:%M} UTC"
    if first.seq < ended[-1]:
        outcome.holds("head", f"the submission was signed for at {at}, before the job ended")
    else:
        outcome.open("head", f"the first head signed after the submission is at {at}, after the job's end")


def vouched_for(jobs: Sequence[Sequence[Mapping[str, Any]]], heads: Sequence[Head], outcome: Outcome) -> None:
    """Adds how many jobs were submitted and ended between two heads, so that one head vouches for both."""
    late = 0
    for events in jobs:
        first = next((head.seq for head in heads if head.seq >= events[0]["seq"]), None)
        ended = [each["seq"] for each in events if each["kind"] == "attempt.ended"]
        late += bool(ended) and (first is None or first >= ended[-1])
    if late:
        outcome.open(
            "head", f"of {late} of {counted(len(jobs), 'job')} no head was signed between submission and end"
        )


def chained_late(events: Events, outcome: Outcome) -> None:
    """Adds that some events were chained afterwards, when the store was brought up to date."""
    began = [event["seq"] for event in events if event["kind"] == "chain.began"]
    if began:
        late = f"events before number {began[-1]} were chained afterwards"
        outcome.open("chain", f"{late}: nothing shows that they had not been changed")


def apart_ms(inputs: Mapping[str, Any]) -> int:
    """How far clocks may be apart; replayed time runs faster than the clocks that tell it."""
    return APART_MS * max(1, int(inputs.get("replay_factor_milli", 1000)) // 1000)
