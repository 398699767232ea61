"""Checks a report's bundle."""

from tidewatt.scheduler.proof.opening import Opened
from tidewatt.scheduler.proof.outcome import Outcome
from tidewatt.scheduler.proof.supplied import Supplied


def check(opened: Opened, supplied: Supplied, outcome: Outcome) -> None:
    """Adds what was found."""
