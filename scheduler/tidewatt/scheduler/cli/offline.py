"""Plans and forecasts without a daemon: on this host, or on a recorded grid file that anybody can check."""

import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewatt.backends.clock import Clock, time_ms
from tidewatt.scheduler.cli.flags import Order
from tidewatt.scheduler.cli.grid_file import check_told
from tidewatt.scheduler.cli.session import Setting as Setting
from tidewatt.scheduler.cli.session import clock, own_paths
from tidewatt.scheduler.cli.wish import Wish, plan_request
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.config import Loaded, Settings, grid, load, regions, zones_of
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.planning.signals import deciding
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.when import parse_moment

if TYPE_CHECKING:
    from tidewatt.forecasting.chain import Chain
    from tidewatt.scheduler.daemon.site import Site
    from tidewatt.scheduler.plan import Ask
    from tidewatt.scheduler.planning.frontier import Frontier
    from tidewatt.scheduler.planning.situation import Situation
    from tidewatt.scheduler.request_schema import PlanRequest


YEARS = range(1970, 2501)  # of moments that are planned for
ASKED_WITHIN_S = 10.0  # what services may take for all zones before the next rung answers


def plan_alone(wish: Wish, order: Order, setting: Setting) -> tuple[Json, datetime]:
    """The PlanReply for an empty queue, and the time it was made for."""
    from tidewatt.scheduler.daemon.policing import notes
    from tidewatt.scheduler.planning.preview import answer

    request, situation, site = _asked(wish, order, setting)
    reply = answer(
        _ask(request, situation, site),
        situation,
        empty_queue=True,
        hindsight=setting.hindsight or any(source.hindsight for source in site.settings.sources),
    )
    view: Json = reply.model_copy(update={"notes": notes(site, request)}).model_dump(mode="json")
    view["plan"]["note"] = "; ".join(filter(None, (assumption(site, _need(request)), view["plan"]["note"])))
    return view, situation.now


def frontier_alone(wish: Wish, order: Order, setting: Setting) -> "tuple[Frontier, datetime, str]":
    """Carbon against delay and cost in an empty queue, the time it was made for, and what was assumed.

    Raises:
        Refused: there is no room before the deadline.
    """
    from tidewatt.scheduler.planning.frontier import frontier
    from tidewatt.scheduler.planning.planner import Infeasible
    from tidewatt.scheduler.planning.terms import check

    request, situation, site = _asked(wish, order, setting)
    ask = _ask(request, situation, site)
    check(ask, situation.regions, situation.now)
    found = frontier(ask, situation)
    if isinstance(found, Infeasible):
        raise Refused(found.reason)
    return found, situation.now, assumption(site, _need(request))


def _asked(wish: Wish, order: Order, setting: Setting) -> "tuple[PlanRequest, Situation, Site]":
    """The request, and an empty queue as it is seen at the time that was typed."""
    from tidewatt.scheduler.planning.situation import Situation
    from tidewatt.scheduler.request_schema import PlanRequest

    if order.after:
        raise BadInput("--after names jobs of a daemon, and none is asked for this plan: leave it out")
    now = moment_of(setting)
    request = PlanRequest.model_validate(plan_request(wish, lambda: now) | {"late": order.late})
    site = site_of(setting, _need(request))
    until = _horizon(request, site.settings, now)
    outlooks = site.outlooks(now, until)
    for region in site.regions:
        outlook = outlooks.get(region.name)
        if outlook is not None:
            check_told(setting, outlook.zone, deciding(site.settings.signal, region.signal), outlook, now)
    other = site.beside(now, until)
    return request, Situation(site.regions, outlooks, (), now, site.policy, beside=other), site


def _ask(request: "PlanRequest", situation: "Situation", site: "Site") -> "Ask":
    """What the planner is asked, within what the operator's rules let whoever asks."""
    from tidewatt.scheduler.daemon.policing import opened
    from tidewatt.scheduler.planning.preview import PREVIEW_ID, ask_of, home_of

    home, power = home_of(situation.regions).name, site.power(_need(request))
    ask = ask_of(request, PREVIEW_ID, situation.now, home, power, site.settings.default_duration)
    return opened(site, ask, request)


def _need(request: "PlanRequest") -> Need:
    return Need(request.gpus, request.gpu_kind, request.cpus, request.mem_mb)


def moment_of(setting: Setting) -> datetime:
    """The moment to plan for: the one that was typed, else now.

    Raises:
        BadInput: it cannot be read, or lies in no year that is planned for.
    """
    if setting.now is None:
        return clock()
    now = parse_moment(setting.now, clock(), what="--now")
    if now.year not in YEARS:
        raise BadInput(f"--now {setting.now} is not within the years {YEARS[0]} to {YEARS[-1]}: give another")
    return now


