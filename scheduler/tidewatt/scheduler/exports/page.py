"""The report as one HTML file that needs nothing else: no network, no scripts, no fonts.

Everything that people have typed is escaped by the template; charts are made of numbers alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from tidewatt.scheduler.accounting.equivalence import Equivalence
from tidewatt.scheduler.accounting.quantity import hours, kwh, mass
from tidewatt.scheduler.accounting.report_schema import HoldOut, Report
from tidewatt.scheduler.accounting.report_words import not_over
from tidewatt.scheduler.exports import charts
from tidewatt.scheduler.exports.charts import GridStep
from tidewatt.scheduler.exports.facts import Facts, embodied
from tidewatt.scheduler.exports.page_saving import cards, forecasts, headline, levers
from tidewatt.scheduler.exports.page_table import Table, groups, jobs
from tidewatt.scheduler.exports.words import few, pues

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).parent / "templates"
_MOST_NAMED = 12  # meters, sources or errors
GROUPED = {
    "project": ("By project", "Project"),
    "user": ("By person", "Person"),
    "month": ("By month", "Month"),
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What the page shows. `report` is of all; `grouped` are the same jobs by project, user and month.

    `grid` are steps of the grid's intensity with the energy used in them, `zone` is their zone.
    """

    report: Report
    grouped: Sequence[Report]
    receipts: Sequence[Facts]
    made_at: datetime
    likenesses: Sequence[Equivalence] = ()
    grid: Sequence[GridStep] = ()
    zone: str = ""
    sources: Sequence[str] = field(default=())
    subject: str = ""  # of which jobs, where it is not all of them: "project nlp"


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid beside what ran in it, and both in words."""

    zone: str
    chart: Markup
    top_gco2_per_kwh: str
    top_kwh: str
    first: str
    last: str
    words: str


def html(contents: Contents) -> str:
    """The page."""
    report = contents.report
    said, support = headline(report)
    return _template().render(
        title="Energy and carbon of training" + (f": {contents.subject}" if contents.subject else ""),
        period=_period(contents),
        made_at=f"{contents.made_at:%Y-%m-%d %H:%M} UTC",
        version=version("tidewatt"),
        headline=said,
        support=support,
        disagree=report.total.signals_disagree,
        tiles=_tiles(contents),
        cards=cards(report),
        tables=[*_grouped(contents)],
        levers=levers(report),
        forecast=forecasts(report),
        grid=_grid(contents),
        likenesses=contents.likenesses,
        jobs=jobs(contents.receipts, report) if contents.receipts else None,
        beside=_beside(report, contents.receipts),
        method=_method(contents),
        baseline=report.baseline,
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _shown(value: object) -> object:
    """Words with the letters written out that would steer how others are shown; charts as they are."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return " ".join(
        "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in word)
        for word in value.split()
    )


def _period(contents: Contents) -> str:
    """From when to when; of a report over all time, from the first start."""
    report = contents.report
    starts = [each.started for each in contents.receipts if each.started is not None]
    since = report.since or min(starts, default=None)
    until = report.until or contents.made_at
    return f"{since:%Y-%m-%d} to {until:%Y-%m-%d}" if since else f"until {until:%Y-%m-%d}"


def _tiles(contents: Contents) -> list[tuple[str, str, str]]:
    """The absolute numbers: title, value, how got."""
    total = contents.report.total
    found = [
        ("Energy with PUE", kwh(total.facility_kwh), f"{kwh(total.energy_kwh)} at the machines"),
    ]
    found += [
        (f"Emitted, {each.signal}", mass(each.emissions_g), f"{each.jobs} of {total.jobs} jobs")
        for each in total.signals
    ]
    words = ("final", "provisional", "unverified", "unsettled")
    states = ", ".join(f"{getattr(total, word)} {word}" for word in words if getattr(total, word))
    return [*found, ("Jobs that ran and ended", f"{total.jobs:,}", states)]


def _grouped(contents: Contents) -> list[Table]:
    return [
        groups(report, *GROUPED[report.by])
        for report in contents.grouped
        if report.by in GROUPED and report.groups
    ]


