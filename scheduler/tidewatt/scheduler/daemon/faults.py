"""Faults that concern one job or attempt, and must not keep its neighbours from being looked after."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from tidewatt.scheduler.store.database import StoreError

log = structlog.get_logger()
SAY_AGAIN_S = 60.0


class Lasting:
    """Faults of the store, which may last for a night: each is told when it comes, then once a minute.

    Told at each turn, they would push out of the log what came before them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[str, float]] = {}

    def tell(self, event: str, error: StoreError, step: str) -> None:
        """Tells of it, unless it was told a moment ago."""
        now, key, sentence = self._clock(), (event, step), str(error)
        said, at_s = self._told.get(key, ("", 0.0))
        if sentence != said or now - at_s >= SAY_AGAIN_S:
            self._told[key] = sentence, now
            log.error(event, step=step, error=sentence)


@contextmanager
def told(step: str, **of: int | str) -> Iterator[None]:
    """Logs what goes wrong within, and goes on; a store that fails concerns all, and is raised."""
    try:
        yield
    except StoreError:
        raise
    except Exception:
        log.exception("fault", step=step, **of)
