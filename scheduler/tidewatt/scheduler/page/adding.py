"""Figures that take long to add up: a screen shows them, or says at once that they are on their way."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextvars import copy_context
from typing import Generic, TypeVar

PATIENCE_S = 0.15  # people take an answer within a fifth of a second for an immediate one
MOST = 8  # that are added up at the same time; who comes then is told to come again

T = TypeVar("T")


class Sums(Generic[T]):
    """One sum for each key at a time, whoever asks again meanwhile."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[T]] = {}

    def of(self, key: Hashable, add_up: Callable[[], T]) -> T | None:
        """What `add_up` answers; None where it is still at it. Raises what it raises, once it is told."""
        with self._lock:
            if key not in self._running and len(self._running) >= MOST:
                self._running = {key: each for key, each in self._running.items() if not each.done()}
                if len(self._running) >= MOST:
                    return None
            future = self._running.get(key) or self._begun(key, add_up)
        try:
            found = future.result(self._patience_s)
        except NotYet:
            if not future.done():
                return None
            found = future.result()
        finally:
            if future.done():
                with self._lock:
                    self._running.pop(key, None)
        return found

    def _begun(self, key: Hashable, add_up: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._running[key] = future
        context = copy_context()  # who asks

        def add() -> None:
            try:
                future.set_result(context.run(add_up))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=add, name="sums", daemon=True).start()
        return future
