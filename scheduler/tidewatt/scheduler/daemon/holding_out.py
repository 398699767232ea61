"""Draws the lots of jobs as they are submitted, where the operator wants a hold-out."""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.holdout import Arm, Lot, draw, stratum
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.instants import ceil_ms
from tidewatt.scheduler.planning.terms import terms_of
from tidewatt.scheduler.request_schema import SubmitRequest
from tidewatt.scheduler.store import Store

log = structlog.get_logger()
KIND = "holdout"  # of the events: one with the seed, then one for each lot


class HoldingOut:
    """The lots of one daemon. Seed and lots are events: whoever has the ledger can draw them again."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
        self._share_ppm = round(site.settings.hold_out * MICRO)
        self._seed = ""
        self._places: Counter[str] = Counter()  # lots drawn with this seed, by stratum

    def draw(self, asked: Ask, request: SubmitRequest, now: datetime) -> list[Lot | None]:
        """A lot for the job, or for each task of the array; None for all where they take no part.

        Those take part that could wait for cleaner hours: not what has no slack, is held, or starts after
        other jobs. A lot counts once it is `taken`: of a job that is refused it is drawn again.
        """
        tasks = len(request.array or (0,))
        if not self._share_ppm or request.hold or asked.after or not self._flexible(asked, now):
            return [None] * tasks
        self._open(now)
        where = stratum(now, asked.project)
        first = self._places[where]
        share = self._share_ppm / MICRO
        return [draw(self._seed, share, where, first + place) for place in range(tasks)]

    def taken(self, lots: Sequence[Lot | None]) -> None:
        """Counts lots that are stored."""
        self._places.update(lot.stratum for lot in lots if lot is not None)

    def _flexible(self, asked: Ask, now: datetime) -> bool:
        """True where the planner may put the start off by more than it takes to be worth it."""
        policy = self._site.policy
        terms = terms_of(asked, now, policy.default_slack)
        least = ceil_ms(now + policy.min_wait)
        return terms.at_once is None and terms.shift_ms is not None and terms.shift_ms > least

    def _open(self, now: datetime) -> None:
        """Goes on with the last seed; begins with a new one where there is none for this share."""
        if self._seed:
            return
        for event in self._store.events_of(KIND):
            payload = event["payload"]
            if "seed" in payload:
                same = payload["share_ppm"] == self._share_ppm
                self._seed, self._places = payload["seed"] if same else "", Counter()
            else:
                self._places[payload["stratum"]] += 1
        if not self._seed:
            self._seed, self._places = secrets.token_hex(16), Counter()
            payload = {"seed": self._seed, "share_ppm": self._share_ppm}
            with self._store.transaction() as transaction:
                transaction.append(time_ms(now), KIND, payload, reason="lots are drawn with this seed")
            log.info("holdout.began", share_ppm=self._share_ppm)


def by_lot(asked: Ask, lot: Lot | None) -> Ask:
    """What is asked, with what its lot decided: no later than it could start otherwise."""
    if lot is None or lot.arm is Arm.SHIFTED:
        return asked
    return replace(asked, at_once=True, by_lot=True)
