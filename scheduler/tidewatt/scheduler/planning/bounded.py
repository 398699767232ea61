"""Asks a planner for an answer, and gives it up where it does not answer in time."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class NoAnswerError(Exception):
    """A planner did not answer in time, or ended its thread."""


@dataclass(slots=True)
class _Call(Generic[Answer]):
    """One question, and its answer."""

    question: Callable[[], Answer]
    answers: list[Answer] = field(default_factory=list)
    error: Exception | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            self.answers.append(self.question())
        except Exception as error:  # a planner may raise anything; who asked is told
            self.error = error
        except BaseException as error:  # to end a thread is no answer
            self.error = NoAnswerError(f"{type(error).__name__}: {error}")
        finally:
            self.over.set()


_hanging: dict[Hashable, threading.Event] = {}  # planners that were given up, until they come back
_lock = threading.Lock()


def bounded(planner: Hashable, name: str, question: Callable[[], Answer], seconds: float) -> Answer:
    """The answer to a question to `planner`; one that hangs is not asked before it has come back.

    Raises:
        NoAnswerError: there was no answer within `seconds`.
        Exception: whatever the planner raised.
    """
    with _lock:
        before = _hanging.get(planner)
        if before is not None and not before.is_set():
            raise NoAnswerError("it still hangs")
        _hanging.pop(planner, None)
    call = _Call(question)
    threading.Thread(target=call.run, name=f"planner {name}", daemon=True).start()
    if not call.over.wait(seconds):
        with _lock:
            _hanging[planner] = call.over
        raise NoAnswerError(f"no answer within {seconds:g} s")
    if call.error is not None:
        raise call.error
    return call.answers[0]
