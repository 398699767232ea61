"""Keeps the ledger of events: looks whether it is whole, and signs where it stands."""

import threading
import time
from collections.abc import Sequence

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.proof import heads, purged
from tidewatt.scheduler.proof.chain import EMPTY, ChainBroken, Event, follow
from tidewatt.scheduler.proof.heads import Head
from tidewatt.scheduler.proof.keys import KeyTrouble, SigningKey, signing_key
from tidewatt.scheduler.proof.purged import Answers
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.ledger import differing

log = structlog.get_logger()
SIGN_EVERY_S = 3600.0  # real seconds between two heads while events are written
AT_ONCE = 5000  # events looked at in one turn: a third of a second of a core
PORTION = 250  # of them, after which it rests
RESTS = 3.0  # times as long as they took
PASS_EVERY_S = 3600.0  # real seconds between two looks at the whole ledger
RECENT = 100  # heads compared with the store at each start and each pass
ADVICE = "keep a copy of the state folder as it is, and compare it with a backup; nothing was changed"


class Ledger:
    """The chain of events of one store, its key, and its signed heads."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site, self._store = site, store
        self._path = site.paths.heads
        self._lock = threading.Lock()
        self._key: SigningKey | None = None
        self._troubles: dict[str, str] = {}
        self._signed_at = self._passed_at = float("-inf")
        self._looked_at = EMPTY

    def begin(self) -> None:
        """Finds or makes the key, compares the store with what was signed of it, and signs what is new."""
        try:
            self._key = signing_key(self._site.paths.keys)
        except KeyTrouble as error:
            self._tell("key", f"nothing is signed: {error}")
            return
        self._compare()
        head = heads.last(self._path, self._key.public)
        if head is not None and self._store.hash_of(head.seq) == head.hash:
            self._looked_at = head.tip  # what came since is looked at first, then all of it
        self._sign_if_due()

    def turn(self) -> None:
        """Looks at the next events, and signs a head where there is news; called every minute or so."""
        self._look()
        self._sign_if_due()

    def troubles(self) -> tuple[str, ...]:
        """What is wrong with the ledger, in sentences."""
        return tuple(self._troubles.values())

    @property
    def key(self) -> SigningKey:
        """The key that signs.

        Raises:
            Refused: where there is none that could be used.
        """
        if self._key is None:
            raise Refused(self._troubles.get("key") or "the key of the ledger is not there yet: try again")
        return self._key

    def sign(self) -> tuple[Head, bytes]:
        """Signs where the chain stands now, and keeps that.

        Raises:
            Refused: where the ledger is known not to be what was written, or there is no key.
        """
        key = self.key
        if chain := self._troubles.get("chain") or self._troubles.get("heads"):
            raise Refused(f"nothing is signed, since {chain}")
        with self._lock:
            tip = self._store.tip()
            head = Head(tip.seq, tip.hash, time_ms(self._site.clock.now()))
            line = heads.signed(head, key)
            heads.append(self._path, line)
            self._signed_at = time.monotonic()
        return head, line

    def _sign_if_due(self) -> None:
        if self._key is None or {"chain", "heads"} & self._troubles.keys():
            return
        last = heads.last(self._path, self._key.public)
        seq = 0 if last is None else last.seq
        if self._store.tip().seq == seq:
            return
        if (
            self._store.matters_after(seq)
            or last is None
            or time.monotonic() - self._signed_at >= SIGN_EVERY_S
        ):
            try:
                self.sign()
            except OSError as error:
                self._tell("file", f"the ledger's heads cannot be written to {self._path}: {error.strerror}")

    def _look(self) -> None:
        """Follows the chain from where the last look ended, once an hour again from its start."""
        if self._follow() < AT_ONCE and time.monotonic() - self._passed_at >= PASS_EVERY_S:
            self._passed_at = time.monotonic()
            self._looked_at = EMPTY
            self._compare()
            self._follow()

    def _follow(self) -> int:
        """Looks at the next events, resting in between for those who wait; how many there were."""
        count = 0
        while count < AT_ONCE:
            began = time.monotonic()
            some = self._follow_some(min(PORTION, AT_ONCE - count))
            count += some
            if some < PORTION:
                break
            time.sleep(RESTS * (time.monotonic() - began))
        return count

    def _follow_some(self, limit: int) -> int:
        events = self._store.chain(self._looked_at.seq, limit=limit)
        if lacking := purged.wrong(events, self._answers(events)):
            self._tell("purged", f"{'; '.join(lacking[:3])}: {ADVICE}")
        if wrong := differing(self._store, events):
            self._tell(
                "rows", f"{'; '.join(wrong[:3])}: reports and receipts are not what happened; {ADVICE}"
            )
        try:
            self._looked_at = follow(events, self._looked_at)
        except ChainBroken as error:
            self._tell("chain", f"{error}: {ADVICE}")
            self._looked_at = self._store.tip()  # what is written from now on is still looked at
        return len(events)

    def _answers(self, events: Sequence[Event]) -> Answers:
        """Who answers for what these events lack."""
        some = any(each.get("hidden") for each in events)
        return Answers(purged.purges(self._store.events_of(purged.KIND)) if some else ())

    def _compare(self) -> None:
        """Tells where the store is not what was signed of it."""
        if self._key is None:
            return
        newest = self._store.tip().seq
        for head in heads.recent(self._path, self._key.public, RECENT):
            if head.seq > newest:
                self._tell("heads", f"the ledger had {head.seq} events and has {newest}: {ADVICE}")
            elif self._store.hash_of(head.seq) != head.hash:
                self._tell("heads", f"the ledger is not what was signed at event {head.seq}: {ADVICE}")

    def _tell(self, what: str, sentence: str) -> None:
        if self._troubles.get(what) != sentence:
            self._troubles[what] = sentence
            log.error("ledger.trouble", what=what, sentence=sentence)
