"""The phases that attempts went through, as moves of the store; also those that nobody saw at the time."""

from collections.abc import Iterator
from itertools import pairwise

import structlog

from tidewatt.backends.backend import AttemptStatus, Move, Phase
from tidewatt.scheduler.jobs import AttemptState
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.records import AttemptRecord
from tidewatt.scheduler.store.transaction import MoveError

log = structlog.get_logger()
STATES = {
    Phase.RUNNING: AttemptState.RUNNING,
    Phase.PAUSING: AttemptState.PAUSING,
    Phase.SUSPENDED: AttemptState.SUSPENDED,
    Phase.RESUMING: AttemptState.RESUMING,
}


class Moves:
    """Knows which of an attempt's moves are recorded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recorded: dict[str, set[tuple[str, int]]] = {}

    def new(self, attempt: AttemptRecord, status: AttemptStatus) -> tuple[Move, ...]:
        """Those that are not recorded yet."""
        if not status.moves:
            return ()
        if attempt.id not in self._recorded:
            events = self._store.events(attempt.job_id)
            self._recorded[attempt.id] = {
                (event["kind"], event["time_ms"])
                for event in events
                if event["attempt_id"] == attempt.id and "started_ms" not in event["payload"]
            }
        return tuple(move for move in status.moves if _key(move) not in self._recorded[attempt.id])

    def record(self, transaction: Transaction, attempt: AttemptRecord, moves: tuple[Move, ...]) -> None:
        """Appends them, each at the time at which it happened; call `recorded` when that is stored.

        One that cannot be is left out: it must not keep the attempt's end from being recorded.
        """
        for move in moves:
            try:
                transaction.move_attempt(attempt, STATES[move.phase], move.reason, move.at_ms)
            except MoveError as error:
                log.warning("move.impossible", attempt=attempt.id, error=str(error))

    def recorded(self, attempt: AttemptRecord, moves: tuple[Move, ...]) -> None:
        """Remembers that these are stored."""
        self._recorded.setdefault(attempt.id, set()).update(_key(move) for move in moves)

    def forget(self, attempt: AttemptRecord) -> None:
        """The attempt has ended."""
        self._recorded.pop(attempt.id, None)


def ran_ms(status: AttemptStatus, started_ms: int, until_ms: int) -> int:
    """How long the attempt has been running by then, pauses left out."""
    return sum(
        end_ms - start_ms
        for phase, start_ms, end_ms in _stretches(status, started_ms, until_ms)
        if phase is Phase.RUNNING
    )


def _stretches(status: AttemptStatus, started_ms: int, until_ms: int) -> Iterator[tuple[Phase, int, int]]:
    steps = [Move(Phase.RUNNING, started_ms), *status.moves, Move(Phase.ENDED, until_ms)]
    for here, there in pairwise(steps):
        yield here.phase, here.at_ms, max(here.at_ms, there.at_ms)


def _key(move: Move) -> tuple[str, int]:
    return f"attempt.{STATES[move.phase]}", move.at_ms
