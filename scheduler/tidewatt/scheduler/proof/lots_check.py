"""Draws the lots of a hold-out again: nobody chose who runs at once, and no lot was thrown away."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.holdout import Lot, draw
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.proof.outcome import Outcome

LOTS = "holdout"  # the kind of the event with the seed, and of one for each lot


def check(events: Iterable[Mapping[str, Any]], outcome: Outcome) -> None:
    """Adds whether every lot is the one that the seed gives its place; nothing where none was drawn."""
    found = list(events)
    submitted = [each for each in found if each["kind"] == "submitted" and "payload" in each]
    frozen = {each["job_id"]: Lot.of(each["payload"].get("frozen", {})) for each in submitted}
    lots = sum(lot is not None for lot in frozen.values())
    if not lots:
        return
    seeds = [each["payload"]["share_ppm"] for each in found if each["kind"] == LOTS and not each["job_id"]]
    if any(one == other for one, other in pairwise(seeds)):
        told = f"{counted(len(seeds), 'seed')} for {counted(lots, 'lot')}: a new seed for the same share"
        outcome.open("lots", f"{told}: lots might have been tried until they pleased")
    wrong = list(_wrong(found, frozen))
    outcome.told(
        "lots",
        not wrong,
        f"{counted(lots, 'lot')} of the hold-out as the seed gives them, none left out",
        "; ".join(wrong[:5]),
    )


def _wrong(events: Iterable[Mapping[str, Any]], frozen: Mapping[int, Lot | None]) -> Iterator[str]:
    seed, share, places = "", 0.0, Counter[str]()
    told = set()
    for event in events:
        if event["kind"] != LOTS:
            continue
        payload = event["payload"]
        if not event["job_id"]:
            seed, share, places = payload["seed"], payload["share_ppm"] / MICRO, Counter()
            continue
        where, number = payload["stratum"], event["job_id"]
        told.add(number)
        lot = Lot.of({"lot": payload})
        if not seed or draw(seed, share, where, places[where]) != lot or frozen.get(number, lot) != lot:
            yield f"the lot of job {number} is not the one that its seed gives it"
        places[where] += 1
    yield from (
        f"the lot of job {number} was never drawn"
        for number, lot in frozen.items()
        if lot and number not in told
    )
