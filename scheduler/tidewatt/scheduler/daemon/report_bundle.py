"""Gathers the bundle of a report: the accounts of all its jobs, and the intensity they were made with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Series
from tidewatt.scheduler.accounting.frozen import MICRO
from tidewatt.scheduler.accounting.report import BASELINES, BY
from tidewatt.scheduler.daemon import lookback
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.proof import bundle, cells_check, intensity, lines
from tidewatt.scheduler.proof.chain import EMPTY
from tidewatt.scheduler.proof.factors import factors_of
from tidewatt.scheduler.proof.heads import Head
from tidewatt.scheduler.proof.intensity import Answer
from tidewatt.scheduler.proof.prices import Place, Prices
from tidewatt.scheduler.proof.report_case import Choice, JobTold, ReportCase, computed, counted, told
from tidewatt.scheduler.store import Store

Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Gathered:
    """The parts of a report's bundle."""

    inputs: Mapping[str, Any]
    chain: bytes
    files: Mapping[str, bytes]
    numbers: Sequence[int]  # of the events that tell of an account


def asked(site: Site, since_s: float | None, by: str, baseline: str, head: Head) -> ReportCase:
    """What was asked for, as of the head of the ledger.

    Raises:
        BadInput: where a report cannot be grouped like that, there is no such baseline, or it is no time.
    """
    if by not in BY or baseline not in BASELINES:
        raise BadInput(f"choose --by from {', '.join(BY)} and --baseline from {', '.join(BASELINES)}")
    since = lookback.since(since_s, moment(head.time_ms))
    since_ms = None if since is None else time_ms(since)
    return ReportCase(since_ms, head.time_ms, by, baseline, round(site.settings.hold_out * MICRO), {})


def gathered(site: Site, store: Store, case: ReportCase, head: Head) -> Gathered:
    """Everything that the report stands on, as of a head of the ledger: from its first event on."""
    ended = store.accounts_since(case.since_ms or 0)
    if not ended:
        raise BadInput("no job has ended in this time: there is nothing to bundle")
    accounts = store.newest_accounts(head.seq)
    numbers = {each.job_id for each in ended} | store.ended_untold()
    newest = {number: accounts.get(number, 0) for number in numbers}
    content = lines.written(store.stretch(0, head.seq), EMPTY, Choice(newest))
    events = lines.read(content).events  # what whoever verifies will see, and no more
    jobs = counted(told(events), case)
    labels = {each.job_id: each.labels for each in ended if each.labels}
    case = replace(case, labels=labels)
    entries, files = _intensity(site, jobs)
    published = computed(jobs, events, case).model_dump_json(indent=2).encode()
    return Gathered(
        {**case.form(), "intensity": entries},
        content,
        {**files, bundle.PUBLISHED: published},
        [job.settled_seq for job in jobs if job.settled_seq],
    )


def _intensity(site: Site, jobs: Sequence[JobTold]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """One series for each place; for an account that knew other numbers, those as it knew them."""
    hulls: dict[Place, Stretch] = {}
    for job in jobs:
        for place, stretch in _needed(job).items():
            hulls[place] = _hull(hulls.get(place), stretch)
    now = site.clock.now()
    general = {place: _observed(site, place, stretch, now) for place, stretch in sorted(hulls.items())}
    known = {place: series for place, series in general.items() if series is not None}
    entries, files = _told(hulls, known, 0)
    for number in cells_check.check(jobs, Prices(known, {})).wrong:
        job = next(each for each in jobs if each.job_id == number)
        if job.record is None:
            continue
        needed, then = _needed(job), moment(job.record["settled_at_ms"])
        own = {place: _observed(site, place, stretch, then) for place, stretch in needed.items()}
        more, content = _told(
            needed, {place: each for place, each in own.items() if each is not None}, number
        )
        entries, files = entries + more, files | content
    return entries, files


def _told(
    stretches: Mapping[Place, Stretch], known: Mapping[Place, Series], job_id: int
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    answers = [Answer((*place, *stretches[place]), known[place]) for place in sorted(known)]
    entries, files = intensity.written(answers)
    return [{**each, "job_id": job_id} for each in entries], files


def _observed(site: Site, place: Place, stretch: Stretch, now: datetime) -> Series | None:
    zone, signal = place
    start, end = (moment(edge) for edge in stretch)
    return site.chain.observations(zone, Signal(signal), start, end, now)


def _needed(job: JobTold) -> dict[Place, Stretch]:
    """What the account of a job asked of each place: where it ran, and home from both baselines on."""
    record = job.record
    if record is None or not record.get("profile"):
        return {}
    edges = [edge for row in record["profile"] for cell in row["cells"] for edge in cell[:2]]
    ran = min(edges), max(edges)
    length_ms = max(cell[2] + cell[1] - cell[0] for row in record["profile"] for cell in row["cells"])
    begins = [job.frozen["submitted_ms"], record.get("feasible_start_ms")]
    baselines = [(begin, begin + length_ms) for begin in begins if begin is not None]
    factors = factors_of(job)
    found: dict[Place, Stretch] = {}
    zones = [factors.home_zones, *(each["zones"] for each in factors.attempts.values())]
    for signal in sorted({signal for each in zones for signal in each}):
        for attempt_id, launched in factors.attempts.items():
            at_ms = factors.launched_ms[attempt_id]
            _widen(found, (launched["zones"].get(signal, ""), signal), (min(ran[0], at_ms), ran[1]))
            origin = launched.get("transfer", {}).get("zones", {}).get(signal, "")
            _widen(found, (origin, signal), (at_ms, at_ms + 1))
        for stretch in baselines:
            _widen(found, (factors.home_zones.get(signal, ""), signal), stretch)
    return found


def _widen(found: dict[Place, Stretch], place: Place, stretch: Stretch) -> None:
    if place[0]:
        found[place] = _hull(found.get(place), stretch)


def _hull(one: Stretch | None, other: Stretch) -> Stretch:
    return other if one is None else (min(one[0], other[0]), max(one[1], other[1]))
