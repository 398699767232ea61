"""How fast jobs are on the GPUs that there are."""

from collections.abc import Sequence

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, GpuKind
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.kinds import suitable
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.region import Region

Alike = tuple[Need, tuple[GpuKind, ...], tuple[str, ...], tuple[str, ...]]


class Speeds:
    """Speeds of jobs in the pools of these regions; nothing is looked at before it is asked for."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = regions
        self._timelines: list[Timeline] | None = None
        self._known: dict[Alike, tuple[float, ...]] = {}

    def of(self, ask: Ask) -> tuple[float, ...]:
        """The speeds in all pools that could ever hold the job, ascending; () where there is none."""
        alike = ask.need, ask.kinds, ask.regions, ask.exclude_regions
        if alike not in self._known:
            if self._timelines is None:
                self._timelines = [Timeline(region) for region in self._regions]
            self._known[alike] = tuple(
                sorted(
                    {
                        speed
                        for timeline in self._timelines
                        if allowed(ask, timeline.region.name)
                        for _, (speed, _) in suitable(ask, timeline)
                    }
                )
            )
        return self._known[alike]

    def fastest(self, ask: Ask) -> float:
        """The highest of them; 1 where there is none."""
        return max(self.of(ask), default=1.0)
