"""Observations and forecasts recorded in a file, CSV or Parquet."""

from datetime import datetime
from pathlib import Path

from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.series import Forecast, Series


class FileProvider:
    """Provider of a recorded file; with `hindsight` a chain may plan on observations later than `now`."""

    def __init__(self, path: Path | str, hindsight: bool = False) -> None:
        self.path = Path(path)
        self.hindsight = hindsight
        self.name = f"file {self.path.name}"

    def kinds(self, zone: str) -> tuple[Kind, ...]:
        """Kinds of series the file has for `zone`."""
        raise NotImplementedError

    def observations(self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime) -> Series:
        """Observed steps that overlap `[start, end)` and had ended at `now`."""
        raise NotImplementedError

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        """The newest forecast issued at or before `now`; None where there is none."""
        raise NotImplementedError
