"""Keeps the output of a job that is under watch within its bound."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tidewatt.backends import durable, standstill
from tidewatt.backends.backend import Launch
from tidewatt.backends.pausing import Pauses
from tidewatt.backends.rotation import Output

LOOK_S = 1.0
_MB = 1_000_000


@dataclass(slots=True)
class Rotation:
    """Looks at the size of a job's output now and then; never where it has no bound."""

    launch: Launch
    pauses: Pauses
    say: Callable[[str], None]
    due_s: float | None = None  # when to look again, on the monotonic clock

    def __post_init__(self) -> None:
        """Ends what an earlier supervisor began."""
        if self.bound_bytes == 0:
            return
        self.due_s = time.monotonic() + LOOK_S
        for output in self.outputs():
            with suppress(OSError, durable.CorruptError):
                output.settle()
        if not self.pauses.halted:  # it may have been killed while the job stood still for it
            standstill.release(self.pauses.tree, self.pauses.cgroup)

    @property
    def bound_bytes(self) -> int:
        """How large a file may become; 0 where that is not bounded."""
        limits = self.launch.limits
        return (limits.log_mb or 0) * _MB if limits else 0

    def outputs(self) -> list[Output]:
        """The job's files."""
        paths = dict.fromkeys(self.launch.cwd / path for path in (self.launch.stdout, self.launch.stderr))
        return [Output(self.launch.folder, path) for path in paths]

    def look(self, now_s: float) -> None:
        """Rotates what has become too large; what stands writes nothing."""
        if self.due_s is None or now_s < self.due_s:
            return
        self.due_s = now_s + LOOK_S
        if self.pauses.halted:
            return
        for output in self.outputs():
            try:
                output.rotate(self.bound_bytes, self._still)
            except (OSError, durable.CorruptError) as error:
                self.say(f"the output {output.path} cannot be rotated: {error}")

    @contextmanager
    def _still(self) -> Iterator[None]:
        standstill.halt(self.pauses.tree, self.pauses.cgroup)
        try:
            yield
        finally:
            standstill.release(self.pauses.tree, self.pauses.cgroup)
