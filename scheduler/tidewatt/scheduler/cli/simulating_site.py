"""The regions, the grid and what decides, of a simulation that was asked for on the command line."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewatt.scheduler.cli.session import clock, own_paths
from tidewatt.scheduler.errors import BadInput

if TYPE_CHECKING:
    from tidewatt.forecasting.shrinkage import Outlooks
    from tidewatt.scheduler.settings import Settings
    from tidewatt.scheduler.simulation.setting import Site

_MONTH = timedelta(days=28)


def settings_of(
    regions: Path | None, grid: Path | None, zones: list[str] | None, gpus: int, signal: str | None
) -> "Settings":
    """The configuration, with the grid file and the zones that were named in place of its own."""
    from tidewatt.scheduler.config import load
    from tidewatt.scheduler.settings import RegionTable, SourceTable

    settings = load(regions, os.environ, {"signal": signal}).settings
    changed: dict[str, Any] = {}
    if grid is not None:
        changed["sources"] = (SourceTable(type="file", path=grid.absolute()),)
    if zones:
        from tidewatt.forecasting.zones import zone

        keys = list(dict.fromkeys(zone(text).key for text in zones))
        changed["regions"] = tuple(
            RegionTable.model_validate(
                {"name": _name(key), "zone": key, "gpus": gpus, "cpus": 1_000_000, "home": key == keys[0]}
            )
            for key in keys
        )
    return settings.model_copy(update=changed)


def _name(zone: str) -> str:
    """A region's name, after its zone: some zones are called after who tells of them, `WT:SGIP_CAISO_PGE`."""
    return zone.replace(":", "-")


def site_of(settings: "Settings") -> "Site":
    from tidewatt.forecasting.kind import Signal
    from tidewatt.scheduler.config import described, policy_of
    from tidewatt.scheduler.simulation.setting import Site

    return Site(described(settings), policy_of(settings), Signal(settings.shown_signal))


def observed(site: "Site", chain: "Outlooks") -> "Site":
    """The site with the one signal of its zones that was observed, where that is not the one to decide."""
    from tidewatt.forecasting.kind import Signal
    from tidewatt.scheduler.simulation.setting import is_observed

    other = Signal.MARGINAL if site.signal is Signal.AVERAGE else Signal.AVERAGE
    if is_observed(chain, site.regions, site.signal) or not is_observed(chain, site.regions, other):
        return site
    return replace(site, policy=replace(site.policy, signal=str(other)), signal=other)


def chain_of(settings: "Settings", models: Path | None) -> "Outlooks":
    """What the daemon plans on; with models that are trained as simulated time goes by, where asked for."""
    from tidewatt.forecasting.chain import Chain
    from tidewatt.forecasting.shrinkage import Shrinker
    from tidewatt.scheduler.config import grid

    chain = grid(settings, own_paths()).chain
    if not chain.providers:
        raise BadInput("no source is configured: name a recorded file with --grid, or add a [[source]]")
    if models is None:
        return Shrinker(chain)
    from tidewatt.scheduler.simulation.relearning import Relearnt

    first = chain.providers[0].provider
    return Chain(
        [asked.provider for asked in chain.providers], models=Relearnt(first, models, _MONTH, clock())
    )
