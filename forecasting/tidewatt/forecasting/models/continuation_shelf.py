"""Continuations of fast signals in an installation: trained from its archive, kept, and used where better."""

from datetime import datetime, timedelta
from pathlib import Path

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.layers import Layer
from tidewatt.forecasting.models.continuation import FRESH_MS, REACH_H, Continuation
from tidewatt.forecasting.models.continuation_stored import load, place, save
from tidewatt.forecasting.models.slots import HOUR_MS, Issues, Signal, issues, signal
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import Rung, instant, milliseconds
from tidewatt.forecasting.zones import zone as named

FOR_TRAINING = timedelta(days=500)
FOR_PREDICTION = timedelta(days=16)  # two weeks of the same slots, and two days
FAST_MS = HOUR_MS // 2  # longer steps are hourly ones: another model's matter
GOOD_FOR = timedelta(days=60)
Stamp = tuple[int, int]


class Continuations:
    """Stored continuations of a folder, applied to what the archive knows; read again when they change."""

    def __init__(self, folder: Path, archive: Archive) -> None:
        self.folder, self._archive = folder, archive
        self._read: dict[Path, tuple[Stamp, Continuation | None]] = {}

    def layer(self, source: str, zone: str, kind: Kind, now: datetime, until: datetime) -> Layer | None:
        """What the continuation of a source's series says, as far ahead as it reaches.

        None without one, where plain means were better lately, where it is too old or younger than `now`, and
        where its file is refused.
        """
        model = self._model(place(self.folder, zone, source, intensity(kind)))
        now_ms = milliseconds(now)
        if model is None or not model.worth.better or model.zone != zone:
            return None
        if not 0 <= now_ms - model.trained_ms <= GOOD_FOR.total_seconds() * 1000:
            return None
        past = gathered(self._archive, source, zone, kind, now, FOR_PREDICTION)
        made = None if past is None else model.predict(*past, now_ms)
        if made is None:
            return None
        steps, p10, p90 = made
        label = f"{model.label}, trained {instant(model.trained_ms):%Y-%m-%d} ({source})"
        return Layer(kind, Rung.OWN, label, steps, None, p10, p90, leads=True)

    def _model(self, path: Path) -> Continuation | None:
        try:
            status = path.lstat()
        except OSError:
            return None
        stamp = status.st_mtime_ns, status.st_ino
        kept = self._read.get(path)
        if kept is None or kept[0] != stamp:
            try:
                kept = stamp, load(path)
            except ForecastError:  # plain means stand in, and the next training replaces it
                kept = stamp, None
            self._read[path] = kept
        return kept[1]


def gathered(
    archive: Archive,
    source: str,
    zone: str,
    kind: Kind,
    now: datetime,
    back: timedelta,
    *,
    as_received: bool = True,
) -> tuple[Signal, Issues] | None:
    """A source's series and what it issued, on slots; None where it has none or its steps are not short."""
    quantity, start = intensity(kind), now - back
    steps = archive.observations(source, zone, quantity, start, now, now, as_received=as_received)
    if not len(steps.start_ms):
        return None
    at = named(zone)
    try:
        past = signal(steps, zone, at.timezone, at.latitude, at.longitude)
    except ForecastError:
        return None
    if past.step_ms > FAST_MS:
        return None
    said = archive.issues(
        source, zone, quantity, start, now + timedelta(seconds=1), now, as_received=as_received
    )
    hourly = {milliseconds(each.issued_at) // HOUR_MS: each for each in said}  # of each hour the last
    reach = (REACH_H * HOUR_MS + FRESH_MS) // past.slot_ms
    rows = [(milliseconds(each.issued_at), each.steps) for each in hourly.values()]
    return past, issues(rows, past.slot_ms, reach)


def retrained(
    archive: Archive, folder: Path, source: str, zone: str, kind: Kind, now: datetime
) -> Continuation | None:
    """Trains and keeps the continuation of a source's series; None where it is slow, short, or full of holes.

    It is kept whether or not it is better, so that its worth can be shown.
    """
    past = gathered(archive, source, zone, kind, now, FOR_TRAINING, as_received=False)
    if past is None:
        return None
    from tidewatt.forecasting.models.continuation_training import train  # loads scikit-learn

    model = train(*past, milliseconds(now))
    if model is not None:
        save(model, place(folder, zone, source, intensity(kind)))
    return model
