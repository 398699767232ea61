"""Faults that concern one job or attempt, and must not keep its neighbours from being looked after."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from tidewatt.scheduler.store.database import StoreError

log = structlog.get_logger()


@contextmanager
def told(step: str, **of: int | str) -> Iterator[None]:
    """Logs what goes wrong within, and goes on; a store that fails concerns all, and is raised."""
    try:
        yield
    except StoreError:
        raise
    except Exception:
        log.exception("fault", step=step, **of)
