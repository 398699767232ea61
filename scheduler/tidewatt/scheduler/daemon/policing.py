"""The operator's rules at work: what a job may do by them, and what its project asks for in its stead."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tidewatt.scheduler.daemon.callers import user_name
from tidewatt.scheduler.daemon.groups import groups_of
from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.region_board import facts_of
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.policies.rule import Facts, Word
from tidewatt.scheduler.policy_schema import ProjectTable
from tidewatt.scheduler.request_schema import PlanRequest, SubmitRequest
from tidewatt.scheduler.store.records import JobRecord
from tidewatt.scheduler.when import short

Request = TypeVar("Request", bound=PlanRequest)


def asked(site: Site, job: JobRecord, unfinished: Collection[int] = ()) -> Ask:
    """What a stored job asks for, within what the rules let it."""
    return site.board.wished(ask(site.board.steered(job), unfinished), facts_of(job))


def facts(site: Site, request: PlanRequest, user: str = "") -> Facts:
    """What rules look at of a request; its user is the one who asks, where none is named."""
    who = user or user_name()
    home = site.home.name if request.data_gb else ""
    return Facts(who, groups_of(who), request.project, request.labels, home)


def opened(site: Site, asked: Ask, request: PlanRequest) -> Ask:
    """What is asked, where the rules let it go.

    Raises:
        Refused: where they let it go nowhere; every rule that forbids a region is named, with its place.
    """
    who = facts(site, request)
    barred = site.board.forbidden(who)
    barrier = replace(asked, exclude_regions=tuple(dict.fromkeys((*asked.exclude_regions, *barred))))
    named = [region.name for region in site.board.stated if allowed(asked, region.name)]
    if barred and named and all(name in barred for name in named):
        found = site.board.verdicts(who)
        said = "; ".join(str(found[name]) for name in named)
        raise Refused(f"no region is open to this job by the operator's rules: {said}")
    return site.board.wished(barrier, who)


def notes(site: Site, request: PlanRequest) -> tuple[str, ...]:
    """What the rules forbid and prefer for it, and how they have it planned, each in a sentence."""
    rules = site.board.rules
    if rules.empty and not rules.steers:
        return ()
    who = facts(site, request)
    found = site.board.verdicts(who).values()
    return (*(str(each) for each in found if each.word is not Word.ALLOW), *site.board.wishes(who).told)


@contextmanager
def shut_told(site: Site, asked: Ask) -> Iterator[None]:
    """Within it, a refusal says too which of the job's regions take no new starts now, and why."""
    try:
        yield
    except Refused as error:
        open_to_it = (region.name for region in site.board.stated if allowed(asked, region.name))
        said = "; ".join(filter(None, map(site.board.shut, open_to_it)))
        raise (Refused(f"{error} ({said})") if said else error) from None


def defaulted(site: Site, request: Request, now: datetime) -> tuple[Request, tuple[str, ...]]:
    """The request with what its project asks for where it says nothing itself, and that in words."""
    rules = site.board.rules
    table = rules.projects.get(request.project)
    if table is None:
        return request, ()
    changes = _changes(table, request, site.settings.default_duration, now)
    place = rules.places.get(request.project, "the configuration")
    told = tuple(f"{words}: by default of project {request.project} ({place})" for words, _ in changes)
    values = {name: value for _, found in changes for name, value in found.items()}
    return request.model_copy(update=values), told


def _changes(
    table: ProjectTable, request: PlanRequest, usual: timedelta, now: datetime
) -> list[tuple[str, dict[str, Any]]]:
    """What the project sets, in words and as values."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name in ("regions", "exclude_regions"):
        if (value := getattr(table, name)) and not getattr(request, name):
            found.append((f"{name.replace('_', ' ')} {', '.join(value)}", {name: value}))
    if table.priority is not None and "priority" not in request.model_fields_set:
        found.append((f"priority {table.priority}", {"priority": table.priority}))
    if isinstance(request, SubmitRequest) and table.retries is not None and not request.retries:
        found.append((f"retries {table.retries}", {"retries": table.retries}))
    if table.pausing is not None and request.pausing is None:
        found.append((f"may be paused (by {table.pausing.by})", {"pausing": table.pausing}))
    if table.slack is not None and request.finish_by is None and request.start_by is None:
        length_s = request.duration_s or request.time_limit_s or usual.total_seconds()
        finish_by = now + timedelta(seconds=length_s) + table.slack
        said = f"slack {short(table.slack)}, so to finish by {finish_by:%Y-%m-%d %H:%M} UTC if it can"
        found.append((said, {"finish_by": finish_by, "late": True}))
    return found
