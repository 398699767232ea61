"""All that plans are made from, at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.plan import Ask, Booking, Plan
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.region import Region


@dataclass(frozen=True, slots=True)
class Situation:
    """Regions in the order of the configuration, intensity ahead by their names, and the queue.

    `bookings` are of what runs and of other people's processes; `asks` are the waiting jobs, `keep` their
    plans so far, by job id. `beside` is the other signal ahead, where two may decide. `ends` are the
    expected ends of running jobs by id, for those that wait for them; `shares` the GPU hours of the last 7
    days over the weight of each user or project: who had less comes first among equal priorities.
    """

    regions: Sequence[Region]
    outlooks: Mapping[str, Outlook | None]
    bookings: Sequence[Booking]
    now: datetime
    policy: Policy
    asks: Sequence[Ask] = ()
    keep: Mapping[int, Plan] = field(default_factory=dict)
    beside: Mapping[str, Outlook | None] = field(default_factory=dict)
    ends: Mapping[int, datetime] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
