"""What more slack would be expected to give, in a sentence."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from tidewatt.scheduler.cli.text import local, percent
from tidewatt.scheduler.client import Json

OF_A_DEADLINE = 3  # offers of a job with a deadline: its own slack first, and more


def offer_lines(offers: Sequence[Json], now: datetime) -> Iterator[str]:
    """The offers of a plan; for a job with a deadline only those that would give more than it has."""
    if len(offers) < OF_A_DEADLINE:
        known = [offer for offer in offers if offer["saving_percent"] is not None]
        if known:
            parts = (
                f"{offer['slack_h']:g} h of slack: {_saving(offer)}{_start(offer, now)}" for offer in known
            )
            yield f"  slack    expected saving with {'; '.join(parts)}"
        return
    own, *more = offers
    if own["saving_percent"] is None:
        return
    better = [
        offer
        for offer in more
        if offer["saving_percent"] is not None and _saving(offer) != _saving(own)
        and offer["saving_percent"] > own["saving_percent"]
    ]  # fmt: skip
    for number, offer in enumerate(better):
        hours = offer["slack_h"] - own["slack_h"]
        said = (
            f"{hours:.3g} h more slack would be expected to give {_saving(offer)} instead of {_saving(own)}"
        )
        yield f"  {'slack' if number == 0 else '':<5}    {said}{_start(offer, now)}"


def _saving(offer: Json) -> str:
    return percent(offer["saving_percent"] / 100)


def _start(offer: Json, now: datetime) -> str:
    return f" (start {local(offer['start'], now)})" if offer["start"] else ""
