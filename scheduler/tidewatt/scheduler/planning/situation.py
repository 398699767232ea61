"""All that plans are made from, at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.plan import Ask, Booking, Plan
from tidewatt.scheduler.planning.planner import Policy
from tidewatt.scheduler.region import Region


@dataclass(frozen=True, slots=True)
class Situation:
    """Regions in the order of the configuration, intensity ahead by their names, and the queue.

    `bookings` are of what runs and of other people's processes; `asks` are the waiting jobs, `keep` their
    plans so far, by job id.
    """

    regions: Sequence[Region]
    outlooks: Mapping[str, Outlook | None]
    bookings: Sequence[Booking]
    now: datetime
    policy: Policy
    asks: Sequence[Ask] = ()
    keep: Mapping[int, Plan] = field(default_factory=dict)
