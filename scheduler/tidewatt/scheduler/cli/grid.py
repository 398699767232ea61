"""`forecast` and `zones`: the grid, with or without a daemon."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon, now_of
from tidewatt.scheduler.cli.text import intensity, lasting, local, painted, parsed, say, say_json, table, tell
from tidewatt.scheduler.client import Json, NoDaemon
from tidewatt.scheduler.errors import BadInput

if TYPE_CHECKING:
    from tidewatt.forecasting.zones import Zone
    from tidewatt.scheduler.cli.offline import Setting

LONGEST_H = 24 * 14
SHOWN_NEAR = 3


def forecast(
    zone: Annotated[str | None, typer.Argument(metavar="[ZONE]", show_default=False)] = None,
    hours: Annotated[float, typer.Option(metavar="H", help="So many hours ahead.")] = 48,
    signal: given.Signal = None,
    grid: Annotated[
        Path | None, typer.Option(metavar="FILE", help="From this recorded grid file alone.")
    ] = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="As known at this time.")] = None,
    hindsight: given.Hindsight = False,
    config: given.Config = None,
    as_json: given.AsJson = False,
) -> None:
    """Show the carbon intensity ahead, where it is from and how old it is."""
    if not 0 < hours <= LONGEST_H:
        raise BadInput(f"{hours:g} h cannot be shown: choose up to {LONGEST_H} h")
    alone = any(value is not None for value in (grid, now, config)) or hindsight
    view = None if alone else _daemons_view(zone, signal, hours)
    if view is None:
        from tidewatt.scheduler.cli.offline import Setting

        setting = Setting(grid=grid, now=now, zone=zone, signal=signal, hindsight=hindsight, config=config)
        view = _own_view(setting, hours)
    if as_json:
        say_json(view)
        return
    for line in forecast_lines(view, shutil.get_terminal_size().columns):
        say(line)


def _daemons_view(zone: str | None, signal: str | None, hours: float) -> Json | None:
    try:
        return daemon().forecast(zone or "", signal or "", hours)
    except NoDaemon:
        return None


def _own_view(setting: "Setting", hours: float) -> Json:
    from tidewatt.forecasting.kind import Signal
    from tidewatt.scheduler.cli.grid_file import check_told
    from tidewatt.scheduler.cli.offline import chain_of, moment_of, settings_of
    from tidewatt.scheduler.daemon.outlook_view import outlook_view

    settings = settings_of(setting)
    if not settings.zone:
        raise BadInput(
            "no zone is configured: name one, for example `tidewatt forecast DE` (`tidewatt zones` finds it)"
        )
    now = moment_of(setting)
    chain = chain_of(setting, settings)
    signal = Signal(settings.shown_signal)
    outlook = chain.outlook(settings.zone, signal, now, now + timedelta(hours=hours))
    if outlook is None:
        raise BadInput(f"nothing is known of {settings.zone}: add a source for it, or choose another zone")
    check_told(setting, settings.zone, signal, outlook, now)
    return outlook_view(outlook, now).model_dump(mode="json")


def forecast_lines(view: Json, width: int) -> Iterator[str]:
    """The chart, with minimum, maximum and now, and where each stretch is from."""
    from tidewatt.scheduler.cli.chart import chart_lines

    now = now_of(view)
    steps = view["steps"]
    band = any(step["p90"] is not None for step in steps)
    yield f"{painted(view['zone'], 'bold')} {view['zone_name']}: {view['kind']}, g/kWh" + (
        ", shaded from p10 to p90" if band else ""
    )
    yield from chart_lines(
        steps,
        [moment for moment in (parsed(part["start"]) for part in view["segments"][1:]) if moment],
        width,
    )
    least, most = (pick(steps, key=lambda step: step["gco2_per_kwh"]) for pick in (min, max))
    yield (
        f"  now {intensity(steps[0]['gco2_per_kwh'])}{_band(steps[0])};"
        f" least {intensity(least['gco2_per_kwh'])}{_band(least)} {local(least['start'], now)};"
        f" most {intensity(most['gco2_per_kwh'])}{_band(most)} {local(most['start'], now)}"
    )
    for part in view["segments"]:
        issued = parsed(part["issued_at"])
        age = "" if issued is None else f", issued {lasting((now - issued).total_seconds())} ago"
        yield f"  until {local(part['end'], now)}: {part['source']} ({part['rung']}{age})"
    if view["note"]:
        yield painted(f"  note: {view['note']}", "yellow")


def _band(step: Json) -> str:
    if step["p10"] is None or step["p90"] is None:
        return ""
    return f" ({step['p10']:.0f} to {step['p90']:.0f})"


def zones(
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="A name, country, place or cloud region.")
    ] = "",
    near: Annotated[
        str | None, typer.Option(metavar="LAT,LON", help="The zones whose centres are nearest, in degrees.")
    ] = None,
    as_json: given.AsJson = False,
) -> int:
    """Find a zone of the grid by name, country, cloud region or place; all of them without a text."""
    from dataclasses import asdict

    from tidewatt.forecasting.zones import every, find

    if near is not None:
        _nearest(near, as_json)
        return 0
    found = find(text) if text.strip() else every()
    if as_json:
        say_json({"zones": [asdict(zone) for zone in found]})
    elif found:
        for line in table(
            ("ZONE", "NAME", "COUNTRY", "TIME ZONE", "ALSO"), (_row(zone, text) for zone in found)
        ):
            say(line)
    else:
        tell(f"tidewatt: no zone is called anything like {text!r}: try a country, a city or a cloud region")
    return 0 if found else 1


def _nearest(near: str, as_json: bool) -> None:
    """Shows the nearest centres and how far they are: which zone is the right one is for people to say."""
    from dataclasses import asdict

    from tidewatt.forecasting.zones import nearest

    found = nearest(*_degrees(near), SHOWN_NEAR)
    if as_json:
        say_json({"zones": [asdict(zone) | {"distance_km": round(km, 1)} for zone, km in found]})
        return
    for line in table(("ZONE", "NAME", "CENTRE"), ((z.key, z.name, f"{km:.0f} km away") for z, km in found)):
        say(line)
    tell("tidewatt: centres are rough and borders do not follow them: check that a zone is your grid's")


def _degrees(near: str) -> tuple[float, float]:
    try:
        latitude, longitude = (float(part) for part in near.split(","))
    except ValueError:
        raise BadInput(
            f"--near {near!r} is not a place: write latitude and longitude in degrees, as --near 52.5,13.4"
        ) from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise BadInput(
            f"--near {near!r} is not on Earth: latitude is -90 to 90, longitude -180 to 180, in this order"
        )
    return latitude, longitude


def _row(zone: "Zone", text: str) -> tuple[str, ...]:
    """A zone, with those of its aliases first that were searched for."""
    wanted = text.casefold()
    aliases = sorted(
        zone.aliases, key=lambda alias: (wanted not in alias.casefold(), zone.aliases.index(alias))
    )
    more = f" and {len(aliases) - 4} more" if len(aliases) > 4 else ""
    return zone.key, zone.name, zone.country, zone.timezone, ", ".join(aliases[:4]) + more
