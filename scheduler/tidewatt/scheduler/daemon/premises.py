"""What is frozen of the place when an attempt is launched, for inventories and for hardware's making."""

from typing import Any

from tidewatt.backends.meters.tdp import this_cpu
from tidewatt.scheduler.accounting.embodied import Held, embodied, hardware_of
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.schemas import EmbodiedView
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord


def place_factors(site: Site, region: str) -> dict[str, Any]:
    """Site, cloud ("" for own hardware, absent where that is not said), and what one server is."""
    table = site.stated(region)
    return {
        **({"site": table.site} if table.site else {}),
        **({} if table.cloud is None else {"cloud": table.cloud}),
        "hardware": hardware_of(
            table.embodied, len(site.host.gpus), site.host.cpus, guest=this_cpu().virtual
        ),
    }


def _real_ms(attempt: AttemptRecord, ended_ms: int) -> int:
    """How long it held its hardware; in a replay that is faster than time, the real time."""
    held_ms = max(ended_ms - attempt.launched_ms, 0)
    return held_ms * 1000 // int(attempt.factors.get("replay_factor_milli", 1000))


def embodied_view(job: JobRecord, attempts: list[AttemptRecord]) -> EmbodiedView | None:
    """The share of what making its hardware emitted, of all attempts that ran; None where not known."""
    held = [
        Held(
            gpu_model=attempt.factors.get("gpu_model", ""),
            gpus=len(attempt.gpu_uuids),
            cpus=job.cpus,
            ms=_real_ms(attempt, attempt.ended_ms),
            hardware=attempt.factors.get("hardware", {}),
        )
        for attempt in attempts
        if attempt.started_ms is not None and attempt.ended_ms is not None
    ]
    found = embodied(held)
    return None if found is None else found.view()