def _grid(contents: Contents) -> Grid | None:
    steps = contents.grid
    known = [step for step in steps if step.gco2_per_kwh is not None]
    if not known:
        return None
    used = [(step.gco2_per_kwh or 0, step.kwh) for step in known if step.kwh]
    mean = sum(step.gco2_per_kwh or 0 for step in known) / len(known)
    words = f"Mean of the grid {mean:.0f} g/kWh"
    if used:
        weighed = sum(level * used_kwh for level, used_kwh in used) / sum(used_kwh for _, used_kwh in used)
        words += f"; of the energy used in it {weighed:.0f} g/kWh"
    return Grid(
        zone=contents.zone,
        chart=charts.timeline(steps),
        top_gco2_per_kwh=f"{max(step.gco2_per_kwh or 0 for step in known) * 1.1:.0f} g/kWh",
        top_kwh=kwh(max((each for _, each in used), default=0.0)),
        first=f"{steps[0].start:%Y-%m-%d %H:%M}",
        last=f"{steps[-1].end:%Y-%m-%d %H:%M}",
        words=words,
    )


def _beside(report: Report, receipts: Sequence[Facts]) -> list[str]:
    """What is in no saving, or in no number at all."""
    total = report.total
    found = not_over(report)
    if total.unverified:
        found.append(
            f"{total.unverified} unverified: their energy is in the totals, their saving is not, as no"
            " observations of the grid came."
        )
    if total.unsettled:
        found.append(f"{total.unsettled} not settled yet: the grid's observations are still awaited.")
    if total.unmetered:
        found.append(
            f"{total.unmetered} not metered: they are in no energy and no carbon, which is not zero."
        )
    if total.jobs and any(each.settled for each in total.signals):
        found.append(
            f"For the savings the settled jobs waited {hours(total.waited_h)} since submission, of it"
            f" {hours(total.held_back_h)} past their turn; {total.idle_gpu_h:.1f} GPU-hours were left idle."
        )
    if made := embodied(receipts):
        found.append(f"{made[0].upper()}{made[1:]}; decisions do not look at it.")
    if report.own is not None:
        own = "not metered" if report.own.energy_kwh is None else kwh(report.own.energy_kwh)
        grams = ", ".join(f"{mass(value)} {name}" for name, value in report.own.emissions_g.items())
        found.append(f"Tidewatt's own use: {own}{f' ({grams})' if grams else ''}; {report.own.how}.")
    if report.hold_out is not None:
        found.append(_hold_out(report.hold_out))
    return found


def _hold_out(lot: HoldOut) -> str:
    counts = f"Hold-out, {lot.share:.0%} of flexible jobs: {lot.held_out} ran at once, {lot.shifted} shifted"
    if lot.effect is None:
        return f"{counts}. {lot.note}"
    spread = "" if lot.low is None or lot.high is None else f" ({lot.low:+.0f} to {lot.high:+.0f})"
    return f"{counts}; effect {lot.effect:+.0f} g/kWh{spread}, {lot.signal}. {lot.note}"


def _method(contents: Contents) -> list[tuple[str, str]]:
    """The method page: what stands behind each number."""
    report, receipts = contents.report, contents.receipts
    intervals = [each.interval for each in report.total.signals if each.interval is not None]
    versions = dict.fromkeys(each.account.method_version for each in receipts if each.account.method_version)
    told: dict[str, Iterable[str]] = {
        "Energy": (
            f"{part.component}: {part.how} ({part.source})"
            for each in receipts
            for part in each.account.components
        ),
        "Boundary": (each.account.boundary for each in receipts),
        "PUE": pues(receipts),
        "Carbon intensity, as observed": (
            f"{each.signal}: {'; '.join(each.sources)} ({each.kind})" for each in report.total.signals
        ),
        "Errors in the intervals": (name for each in intervals for name in each.quantified),
        "Not quantified": (name for each in intervals for name in each.not_quantified),
    }
    found = [
        *((name, few(words, _MOST_NAMED)) for name, words in told.items()),
        ("Version of the method", ", ".join(versions)),
        *(("Note", each) for each in contents.sources),
    ]
    return [(name, text) for name, text in found if text]
