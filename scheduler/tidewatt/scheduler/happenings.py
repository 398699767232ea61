"""What happened to a job, in the words of the command line and the page."""

WORDS = {
    "job.waiting": "waits",
    "job.running": "runs",
    "attempt.launching": "is being started",
    "attempt.running": "its process runs",
    "attempt.pausing": "is being paused",
    "attempt.suspended": "its process is paused",
    "attempt.resuming": "is being resumed",
    "attempt.ended": "its process has ended",
    "attempt.poisoned": "could not be started",
    "attempt.unknown": "its process was lost sight of",
    "settlement.none": "account not settled yet",
    "settlement.provisional": "account settled, provisionally",
    "settlement.final": "account settled",
    "settlement.unverified": "account closed without observations",
    "holdout": "its lot is drawn",
    "marks": "its script told",
    "updated": "changed",
    "cancel asked": "asked to be cancelled",
    "start asked": "asked to start now",
    "plan void": "plan dropped",
    "queue wait": "it waited in its engine's queue",
    "signalled": "was sent a signal",
    "overrun": "warning",
}


def happened(kind: str) -> str:
    """The kind of an event in words."""
    return WORDS.get(kind, kind.removeprefix("job."))
