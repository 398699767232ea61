"""What is asked and told of purges; also the form of `--json`."""

from typing import Annotated

from pydantic import Field

from tidewatt.scheduler.schemas import Message


class PurgeRequest(Message):
    """Purges ended jobs of a user, or those that ended so long ago, or both.

    With `logs` or `paths` only these go; without either all that tells of people does.
    """

    user: Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")] = ""
    older_than_s: Annotated[float, Field(ge=0, le=1e10)] | None = None
    logs: bool = False
    paths: bool = False
    dry_run: bool = False


class PurgeReply(Message):
    """What was purged, or would be. `events` lost words, `files` are gone; `stays` are sentences for people.

    `purges` are the numbers of the events that tell of it in the ledger.
    """

    dry_run: bool
    jobs: int
    events: int
    files: int
    bytes: int
    audit_lines: int
    purges: tuple[int, ...]
    stays: tuple[str, ...]
