"""First in, first out queues, as contenders share them."""

from collections import deque

from tidewatt.scheduler.simulation.site import Spot
from tidewatt.scheduler.simulation.world import Standing, World


class Queues:
    """A queue for each spot: its head starts as soon as it fits, and nobody passes it."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], deque[tuple[Standing, Spot, int | None]]] = {}

    def put(self, standing: Standing, spot: Spot, until_ms: int | None = None) -> None:
        """Lets a job queue for a spot."""
        queue = self._queues.setdefault((spot.region, spot.pool), deque())
        queue.append((standing, spot, until_ms))

    def turn(self, world: World) -> None:
        """Starts all heads that fit; a job that waits for others is passed until they have ended."""
        for queue in self._queues.values():
            passed: list[tuple[Standing, Spot, int | None]] = []
            while queue:
                standing, spot, until_ms = queue[0]
                if not world.ready(standing):
                    passed.append(queue.popleft())
                elif world.start(standing, spot, until_ms):
                    queue.popleft()
                else:
                    break
            queue.extendleft(reversed(passed))


def latest_start_ms(standing: Standing, speed: float = 1.0) -> int | None:
    """The last moment at which the rest of the job, as estimated, keeps its deadline."""
    due = standing.job.due_ms
    return None if due is None else due - standing.restart_ms - round(standing.estimate_ms / speed)
