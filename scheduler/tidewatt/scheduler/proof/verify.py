"""Checks a bundle offline: no daemon, no store, no network, on any machine."""

from collections.abc import Sequence
from pathlib import Path

from tidewatt.scheduler.garbage import uncollected
from tidewatt.scheduler.proof import bundle, job_check, outputs, report_check
from tidewatt.scheduler.proof.archive import BadBundle, unpacked
from tidewatt.scheduler.proof.opening import Trust, opened
from tidewatt.scheduler.proof.outcome import Outcome
from tidewatt.scheduler.proof.outputs import Output
from tidewatt.scheduler.proof.supplied import Supplied

UNPROVEN = (
    "that the sensors were right: vendors' counters are off by some percent",
    "that nobody with root on that machine had it sign something else from the start",
    "that the intensity provider's numbers are what the grid did",
    "that the machine would have stayed on without these jobs, as the comparison above idle draw assumes",
)
"""What no bundle can prove."""


def verify(path: Path, trust: Trust, intensity: Sequence[Path] = (), given: Sequence[Output] = ()) -> Outcome:
    """Everything that can be found out about a bundle.

    `intensity` are the reader's own recordings of the grid, `given` files that may be what the job made.

    Raises:
        BadInput: where the file is no bundle, or a recording cannot be read.
    """
    supplied = Supplied(intensity)
    with uncollected():
        return _verified(path, trust, supplied, given)


def _verified(path: Path, trust: Trust, supplied: Supplied, given: Sequence[Output]) -> Outcome:
    files = unpacked(path)
    outcome = Outcome()
    try:
        found = opened(files, trust, outcome)
    except BadBundle as error:
        raise BadBundle(f"{path}: {error}") from None
    if found is None:
        return outcome
    outputs.check(found.statement.subjects, given, outcome)
    match outcome.kind:
        case bundle.JOB:
            job_check.check(found, supplied, outcome)
        case bundle.REPORT:
            report_check.check(found, supplied, outcome)
        case other:
            outcome.broken(
                "kind", f"it is a bundle of {other!r}, which this version of Tidewatt does not know"
            )
    return outcome
