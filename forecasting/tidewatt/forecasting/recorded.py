"""Observations and forecasts recorded in a file, CSV or Parquet."""

from bisect import bisect_right
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.recording import Recording, Track, read
from tidewatt.forecasting.series import (
    Forecast,
    Intensities,
    Series,
    Steps,
    empty,
    instant,
    milliseconds,
    touching,
)


@dataclass(frozen=True, slots=True)
class Content:
    """What a file held when it was read; `stamp` is its size and times then."""

    stamp: tuple[int, ...]
    recording: Recording


class FileProvider:
    """Provider of a recorded file, of which it answers only what was available at `now`.

    The file is read again when it changes. Where it can no longer be read the last good content stays and
    `trouble` says so. `hindsight` asks the chain to plan on observations later than `now`; no answer of this
    class contains any.

    Raises:
        ForecastError: the file cannot be read; not at construction if `lenient`, but then from each call.
    """

    def __init__(self, path: Path | str, hindsight: bool = False, *, lenient: bool = False) -> None:
        self.path = Path(path)
        self.hindsight = hindsight
        self.name = f"file {self.path.name}"
        self.trouble = ""
        self._content: Content | None = None
        self._failed: tuple[int, ...] | None = None
        if not lenient:
            self._read()

    def kinds(self, zone: str) -> tuple[Kind, ...]:
        """Kinds of series the file has for `zone`, in the file's order."""
        return tuple(kind for key, kind in self._read() if key == zone)

    def zones(self) -> tuple[str, ...]:
        """Keys of the zones in the file."""
        return tuple(dict.fromkeys(key for key, _ in self._read()))

    def observations(self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime) -> Series:
        """Observed steps that overlap `[start, end)` and had ended at `now`."""
        start_ms, end_ms, now_ms = milliseconds(start), milliseconds(end), milliseconds(now)
        track = self._read().get((zone, kind))
        if track is None:
            return Series(zone, kind, self.name, empty())
        part = touching(track.observed, start_ms, end_ms)
        known = slice(part.start, max(part.start, min(part.stop, _ended(track, now_ms))))
        return Series(zone, kind, self.name, _cut(track.observed, known))

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        """The newest forecast issued at or before `now`; None where there is none."""
        now_ms = milliseconds(now)
        track = self._read().get((zone, kind))
        issue = bisect_right(track.issued_ms, now_ms) - 1 if track else -1
        if track is None or issue < 0:
            return None
        part = slice(track.bounds[issue], track.bounds[issue + 1])
        return Forecast(
            zone,
            kind,
            self.name,
            instant(track.issued_ms[issue]),
            _cut(track.forecasts, part),
            _cut_quantile(track.p10, part),
            _cut_quantile(track.p90, part),
        )

    def issued(self, zone: str, kind: Kind) -> tuple[datetime, ...]:
        """The moments at which the file's forecasts were issued, in order."""
        track = self._read().get((zone, kind))
        return () if track is None else tuple(instant(ms) for ms in track.issued_ms)

    def version(self, zone: str, now: datetime) -> Hashable:
        """The file's content, and how many steps and issues of `zone` were available at `now`."""
        now_ms = milliseconds(now)
        tracks = [track for (key, _), track in self._read().items() if key == zone]
        counts = tuple((_ended(track, now_ms), bisect_right(track.issued_ms, now_ms)) for track in tracks)
        return self._content and self._content.stamp, self.trouble, counts

    def _read(self) -> Recording:
        """The content, read again where the file has changed."""
        content = self._content
        try:
            status = self.path.stat()
            stamp: tuple[int, ...] = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError as error:
            stamp, problem = (), f"{self.path} cannot be read: {error.strerror}"
            if content is None:
                raise ForecastError(problem, transient=True) from error
            self.trouble = f"{problem}; its last good content is used"
            return content.recording
        if content is not None and stamp == content.stamp:
            self.trouble, self._failed = "", None
        elif content is None or stamp != self._failed:
            self._load(stamp)
        if self._content is None:
            raise ForecastError(f"{self.path} could not be read")
        return self._content.recording

    def _load(self, stamp: tuple[int, ...]) -> None:
        try:
            self._content = Content(stamp, read(self.path))
            self.trouble, self._failed = "", None
        except ForecastError as error:
            self._failed = stamp
            if self._content is None:
                raise
            self.trouble = f"{error}; the last good content is used"


def _ended(track: Track, now_ms: int) -> int:
    """How many observed steps had ended at `now_ms`."""
    return int(np.searchsorted(track.observed.end_ms, now_ms, side="right"))


def _cut(steps: Steps, part: slice) -> Steps:
    return Steps(steps.start_ms[part], steps.end_ms[part], steps.gco2_per_kwh[part])


def _cut_quantile(quantile: Intensities | None, part: slice) -> Intensities | None:
    """The quantile of one issue; None where the issue has none."""
    if quantile is None or np.isnan(quantile[part]).all():
        return None
    return quantile[part]
