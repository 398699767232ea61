"""Examines the whole ledger of a store at once."""

from dataclasses import dataclass
from pathlib import Path

from tidewatt.scheduler.proof import heads
from tidewatt.scheduler.proof.chain import EMPTY, ChainBroken, follow
from tidewatt.scheduler.proof.keys import VerifyingKey
from tidewatt.scheduler.store.store import Store

AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Examined:
    """How many events and signed heads there are, and in sentences what is wrong with them."""

    events: int
    heads: int
    wrong: tuple[str, ...]


def examined(store: Store, path: Path, key: VerifyingKey | None) -> Examined:
    """Follows the chain from its first event, and compares it with every head that the key signed."""
    last = store.tip().seq
    wrong: list[str] = []
    tip = EMPTY
    try:
        while events := store.chain(tip.seq, last, AT_ONCE):
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
    return Examined(last, count, tuple(wrong))
