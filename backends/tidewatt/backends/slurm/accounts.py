"""What Slurm's accounting keeps of jobs that have left the queue."""

from collections.abc import Iterable, Mapping

from tidewatt.backends.backend import BackendError
from tidewatt.backends.slurm import replies
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.replies import Row
from tidewatt.backends.slurm.script import instant
from tidewatt.backends.slurm.states import Stand, stand


def accounts(reach: Reach, references: Iterable[Reference]) -> dict[str, list[Row]]:
    """Its rows of these attempts' jobs, by number; nothing where there is no accounting, or it is down."""
    asked = list(references)
    numbers = ",".join(sorted({reference.number for reference in asked}))
    since = instant(min(reference.sent_ms for reference in asked) - 60_000)
    shown = ",".join(replies.ACCOUNT)
    argv = ("sacct", "-X", "-n", "-P", "-D", "-j", numbers, "-S", since, "-o", shown)
    found: dict[str, list[Row]] = {}
    try:
        for row in replies.accounts(reach.call(*argv)):
            found.setdefault(row.number, []).append(row)
    except BackendError:  # the claims decide
        return {}
    return found


def accounted(reference: Reference, started_ms: int | None, rows: Mapping[str, list[Row]]) -> Row | None:
    """The attempt's own row: numbers are used again, so its time of submission or its start has to fit."""
    for row in reversed(rows.get(reference.number, [])):
        if stand(row.state) is not Stand.OVER:
            continue
        if started_ms is not None and row.started_s is not None and row.ended_s is not None:
            if row.started_s - 5 <= started_ms / 1000 <= row.ended_s + 5:
                return row
        elif row.comment == reference.token:
            return row
    return None
