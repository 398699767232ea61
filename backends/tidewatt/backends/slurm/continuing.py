"""Goes on with a paused attempt's Slurm job, which keeps its number and its age in the queue."""

import time
from contextlib import suppress
from dataclasses import replace

from tidewatt.backends import checkpoint, resumption
from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.slurm.listing import rows
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.script import CURRENT, instant
from tidewatt.backends.slurm.states import Stand, stand

# A node refuses a job for good that starts again in the second in which its last run was ended ("Job
# credential revoked"): that second has to be over.
_REST_S = 2

_POINT = """
set -e
umask 077
cd "$1"
printf '%s\\n' "$2" > ".$3.draft"
sync ".$3.draft" 2>/dev/null || :
mv -f ".$3.draft" "$3"
"""


def place_of(launch: Launch, reach: Reach) -> Reference | None:
    """The paused attempt's reference, where its job is held on this same cluster; elsewhere it is let go."""
    if launch.resumes is None:
        return None
    paused = Reference.read(launch.resumes)
    if paused is None or not paused.number:
        return None
    if paused.reach != reach:
        with suppress(BackendError):
            let_go(paused)
        return None
    return paused if _held(paused) else None


def prepared(launch: Launch, reach: Reach) -> tuple[Launch, tuple[str, ...]]:
    """The launch with what it goes on from, and what its owner should know.

    Where the nodes see our files the checkpoint is looked at first; behind a login node its path is handed on
    as it was told.
    """
    if launch.pausing is None or (launch.resumes is not None and reach.ssh):
        return _unseen(launch), ()
    found = resumption.prepare(launch)
    return found.applied(launch), found.warnings


def _unseen(launch: Launch) -> Launch:
    terms = launch.pausing
    if terms is None or launch.resumes is None:
        return launch
    record = checkpoint.read(launch.resumes)
    good = None if record is None else record.good
    folder = {"TIDEWATT_CHECKPOINT_DIR": str(launch.cwd / terms.folder)} if terms.folder else {}
    if good is None:
        return replace(launch, variables={**launch.variables, **folder})
    told = {name: text.replace("{checkpoint}", good.path) for name, text in terms.resume_env.items()}
    at = {"TIDEWATT_CHECKPOINT": good.path} if good.path else {}
    args = tuple(word.replace("{checkpoint}", good.path) for word in terms.resume_args)
    variables = {**launch.variables, **folder, "TIDEWATT_RESUME": "1", **at, **told}
    return replace(launch, argv=(*launch.argv, *args), variables=variables)


def let_go(paused: Reference) -> None:
    """Takes a paused attempt's job out of the queue; raises BackendError where Slurm does not answer."""
    if _held(paused):
        paused.reach.call("scancel", paused.number)


def go_on(reference: Reference, not_before_ms: int | None) -> bool:
    """Makes the held job run this attempt; False where it cannot, and nothing of it will run.

    Its batch script reads at its start which attempt is current. That the job is ours is said by its comment,
    which becomes the new attempt's token. Should any of this be lost on the way, the attempt's claim still
    lets it start once at most.
    """
    first = reference.first or reference.there
    number = reference.number
    try:
        reference.reach.script(_POINT, str(first), str(reference.there), CURRENT)
        reference.reach.call("scontrol", "update", f"JobId={number}", f"Comment={reference.token}")
        # A job that was queued again waits for two minutes unless it is told otherwise.
        reference.reach.call("scontrol", "update", f"JobId={number}", f"StartTime={_begin(not_before_ms)}")
        reference.reach.call("scontrol", "release", number)
    except BackendError as error:
        if error.transient:
            raise
        with suppress(BackendError):
            reference.reach.call("scancel", number)
        return False
    return True


def again(launch: Launch, reference: Reference) -> bool:
    """Lets a paused attempt's job go on where that was cut off; False where it is not held any more.

    Raises:
        BackendError: The cluster does not answer.
    """
    if place_of(launch, reference.reach) is None:
        return False
    return go_on(reference, launch.not_before_ms)


def _begin(not_before_ms: int | None) -> str:
    """As scontrol takes it; how soon is left to the cluster's own clock."""
    soonest_ms = time.time_ns() // 1_000_000 + 1000 * _REST_S
    return f"now+{_REST_S}" if (not_before_ms or 0) <= soonest_ms else instant(not_before_ms)


def _held(paused: Reference) -> bool:
    row = rows(paused.reach).get(paused.number)
    return row is not None and row.comment == paused.token and stand(row.state) is Stand.WAITS
