"""What is said where a recorded grid file does not tell what was asked of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.scheduler.cli.session import Setting
from tidewatt.scheduler.cli.text import cut
from tidewatt.scheduler.errors import BadInput

if TYPE_CHECKING:
    from tidewatt.forecasting.kind import Signal
    from tidewatt.forecasting.recording import Recording
    from tidewatt.forecasting.series import Outlook

MOST_ZONES = 60  # columns that names of zones may take


def check_told(
    setting: Setting, zone: str, signal: "Signal", outlook: "Outlook | None", now: datetime
) -> None:
    """Refuses to show the built-in profile in place of the recorded file that was named.

    Raises:
        BadInput: the file says nothing of the zone and signal; the text names what it has.
    """
    from tidewatt.forecasting.series import Rung

    if setting.grid is None or outlook is None:
        return
    if any(part.rung is not Rung.PROFILE for part in outlook.segments):
        return
    lack = _lack(setting.grid, zone, signal, now, setting.hindsight)
    raise BadInput(f"{setting.grid} tells nothing of {lack}")


def _lack(path: Path, zone: str, signal: "Signal", now: datetime, hindsight: bool) -> str:
    """What the file does not tell of, what it has instead, and what can be done with it."""
    from tidewatt.forecasting.recording import read

    tracks = read(path)
    zones = list(dict.fromkeys(key for key, _ in tracks))
    if zone not in zones:
        return f"{zone}: it has {cut(', '.join(zones), MOST_ZONES)}"
    wanted = f"the {signal.value} signal of {zone}"
    signals = list(dict.fromkeys(kind.signal.value for key, kind in tracks if key == zone))
    if signal.value not in signals:
        return f"{wanted}: it has the {' and '.join(signals)} one, which --signal {signals[0]} plans by"
    times = _times(tracks, zone, signal)
    if hindsight:
        return (
            f"{wanted} from {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC on: it has {times}; name a --now in it"
        )
    known = f"{wanted} that was known at {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{known}: it has {times}; name a later --now, or plan on what came after with --hindsight"


def _times(tracks: "Recording", zone: str, signal: "Signal") -> str:
    """From when to when the file tells of a zone."""
    from tidewatt.scheduler.planning.instants import utc

    steps = [
        part
        for (key, kind), track in tracks.items()
        if (key, kind.signal) == (zone, signal)
        for part in (track.observed, track.forecasts)
        if len(part.start_ms)
    ]
    first = min(int(part.start_ms[0]) for part in steps)
    return f"{utc(first)} to {utc(max(int(part.end_ms.max()) for part in steps))}"
