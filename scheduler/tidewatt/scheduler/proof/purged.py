"""What was purged from events: named by a later event of the same chain, with who and when, or not believed.

Of an event only names, commands, paths, labels and sentences can be purged, never when it happened, what it
was, of which job, or anything that a number is made from. What is purged leaves its digest, so that the chain
over all events still holds. Whoever can guess what a digest stands for can find out that they guessed right.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.proof.canonical import digest
from tidewatt.scheduler.proof.outcome import Outcome

KIND = "purged"
REASON = ""  # the name under which the digest of a reason stands
NOBODY = "purged"  # who a purged job was of
NAMES = frozenset({"user", "name", "argv", "labels", "notify", "commit", "source_digest"})
PATHS = frozenset({"cwd", "stdout", "stderr", "path", "from", "to"})
WORDS = frozenset({"reason", "note"})
PURGEABLE = NAMES | PATHS | WORDS | {REASON}

MOST_JOBS = 1_000_000  # that one purge may name

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Purge:
    """One purge, as its event tells of it: of events before number `seq`, of jobs and of single events."""

    seq: int
    time_ms: int
    user: str
    jobs: tuple[tuple[int, int], ...]  # first and last number of each stretch
    events: frozenset[int]

    @classmethod
    def of(cls, event: Event) -> "Purge":
        """The purge that an event tells of; raises LookupError, TypeError or ValueError where it does not."""
        payload = event["payload"]
        jobs = tuple((int(first), int(last)) for first, last in payload["jobs"])
        return cls(
            event["seq"], event["time_ms"], str(payload["user"]), jobs, frozenset(payload["events"])
        )  # fmt: skip

    def __str__(self) -> str:
        """Returns for example `by root on 2026-11-22 21:50 UTC (event 99)`."""
        return f"by {self.user} on {moment(self.time_ms):%Y-%m-%d %H:%M} UTC (event {self.seq})"


class Answers:
    """Who answers for words that an event lacks: looked up, since there may be very many of both."""

    def __init__(self, known: Iterable[Purge]) -> None:
        self._by_event: dict[int, Purge] = {}
        self._by_job: dict[int, Purge] = {}
        for each in sorted(known, key=lambda purge: purge.seq):
            self._by_event |= dict.fromkeys(each.events, each)
            if sum(last - first for first, last in each.jobs) <= MOST_JOBS:  # or it names more than there are
                numbers = chain.from_iterable(range(first, last + 1) for first, last in each.jobs)
                self._by_job |= dict.fromkeys(numbers, each)

    def of(self, event: Event) -> Purge | None:
        """The newest purge that names this event, which came before it; None where there is none."""
        found = (self._by_event.get(event["seq"]), self._by_job.get(event["job_id"] or 0))
        later = [each for each in found if each is not None and each.seq > event["seq"]]
        return max(later, key=lambda purge: purge.seq, default=None)


def purges(events: Iterable[Event]) -> list[Purge]:
    """All purges that these events tell of whole; of others `wrong` tells."""
    found = []
    for event in events:
        if event["kind"] == KIND:
            with suppress(LookupError, TypeError, ValueError):
                found.append(Purge.of(event))
    return found


def purge(event: Event, fields: frozenset[str]) -> dict[str, Any]:
    """The payload, reason and digests of an event without what is purged; {} where it has none of that."""
    payload, before = event["payload"], event.get("hidden") or {}
    known = {name: payload[name] for name in sorted(fields & set(payload))}
    gone = {name: digest(value) for name, value in known.items() if value not in ("", [], {})}
    if REASON in fields and event["reason"] and event["kind"] != "submitted":  # that says whether it was held
        gone[REASON] = digest(event["reason"])
    if not gone:
        return {}
    return {
        "payload": {name: value for name, value in payload.items() if name not in gone},
        "reason": "" if REASON in gone else event["reason"],
        "hidden": {**before, **gone},
    }


def wrong(events: Sequence[Event], answers: Answers) -> list[str]:
    """Of events that lack something, those for which that is no purge that anybody answers for."""
    found = []
    for event in events:
        hidden = event.get("hidden") or {}
        if not hidden:
            continue
        if odd := sorted(set(hidden) - PURGEABLE):
            found.append(f"event {event['seq']} lacks {odd[0]!r}, which is never purged")
        elif event["kind"] == KIND:
            found.append(f"event {event['seq']}, which tells of a purge, is not whole")
        elif answers.of(event) is None:
            found.append(f"event {event['seq']} is not whole, and no later event says who purged it")
    return found


def check(own: Sequence[Event], known: Sequence[Purge], outcome: Outcome) -> None:
    """Tells what of these events was purged, by whom and when; raises ValueError where nobody says so."""
    answers = Answers(known)
    if faults := wrong(own, answers):
        raise ValueError(f"an event of the job is not shown whole: {faults[0]}")
    lacking = [each for each in own if each.get("hidden")]
    if not lacking:
        return
    by = dict.fromkeys(map(str, filter(None, map(answers.of, lacking))))
    outcome.open(
        "purged",
        f"names, commands, paths or sentences of {counted(len(lacking), 'event')} were purged"
        f" {'; '.join(by)}: they cannot be seen any more; times, accounts and all numbers are there",
    )


def told(known: Sequence[Purge], outcome: Outcome) -> None:
    """Tells of purges in the whole ledger."""
    if known:
        who = "; ".join(str(each) for each in known[:3]) + (" ..." if len(known) > 3 else "")
        outcome.open("purged", f"who had submitted some of the jobs was purged {who}")


def stretches(numbers: Iterable[int]) -> list[list[int]]:
    """The numbers as first and last of each stretch without a gap."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
