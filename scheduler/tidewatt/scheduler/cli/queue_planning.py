"""`plan --jobs`: one whole queue planned from files."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.scheduler.cli.offline import Setting, chain_of, check_told, moment_of
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.config import described, load, policy_of
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.planning.signals import beside, binds, deciding

if TYPE_CHECKING:
    from tidewatt.forecasting.series import Outlook
    from tidewatt.forecasting.shrinkage import Shrinker
    from tidewatt.scheduler.queue_answer import QueueAnswer
    from tidewatt.scheduler.region import Region

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
    from tidewatt.scheduler.queue_answer import answer
    from tidewatt.scheduler.queue_files import read_jobs
    from tidewatt.scheduler.queue_problem import problem_of
    from tidewatt.scheduler.queue_view import queue_view

    settings = load(regions, {}, {"zone": setting.zone, "signal": setting.signal}).settings
    places = described(settings)
    now = moment_of(setting)
    table = read_jobs(jobs, now, settings.default_slack)
    until = moment(int(table.due_ms.max()))
    if until <= now:
        raise BadInput(f"{jobs}: every deadline lies before {now:%Y-%m-%d %H:%M} UTC: name an earlier --now")
    chain = Shrinker(chain_of(setting, settings))
    own, others = _ahead(chain, places, settings.signal, now, until)
    for region in places:
        if own[region.name] is not None:
            check_told(setting, next(iter(region.zones.values())), own[region.name], now)
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
    return found, queue_view(found, now.astimezone(UTC), settings.signal, notes), now


def _ahead(
    chain: "Shrinker", regions: "Iterable[Region]", signal: str, now: datetime, until: datetime
) -> "tuple[dict[str, Outlook | None], dict[str, Outlook | None]]":
    """The deciding signal ahead by region, and the one that must not get worse."""
    own: dict[str, Outlook | None] = {}
    others: dict[str, Outlook | None] = {}
    for region in regions:
        first, second = deciding(signal, region.signal), beside(signal, region.signal)
        zone = region.zones.get(first) or next(iter(region.zones.values()), "")
        own[region.name] = chain.outlook(zone, first, now, until) if zone else None
        zone = region.zones.get(second, "") if second else ""
        other = chain.outlook(zone, second, now, until) if zone and second else None
        others[region.name] = other if binds(other) else None
    return own, others


def _notes(*ahead: "Mapping[str, Outlook | None]") -> dict[str, str]:
    """What the reader must know of the grid, by region."""
    said: dict[str, list[str]] = {}
    for outlooks in ahead:
        for name, outlook in outlooks.items():
            if outlook is not None and outlook.note:
                said.setdefault(name, []).append(outlook.note)
    return {name: "; ".join(dict.fromkeys(notes)) for name, notes in said.items()}
