"""How far back a question about ended jobs goes."""

from datetime import datetime, timedelta

from tidewatt.scheduler.errors import BadInput

LONGEST_S = 1e9  # some 30 years


def since(since_s: float | None, now: datetime) -> datetime | None:
    """The moment so many seconds before `now`; None for None, which asks for all that ever was.

    Raises:
        BadInput: where nobody can look back that far, or it is no time.
    """
    if since_s is None:
        return None
    if not 0 < since_s <= LONGEST_S:
        raise BadInput(f"the last {since_s:g} s cannot be shown: choose more than 0 and at most 1e9")
    return now - timedelta(seconds=since_s)