def settings_of(setting: Setting) -> Settings:
    """The settings, with the flags over them."""
    return _loaded(setting).settings


def _loaded(setting: Setting) -> Loaded:
    path = None if setting.config is None else Path(setting.config)
    return load(path, os.environ, {"zone": setting.zone, "signal": setting.signal})


def chain_of(setting: Setting, settings: Settings) -> "Chain":
    """The chain of the recorded file alone, where one was named, else of the configured sources.

    Services are asked for what is due, as nobody else does while no daemon runs; for an earlier moment that
    was typed nothing is asked.
    """
    if setting.grid is not None:
        table: Any = {"type": "file", "path": setting.grid.absolute(), "hindsight": setting.hindsight}
        settings = Settings.model_validate({"source": [table]})
    place = own_paths()
    known = grid(settings, place, hindsight=setting.hindsight)
    if known.feeds and setting.now is None:
        from tidewatt.forecasting.refresh import Refresher

        place.make()
        zones = zones_of(settings)
        refresher = Refresher(known.feeds, known.archive, lambda: zones, seed=os.uname().nodename)
        ends = time.monotonic() + ASKED_WITHIN_S
        for zone in zones:
            refresher.refresh_once(clock(), zone, max(0.0, ends - time.monotonic()))
    return known.chain


def site_of(setting: Setting, need: Need) -> "Site":
    """This host as the planner sees it; with a recorded file a host that has just what is needed."""
    from tidewatt.backends.host import inventory
    from tidewatt.backends.local import LocalBackend
    from tidewatt.forecasting.shrinkage import Shrinker
    from tidewatt.scheduler.daemon.patience import PatientChain
    from tidewatt.scheduler.daemon.site import Site

    loaded = _loaded(setting)
    settings, host = loaded.settings, inventory()
    if setting.grid is not None and not settings.zone and not settings.regions:
        raise BadInput("no zone is configured, and none is ever guessed: name the file's zone with --zone")
    places = regions(settings, host)
    if setting.grid is not None and not settings.regions:
        places = (_assumed(places[0], need),)
    return Site(
        paths=own_paths(),
        settings=settings,
        clock=_clock(setting),
        host=host,
        stated_regions=places,
        chain=PatientChain(Shrinker(chain_of(setting, settings))),
        backend=LocalBackend(),
        hindsight=setting.hindsight,
        rules=loaded.rules,
    )


def _clock(setting: Setting) -> Clock:
    """Real time, or that which was typed: opening hours are worked out from there."""
    if setting.now is None:
        return Clock()
    return Clock(Clock().now_ms(), time_ms(moment_of(setting)))


def assumption(site: "Site", need: Need) -> str:
    """Says that the plan is for hardware which this host does not have; "" where it has it."""
    if site.settings.regions:
        return ""
    here = regions(site.settings, site.host)[0]
    kind = need.gpu_kind.lower()
    gpus = max((pool.gpus for pool in here.pools if kind in pool.name.lower()), default=0)
    asked = (
        (need.gpus, gpus, f"{need.gpus} {need.gpu_kind} GPU{'s' * (need.gpus != 1)}".replace("  ", " ")),
        (need.cpus, here.cpus, f"{need.cpus} CPU{'s' * (need.cpus != 1)}"),
        (need.mem_mb, here.mem_mb or need.mem_mb, f"{need.mem_mb} MB of memory"),
    )
    lacking = [words for wanted, had, words in asked if wanted > had]
    return f"for assumed hardware: this host does not have {', '.join(lacking)}" if lacking else ""


def _assumed(region: Region, need: Need) -> Region:
    """The region with room for the job: who checks a plan against a file may sit at any machine."""
    pools = (Pool(need.gpu_kind or "GPU", need.gpus),) if need.gpus else ()
    return Region(
        region.name,
        region.backend,
        region.zones,
        pools,
        need.cpus,
        need.mem_mb,
        region.pue,
        region.pue_source,
        True,
    )


def _horizon(request: Any, settings: Settings, now: datetime) -> datetime:
    """How far ahead intensity is needed: to the deadline, and a day of slack beyond the job's length."""
    duration_s = request.duration_s or request.time_limit_s or settings.default_duration.total_seconds()
    slack = settings.default_slack or timedelta(days=1)
    ahead = now + timedelta(seconds=duration_s) + max(slack, timedelta(days=1))
    return max(ahead, request.finish_by or now)
