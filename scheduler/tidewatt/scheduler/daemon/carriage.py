"""Data that move with an attempt to another region, as they are booked at its launch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidewatt.scheduler.accounting.units import UJ_PER_KWH
from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.jobs import AttemptState
from tidewatt.scheduler.planning.transfer import transfer_of
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord


def transfer_factors(
    job: JobRecord, earlier: Sequence[AttemptRecord], region: Region, site: Site
) -> Mapping[str, Any]:
    """`{"transfer": ...}` for the factors of an attempt in `region`; nothing where no data move.

    They come from where the last attempt before was that came up, of the first from home.
    """
    came_up = [each for each in earlier if each.state is not AttemptState.POISONED]
    origin = came_up[-1].region if came_up else str(job.frozen["home"])
    link = site.policy.link.between(origin, region.name)
    moved = transfer_of(replace(ask(job), home=origin), region.name, link)
    if not moved.kwh:
        return {}
    zones = came_up[-1].factors["zones"] if came_up else job.frozen["home_zones"]
    return {
        "transfer": {
            "energy_uj": round(moved.kwh * UJ_PER_KWH),
            "low_uj": round(moved.low_kwh * UJ_PER_KWH),
            "high_uj": round(moved.high_kwh * UJ_PER_KWH),
            "source": link.source or "the operator's figure",
            "origin": origin,
            "zones": dict(zones),
        }
    }
