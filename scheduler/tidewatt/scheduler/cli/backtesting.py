"""`backtest`: how well forecasts would have planned the past."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.pictures import refuse_picture
from tidewatt.scheduler.cli.session import clock, own_paths
from tidewatt.scheduler.cli.text import say, say_json, tell
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration, parse_moment

if TYPE_CHECKING:
    from tidewatt.forecasting.backtest.past import Past
    from tidewatt.forecasting.backtest.trial import Trial
    from tidewatt.forecasting.provider import Provider
    from tidewatt.forecasting.recorded import FileProvider
    from tidewatt.scheduler.config import Settings

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: from when to when, how often and how far ahead, against whom."""

    settings: "Settings"
    against: "FileProvider | None"
    source: str | None
    start: datetime | None
    end: datetime | None
    every_h: int
    hours: int
    lag_h: float
    retrain_every: timedelta | None


def backtest(
    zones: Annotated[
        list[str] | None, typer.Option("--zone", metavar="ZONE", help="This zone; may be repeated.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First forecast: 2026-03-01 (UTC) or a time.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Forecasts before this.")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Forecasts (`issued_at`) to compare with.")
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Observations of this recorded grid file.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Observations of this configured source.")
    ] = None,
    signal: given.Signal = None,
    hours: Annotated[int, typer.Option(metavar="H", help="Each forecast so many hours ahead.")] = 96,
    every: Annotated[str, typer.Option(metavar="6h", help="A forecast so often.")] = "6h",
    lag: Annotated[
        str | None, typer.Option(metavar="1h", help="An hour is known so long after its end.  [at once]")
    ] = None,
    retrain: Annotated[str, typer.Option(metavar="28d", help="Train own models anew so often.")] = "28d",
    models: Annotated[
        bool, typer.Option("--models/--no-models", help="Without own models it takes seconds.")
    ] = True,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it, as .png or .svg.")] = None,
    config: given.Config = None,
    as_json: given.AsJson = False,
) -> None:
    """Issue forecasts through the past as they would have been, and show what plans made with them save."""
    refuse_picture(picture)
    if grid is not None and source is not None:
        raise BadInput("--grid and --source exclude each other: choose one")
    wish = Wish(
        settings=_settings(config, signal),
        against=None if against is None else _file(against),
        source=source,
        start=None if start is None else _moment(start, "--from"),
        end=None if end is None else _moment(end, "--to"),
        every_h=_hours(every, "--every"),
        hours=hours,
        lag_h=0.0 if lag is None else parse_duration(lag, "--lag") / HOUR,
        retrain_every=parse_duration(retrain, "--retrain") if models else None,
    )
    file = None if grid is None else _file(grid)
    trials = [_trial(zone, file, wish) for zone in _zones(zones, wish, file)]
    if picture is not None:
        _draw(picture, trials)
    if as_json:
        from tidewatt.scheduler.cli.backtest_schema import answer

        say_json(answer(trials, wish.every_h, wish.lag_h))
        return
    from tidewatt.scheduler.cli.backtest_text import lines

    for line in lines(trials, wish.every_h, wish.lag_h, shutil.get_terminal_size().columns):
        say(line)
    if picture is not None:
        tell(f"tidewatt: drawn in {picture}")


def _trial(zone: str, file: "FileProvider | None", wish: Wish) -> "Trial":
    """The trial of one zone, on a file's observations, else on those that the daemon has gathered."""
    from tidewatt.forecasting.backtest.contenders import Conditions, Recorded, held
    from tidewatt.forecasting.backtest.past import latest_past
    from tidewatt.forecasting.backtest.schedule import schedule
    from tidewatt.forecasting.kind import Signal

    settings, against = wish.settings, wish.against
    if file is None:
        provider, known = _stored(settings, zone, wish.source)
    else:
        provider, known = file, latest_past(file, zone, Signal(settings.shown_signal), clock())
    issued = () if against is None else against.issued(zone, known.kind)
    if against is not None and not issued:
        raise BadInput(f"{against.path} has no forecasts of {zone}, {known.kind}: such rows have issued_at")
    planned = schedule(
        known.history, wish.start, wish.end, every_h=wish.every_h, hours=wish.hours, recorded=issued
    )
    sources = [Recorded(f"forecast of {provider.name}", provider)]
    if against is not None:
        sources.append(Recorded(f"forecast of {against.name}", against, required=True))

    def progress(name: str) -> None:
        if sys.stderr.isatty():
            tell(f"tidewatt: {zone}, {len(planned.moments_ms)} forecasts of {name}")

    return held(known, planned, Conditions(wish.lag_h, wish.retrain_every), sources, progress)


