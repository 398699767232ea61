"""The newest carbon intensity of a region, by the signal that decides there."""

from dataclasses import dataclass

from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.planning.signals import deciding
from tidewatt.scheduler.region import Region

NO_ZONE, NOT_KNOWN = "no zone is configured", "nothing is known of it now"


@dataclass(frozen=True, slots=True)
class GridNow:
    """A zone and its newest number, None where there is none; `signal` is that of the number."""

    zone: str
    signal: str
    gco2_per_kwh: float | None
    source: str


def grid_now(site: Site, region: Region) -> GridNow:
    """By the deciding signal; by the other one where only that has a zone."""
    wanted = deciding(site.settings.signal, region.signal)
    signal = next((each for each in (wanted, *Signal) if region.zones.get(each)), None)
    if signal is None:
        return GridNow("", "", None, NO_ZONE)
    zone = region.zones[signal]
    latest = site.chain.latest(zone, signal, site.clock.now())
    if latest is None:
        return GridNow(zone, "", None, NOT_KNOWN)
    return GridNow(zone, latest.kind.signal, latest.gco2_per_kwh, latest.source)
