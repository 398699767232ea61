"""`plan --jobs`: one whole queue planned from files."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.scheduler.cli.grid_file import check_told
from tidewatt.scheduler.cli.offline import Setting, chain_of, moment_of
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.config import described, load, policy_of
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.planning.signals import beside, binds, deciding

if TYPE_CHECKING:
    from tidewatt.forecasting.kind import Signal
    from tidewatt.forecasting.series import Outlook
    from tidewatt.forecasting.shrinkage import Shrinker
    from tidewatt.scheduler.queue_answer import QueueAnswer
    from tidewatt.scheduler.region import Region

BUILT_IN = "no --grid and no [[source]] is configured: planned on the built-in profile"
LEVERS_UP_TO = 10_000  # jobs: comparing with less freedom takes three more plans


def planned(
    jobs: Path, regions: Path, setting: Setting, seconds: float | None, levers: bool | None
) -> tuple["QueueAnswer", Json, datetime]:
    """The plan of all jobs of a file in the regions of another, its JSON form, and the time it is made for.

    Raises:
        BadInput: a file, row or column is wrong, or nothing is known of the grid.
    """
    from tidewatt.forecasting.shrinkage import Shrinker
    from tidewatt.scheduler.planning.instants import moment
    from tidewatt.scheduler.planning.intensity import curve_of
    from tidewatt.scheduler.planning.terms import FARTHEST
    from tidewatt.scheduler.queue_answer import answer
    from tidewatt.scheduler.queue_files import read_jobs
    from tidewatt.scheduler.queue_problem import problem_of
    from tidewatt.scheduler.queue_view import queue_view

    settings = load(regions, {}, {"zone": setting.zone, "signal": setting.signal}).settings
    places = described(settings)
    now = moment_of(setting)
    table = read_jobs(jobs, now, settings.default_slack)
    until = min(moment(int(table.due_ms.max())), now + FARTHEST)
    if until <= now:
        raise BadInput(f"{jobs}: every deadline lies before {now:%Y-%m-%d %H:%M} UTC: name an earlier --now")
    chain = Shrinker(chain_of(setting, settings))
    own, others = _ahead(chain, places, settings.signal, now, until)
    for region in places:
        if own[region.name] is not None:
            signal, zone = _asked_of(region, settings.signal)
            check_told(setting, zone, signal, own[region.name], now)
    if not any(own.values()):
        raise BadInput("nothing is known of the grid in any region: give each a zone that the file tells of")
    made = problem_of(
        table,
        places,
        {name: curve_of(outlook) for name, outlook in own.items()},
        {name: curve_of(outlook) for name, outlook in others.items()},
        now,
        policy_of(settings),
    )
    wanted = len(table) <= LEVERS_UP_TO if levers is None else levers
    found = answer(made, seconds=seconds, levers=wanted)
    notes = _notes(own, others)
    sources = {name: _sources(outlook) for name, outlook in own.items() if outlook is not None}
    if setting.grid is None and not settings.sources:
        notes = {name: "; ".join(filter(None, (notes.get(name), BUILT_IN))) for name in sources}
    return found, queue_view(found, now.astimezone(UTC), settings.signal, notes, sources), now


def _ahead(
    chain: "Shrinker", regions: "Iterable[Region]", signal: str, now: datetime, until: datetime
) -> "tuple[dict[str, Outlook | None], dict[str, Outlook | None]]":
    """The deciding signal ahead by region, and the one that must not get worse."""
    own: dict[str, Outlook | None] = {}
    others: dict[str, Outlook | None] = {}
    for region in regions:
        second = beside(signal, region.signal)
        first, zone = _asked_of(region, signal)
        own[region.name] = chain.outlook(zone, first, now, until) if zone else None
        zone = region.zones.get(second, "") if second else ""
        other = chain.outlook(zone, second, now, until) if zone and second else None
        others[region.name] = other if binds(other) else None
    return own, others


def _asked_of(region: "Region", signal: str) -> "tuple[Signal, str]":
    """The signal that decides in a region, and the zone that is asked for it."""
    first = deciding(signal, region.signal)
    return first, region.zones.get(first) or next(iter(region.zones.values()), "")


def _sources(outlook: "Outlook") -> tuple[str, ...]:
    """Who told of the grid, from now on, each once."""
    return tuple(dict.fromkeys(segment.source for segment in outlook.segments))


def _notes(*ahead: "Mapping[str, Outlook | None]") -> dict[str, str]:
    """What the reader must know of the grid, by region."""
    said: dict[str, list[str]] = {}
    for outlooks in ahead:
        for name, outlook in outlooks.items():
            if outlook is not None and outlook.note:
                said.setdefault(name, []).append(outlook.note)
    return {name: "; ".join(dict.fromkeys(notes)) for name, notes in said.items()}
