"""Series of intensity that a bundle holds, and those that its reader fetched with a key of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.recording import read
from tidewatt.forecasting.series import Series, Steps, touching
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.proof.canonical import parsed, sha256
from tidewatt.scheduler.proof.intensity import FOLDER, content_of, recipe, series_of


def bundled(files: Mapping[str, bytes]) -> dict[str, Series]:
    """The series in a bundle by the names of their files."""
    return {name: series_of(parsed(content)) for name, content in files.items() if name.startswith(FOLDER)}


class Supplied:
    """The reader's own recordings: CSV or Parquet files as `docs/formats.md` has them."""

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        """Raises BadInput where a file cannot be read."""
        try:
            self._recordings = [read(each) for path in paths for each in _files(path)]
        except (ForecastError, OSError) as error:
            raise BadInput(f"the intensity to check with cannot be read: {error}") from error

    def found(self, told: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
        """By digest, those of the series told that are in these recordings, number for number."""
        return {
            series_digest: series
            for entry in told
            if "sha256" in entry and "file" not in entry
            for series in self._candidates(entry)
            if (series_digest := sha256(content_of(series))) == entry["sha256"]
        }

    def _candidates(self, entry: Mapping[str, Any]) -> list[Series]:
        found = []
        for recording in self._recordings:
            for (zone, kind), track in recording.items():
                if zone == entry["zone"] and kind.signal == Signal(entry["signal"]):
                    steps = track.observed
                    part = touching(steps, entry["from_ms"], entry["to_ms"])
                    cut = Steps(steps.start_ms[part], steps.end_ms[part], steps.gco2_per_kwh[part])
                    found.append(Series(zone, kind, entry["source"], cut))
        return found

    def recipe(self, entry: Mapping[str, Any]) -> str:
        """In words, how to get a series that is neither in the bundle nor in these recordings."""
        return recipe(entry)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(each for each in path.iterdir() if each.suffix in (".csv", ".parquet"))
    return [path]
