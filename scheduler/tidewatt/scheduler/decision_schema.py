"""What operators ask and are told of what they decided before; also the form of `--json`."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from tidewatt.scheduler.schemas import Message


class DecisionView(Message):
    """Something an operator decided. `number` is that of its event in the ledger.

    `name` is what it is about: "drain:eu", "shifting", "policy". `before` and `after` are in words. `undoes`
    is the number of the decision that it takes back, 0 for none; `undone` that of the one that has taken it
    back. `holds` says whether what it brought about still stands; `fixed` why it cannot be undone, "" where
    it can.
    """

    number: int
    time: AwareDatetime
    user: str
    name: str
    sentence: str
    before: str
    after: str
    undoes: int
    undone: int
    holds: bool
    fixed: str


class DecisionsPage(Message):
    """Decisions, newest first; `next` is the address of the next page."""

    decisions: tuple[DecisionView, ...]
    next: str | None


class DecisionReply(Message):
    """One decision; of a changed configuration the lines that differ, for whoever may read that file."""

    decision: DecisionView
    difference: tuple[str, ...]


class UndoRequest(Message):
    """Takes a decision back by its number; without one the newest that can be."""

    number: Annotated[int, Field(ge=1, le=2**53)] | None = None


class UndoReply(Message):
    """The decision that took the other one back, and what of it holds from the next restart on only."""

    undone: DecisionView
    decision: DecisionView
    later: tuple[str, ...]


class BackupView(Message):
    """The newest backup; `time` is None where none is known.

    `events_since` is how many events the ledger has had since; `restored` when this state folder was put back
    from one.
    """

    time: AwareDatetime | None = None
    path: str = ""
    user: str = ""
    bytes: int = 0
    events: int = 0
    left_out: tuple[str, ...] = ()
    events_since: int = 0
    restored: AwareDatetime | None = None
