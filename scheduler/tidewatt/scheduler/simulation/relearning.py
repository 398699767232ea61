"""Own models through simulated time: trained anew on what was observed by then, chosen as in production."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from tidewatt.forecasting.backtest.issuing import cut
from tidewatt.forecasting.backtest.own import CHOSEN, own_forecasters
from tidewatt.forecasting.backtest.past import Past, UnobservedError, past
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.layers import Layer
from tidewatt.forecasting.models.forecaster import HOUR_MS, Forecaster
from tidewatt.forecasting.own import Models
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.series import Rung, Steps, milliseconds


class Relearnt(Models):
    """What an installation's trained models would have said at each moment, for sources that hold a past.

    Of each moment only what had ended before it is seen; the provider's later observations never are.
    """

    def __init__(self, provider: Provider, folder: Path, every: timedelta, until: datetime) -> None:
        self._provider, self._folder, self._every, self._until = provider, folder, every, until
        self._made: dict[tuple[str, Kind], tuple[Past, Forecaster] | None] = {}

    def layers(self, source: str, zone: str, kind: Kind, now: datetime, until: datetime) -> list[Layer]:
        """What the model chosen at `now` says; nothing where the past is too short for one."""
        made = self._of(zone, kind)
        if made is None or source != self._provider.name:
            return []
        known, forecaster = made
        now_ms = milliseconds(now)
        hours = -(-(milliseconds(until) - now_ms) // HOUR_MS) + 1
        told = forecaster.predict(cut(known.history, now_ms), hours)
        if told is None:
            return []
        start_ms = told.start_ms + np.arange(len(told.gco2_per_kwh)) * HOUR_MS
        steps = Steps(start_ms, start_ms + HOUR_MS, told.gco2_per_kwh)
        return [Layer(kind, Rung.OWN, f"own model ({source})", steps, None, told.p10, told.p90)]

    def marginal(self, zone: str, hour: datetime, now: datetime, until: datetime) -> Layer | None:
        """None: a recorded file holds no mix."""
        return None

    def _of(self, zone: str, kind: Kind) -> tuple[Past, Forecaster] | None:
        key = zone, kind
        if key not in self._made:
            try:
                known = past(self._provider, zone, kind, self._until)
            except (UnobservedError, ForecastError):
                self._made[key] = None
            else:
                chosen = own_forecasters(kind, self._every, self._folder)
                self._made[key] = known, next(each for each in chosen if each.name == CHOSEN)
        return self._made[key]
