"""Energy of attempts, from the readings kept."""

from collections.abc import Sequence
from pathlib import Path

from tidewatt.backends.meters.reading import Usage


def usage(folder: Path, attempt_id: str, gpu_uuids: Sequence[str], start_ms: int, end_ms: int) -> Usage:
    """What an attempt used from start to end, by component, with how each number was got."""
    raise NotImplementedError


def gaps(folder: Path, start_ms: int, end_ms: int, interval_s: float) -> tuple[tuple[int, int], ...]:
    """The intervals `(start_ms, end_ms)` within one boot in which the meter was silent for over two intervals."""
    raise NotImplementedError


def power_now(folder: Path) -> dict[str, float]:
    """Watts by device key, from the newest two readings."""
    raise NotImplementedError
