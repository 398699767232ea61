"""Who had how much of the GPUs lately, for fair shares."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.store import Store

LATELY = timedelta(days=7)


def shares(store: Store, weights: Mapping[str, float], now: datetime) -> dict[str, float]:
    """GPU hours of the last 7 days over its weight, of each user and project; none without weights.

    Who has no weight of their own has 1.
    """
    if not weights:
        return {}
    found: dict[str, float] = {}
    for (user, project), hours in store.gpu_hours(time_ms(now - LATELY), time_ms(now)).items():
        for name in {user, project} - {""}:
            found[name] = found.get(name, 0.0) + hours / weights.get(name, 1.0)
    return found
