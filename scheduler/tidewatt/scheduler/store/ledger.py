"""Examines the whole ledger of a store at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.proof import heads, purged
from tidewatt.scheduler.proof.canonical import canonical
from tidewatt.scheduler.proof.chain import EMPTY, ChainBroken, follow
from tidewatt.scheduler.proof.job_case import FROZEN
from tidewatt.scheduler.proof.keys import VerifyingKey
from tidewatt.scheduler.proof.purged import Purge
from tidewatt.scheduler.store.records import JobRecord
from tidewatt.scheduler.store.store import Store

AT_ONCE = 5000
ACCOUNTS = frozenset(f"settlement.{state}" for state in SettlementState)


@dataclass(frozen=True, slots=True)
class Examined:
    """How many events and signed heads there are, and in sentences what is wrong with them."""

    events: int
    heads: int
    wrong: tuple[str, ...]
    purges: tuple[Purge, ...] = ()


def examined(store: Store, path: Path, key: VerifyingKey | None) -> Examined:
    """Follows the chain from its first event, and compares it with every head that the key signed."""
    last = store.tip().seq
    wrong: list[str] = []
    known = purged.purges(store.events_of(purged.KIND))
    answers = purged.Answers(known)
    tip = EMPTY
    try:
        while events := store.chain(tip.seq, last, AT_ONCE):
            wrong += differing(store, events) + purged.wrong(events, answers)
            tip = follow(events, tip)
        if tip.seq < last:
            wrong.append(f"the chain of events is broken: events {tip.seq + 1} to {last} are missing")
    except ChainBroken as error:
        wrong.append(str(error))
    count = 0
    for head, _ in heads.kept(path, key) if key is not None else ():
        count += 1
        if store.hash_of(head.seq) != head.hash:
            wrong.append(f"the ledger is not what was signed at event {head.seq}")
    return Examined(last, count, tuple(wrong), tuple(known))


def differing(store: Store, events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Jobs whose row is not what the newest of their events say; of events that are not, nothing is said.

    Reports and receipts read the rows: what somebody changed there is in no event.
    """
    accounts = {each["job_id"]: each for each in events if each["kind"] in ACCOUNTS}
    frozen = {
        each["job_id"]: each for each in events if each["kind"] in FROZEN and "frozen" in each["payload"]
    }
    numbers = {number for number in (*accounts, *frozen) if number}
    if not numbers:
        return []
    before = _newest(store, numbers)
    jobs = store.numbered(numbers)
    after = _newest(store, numbers)  # what was written in between is looked at the next time
    wrong = []
    for told, newest, still in zip((accounts, frozen), before, after, strict=True):
        for number, event in told.items():
            job = jobs.get(number)
            if job is not None and newest.get(number) == still.get(number) == event["seq"]:
                wrong += [
                    f"job {job.key}: {what} is not what event {event['seq']} says"
                    for what in _wrong(job, event)
                ]
    return wrong


def _newest(store: Store, numbers: set[int]) -> tuple[dict[int, int], dict[int, int]]:
    return store.newest_of(numbers, ACCOUNTS), store.newest_of(numbers, FROZEN)


def _wrong(job: JobRecord, event: Mapping[str, Any]) -> Iterator[str]:
    if event["kind"] in FROZEN:
        if canonical(job.frozen) != canonical(event["payload"]["frozen"]):
            yield "what its baseline stands on"
        return
    if event["kind"] != f"settlement.{job.settlement_state}":
        yield "the state of its account"
    if job.settlement is None or canonical(job.settlement) != canonical(event["payload"]):
        yield "its account"
