"""Immediate execution: first in, first out, as if there were no grid."""

from collections import deque

from tidewatt.scheduler.simulation.queues import Queues
from tidewatt.scheduler.simulation.world import Standing, World


class Immediate:
    """Every job runs at home as soon as its turn comes; elsewhere where home can never hold it."""

    name = "immediate"

    def __init__(self) -> None:
        self._queues = Queues()

    def turn(self, world: World) -> None:
        """Starts what is next."""
        for standing in world.new:
            self._queues.put(standing, world.site.spots(standing.job.ask)[0])
        self._queues.turn(world)

    def wake_ms(self, world: World) -> int | None:
        """Nothing but arrivals, ends and releases changes what it does."""
        return None


class Anywhere:
    """Every job runs as soon as its turn comes, at home or else wherever there is room."""

    name = "immediate, anywhere"

    def __init__(self) -> None:
        self._queue: deque[Standing] = deque()

    def turn(self, world: World) -> None:
        """Starts what is next."""
        self._queue.extend(world.new)
        passed: list[Standing] = []
        while self._queue:
            standing = self._queue[0]
            if world.ready(standing):
                spots = world.site.spots(standing.job.ask)
                if not any(world.start(standing, spot) for spot in spots):
                    break
                self._queue.popleft()
            else:
                passed.append(self._queue.popleft())
        self._queue.extendleft(reversed(passed))

    def wake_ms(self, world: World) -> int | None:
        """Nothing but arrivals, ends and releases changes what it does."""
        return None
