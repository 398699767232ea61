"""Whether a pod that was paused left a whole checkpoint, as far as that can be seen from here."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from tidewatt.backends import checkpoint
from tidewatt.backends.backend import BackendError, Launch, PauseTerms
from tidewatt.backends.checkpoint import Checkpoint, Evidence
from tidewatt.backends.kubernetes import output
from tidewatt.backends.kubernetes.reference import Reference

_TERM = 15
_KILLED = 128 + 9


def agreed(launch: Launch | None) -> PauseTerms:
    """The terms by which a pod can be paused.

    Raises:
        BackendError: It cannot be: a cluster ends pods by SIGTERM.
    """
    terms = launch.pausing if launch is not None else None
    if terms is None:
        raise BackendError("it was not submitted as a job that can be paused by checkpoint")
    if terms.signal.removeprefix("SIG") != "TERM":
        raise BackendError(
            f"Kubernetes ends pods by SIGTERM, and this job saves its work on {terms.signal}:"
            " let it do so on TERM"
        )
    return terms


def keep(folder: Path, ref: Reference, launch: Launch, ended_ms: int) -> str:
    """Writes what was kept of a paused attempt, and returns what is wrong with it, "" where it is whole.

    The files themselves are on a volume that this host need not have. So they count as whole by exit code
    and output alone, have no digest, and the job itself has to know the newest.
    """
    terms = launch.pausing or PauseTerms()
    late_ms = ref.asked_ms + round(1000 * terms.grace_s) if ref.exit_code == _KILLED else None
    said = bool(terms.log_line) and output.says(folder, terms.log_line)
    seen = Evidence(ref.exit_code, None, ref.asked_ms, ended_ms, late_ms=late_ms, said=said)
    wrong = checkpoint.fault(replace(terms, file="", unfinished=""), _TERM, seen)
    place = str(PurePosixPath(launch.cwd) / terms.folder) if terms.folder else ""
    at_ms = launch.clock.at_ms(ref.asked_ms)
    checkpoint.write(folder, Checkpoint(not wrong, place, "", 0, at_ms, reason=wrong))
    return wrong