def _file(path: Path) -> "FileProvider":
    """A recorded grid file; one that cannot be read is bad input, even where it might appear later."""
    from tidewatt.forecasting.errors import ForecastError
    from tidewatt.forecasting.recorded import FileProvider

    try:
        return FileProvider(path)
    except ForecastError as error:
        raise BadInput(str(error)) from error


def _settings(config: str | None, signal: str | None) -> "Settings":
    from tidewatt.scheduler.config import load

    return load(None if config is None else Path(config), os.environ, {"signal": signal}).settings


def _zones(named: list[str] | None, wish: Wish, file: "FileProvider | None") -> list[str]:
    """Keys of the zones to judge: those named, else all of the file, else the configured one.

    Of a file's zones those that the forecasts to compare with have, too.
    """
    from tidewatt.forecasting.zones import zone

    if named:
        return list(dict.fromkeys(zone(text).key for text in named))
    if file is not None:
        other = file.zones() if wish.against is None else wish.against.zones()
        return [key for key in file.zones() if key in other] or list(file.zones())
    if wish.settings.zone:
        return [wish.settings.zone]
    raise BadInput("no zone is configured: name one with --zone, or a recorded grid file with --grid")


def _stored(settings: "Settings", zone: str, name: str | None) -> tuple["Provider", "Past"]:
    """The source of that name, else the first that has observed the signal in a zone, with its past."""
    from tidewatt.forecasting.backtest.gathered import with_more
    from tidewatt.forecasting.backtest.past import UnobservedError, latest_past
    from tidewatt.forecasting.kind import Signal
    from tidewatt.scheduler.config import grid

    gathered = grid(settings, own_paths())
    providers = [asked.provider for asked in gathered.chain.providers]
    if not providers:
        raise BadInput("no source is configured: add a [[source]], or name a recorded file with --grid")
    names = ", ".join(provider.name for provider in providers)
    chosen = [provider for provider in providers if name in (None, provider.name)]
    if not chosen:
        raise BadInput(f"no source is called {name!r}; known are: {names}")
    for provider in chosen:
        try:
            known = latest_past(provider, zone, Signal(settings.shown_signal), clock())
            return provider, with_more(known, gathered.archive, provider.name)
        except UnobservedError:
            continue
    raise BadInput(
        f"no {settings.shown_signal} intensity of {zone} has been gathered from"
        f" {', '.join(each.name for each in chosen)}: let the daemon run, or name a recorded file with --grid"
    )


def _draw(picture: Path, trials: "list[Trial]") -> None:
    from tidewatt.forecasting.backtest.picture import draw
    from tidewatt.forecasting.backtest.standing import standings
    from tidewatt.scheduler.cli.backtest_text import spanned

    zones = ", ".join(trial.zone for trial in trials[:5]) + (" …" if len(trials) > 5 else "")
    title = f"{zones}: what forecasts of {trials[0].hours} h are worth"
    over = "" if len(trials) == 1 else f"; medians over {len(trials)} zones"
    draw(picture, standings(trials), title=title, source=f"{trials[0].kind}; {spanned(trials)}{over}")


def _moment(text: str, what: str) -> datetime:
    """A date is its midnight UTC, so that the same command judges the same hours everywhere."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
        try:
            return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
        except ValueError:
            raise BadInput(f"{what} {text!r} is no date of the calendar") from None
    return parse_moment(text, clock(), what=what)


def _hours(text: str, what: str) -> int:
    hours = parse_duration(text, what) / HOUR
    if hours != int(hours):
        raise BadInput(f"{what} {text!r} is no full number of hours")
    return int(hours)
