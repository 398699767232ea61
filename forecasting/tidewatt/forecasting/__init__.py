"""Forecasts and observations of grid carbon intensity."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidewatt.forecasting.chain import Chain, Latest
    from tidewatt.forecasting.errors import ForecastError
    from tidewatt.forecasting.feeds.feed import (
        Access,
        Cadence,
        Feed,
        FeedError,
        Fetched,
        Issued,
        Observed,
    )
    from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
    from tidewatt.forecasting.profile import Profile
    from tidewatt.forecasting.provider import Provider, Troubled, Versioned
    from tidewatt.forecasting.recorded import FileProvider
    from tidewatt.forecasting.series import Forecast, Outlook, Rung, Segment, Series, Steps
    from tidewatt.forecasting.zones import Zone

# Loaded when first used: zones need no numpy, and the command line starts without it.
_HOMES = {
    "Access": "feeds.feed",
    "Basis": "kind",
    "Boundary": "kind",
    "Cadence": "feeds.feed",
    "Chain": "chain",
    "Feed": "feeds.feed",
    "FeedError": "feeds.feed",
    "Fetched": "feeds.feed",
    "FileProvider": "recorded",
    "Forecast": "series",
    "ForecastError": "errors",
    "Issued": "feeds.feed",
    "Kind": "kind",
    "Latest": "chain",
    "Observed": "feeds.feed",
    "Outlook": "series",
    "Profile": "profile",
    "Provider": "provider",
    "Rung": "series",
    "Segment": "series",
    "Series": "series",
    "Signal": "kind",
    "Steps": "series",
    "Troubled": "provider",
    "Versioned": "provider",
    "Zone": "zones",
}

__all__ = [
    "Access",
    "Basis",
    "Boundary",
    "Cadence",
    "Chain",
    "Feed",
    "FeedError",
    "Fetched",
    "FileProvider",
    "Forecast",
    "ForecastError",
    "Issued",
    "Kind",
    "Latest",
    "Observed",
    "Outlook",
    "Profile",
    "Provider",
    "Rung",
    "Segment",
    "Series",
    "Signal",
    "Steps",
    "Troubled",
    "Versioned",
    "Zone",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
