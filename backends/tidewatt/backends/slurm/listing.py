"""All jobs of ours on a cluster, by one call."""

from tidewatt.backends.slurm import replies
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.replies import Row


def rows(reach: Reach) -> dict[str, Row]:
    """Our user's jobs on a cluster, ended ones too as long as its controller remembers them.

    Raises:
        BackendError: The cluster does not answer.
    """
    return replies.queue(reach.call("squeue", "--me", "-h", "-t", "all", "-O", replies.FORMAT))
