"""A kind of backend that cannot be used here, such as one whose package is not installed."""

from collections.abc import Iterable
from pathlib import Path

from tidewatt.backends.backend import (
    AttemptStatus,
    BackendError,
    Capacity,
    Launch,
    Phase,
    StopReason,
)


class UnusableBackend:
    """Stands for it, so that all else goes on: starts nothing, and knows nothing of what it started."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def submit(self, launch: Launch) -> None:
        """Raises BackendError: nothing can be started there."""
        raise BackendError(f"{launch.attempt_id} cannot be started: {self.reason}")

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """UNKNOWN, of each: what runs there still runs."""
        return {folder: AttemptStatus(Phase.UNKNOWN, reason=self.reason) for folder in folders}

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Raises BackendError: it cannot be asked."""
        raise BackendError(f"{folder} cannot be stopped ({reason}): {self.reason}", transient=True)

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """Nothing."""
        return b""

    def collect(self, folder: Path) -> bool:
        """False: it may yet be usable."""
        return False

    def capacity(self, region: str) -> Capacity:
        """Raises BackendError with why it cannot be used."""
        raise BackendError(self.reason)
