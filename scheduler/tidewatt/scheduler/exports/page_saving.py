"""Savings on the page: a card for each signal, taken apart by lever, and beside its forecast."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tidewatt.scheduler.accounting.quantity import mass
from tidewatt.scheduler.accounting.report_schema import Report, SignalTotal
from tidewatt.scheduler.exports import charts
from tidewatt.scheduler.exports.page_table import Cell, Table, percent, saved, titles
from tidewatt.scheduler.schemas import LeversView

NAMES = {
    "average": "Location-based footprint (average signal)",
    "marginal": "Estimated avoided emissions (marginal signal)",
}
LEVERS = (
    ("region_g", "Region", "run where the grid was cleaner"),
    ("efficiency_g", "Efficiency", "measured pairs of runs on other hardware"),
    ("pauses_g", "Pauses", "checkpoints, restarts and suspended draw"),
    ("lost_work_g", "Lost work", "running time that no later attempt kept"),
    ("transfer_g", "Transfer", "data moved to another region"),
)


@dataclass(frozen=True, slots=True)
class Card:
    """One signal's account: what may be said of the saving, and the absolute numbers beside it."""

    title: str
    saving: str
    percent: str
    grade: str
    range: str
    chart: Markup
    facts: tuple[tuple[str, str], ...]
    lacks: str


def headline(report: Report) -> tuple[str, str]:
    """What the report says in one line, and what that rests on."""
    total = report.total
    if not total.jobs:
        return "No job ran and ended in this time.", ""
    known = [each for each in total.signals if saved(each, report.baseline) is not None]
    if not known:
        return "No saving is settled yet.", "Energy and emissions below are what is known so far."
    if total.signals_disagree:
        return (
            "The signals disagree: no saving is claimed.",
            "By one of them running later or elsewhere saved carbon, by another it cost carbon.",
        )
    first = next((each for each in known if each.signal == "average"), known[0])
    value = saved(first, report.baseline) or 0.0
    share = percent(abs(value), getattr(first, f"{report.baseline}_g")).lstrip("+")
    share = f" ({share})" if share else ""
    if first.grade == "inconclusive":
        said = f"Inconclusive: {mass(value, sign=True)} saved{share}, within the error of the numbers."
    elif value < 0:
        said = f"{mass(-value)} more{share} emitted than by {_against(report)}."
    else:
        said = f"{mass(value)} saved{share} against {_against(report)}."
    return said, _support(first)


def cards(report: Report) -> list[Card]:
    """A card for each kind of series; their numbers are never added."""
    named = titles(report)
    several = {key: name for key, name in named.items() if name == key[1] and key[0] != key[1]}
    return [_card(each, report, several.get((each.signal, each.kind), "")) for each in report.total.signals]


def levers(report: Report) -> list[Table]:
    """Each signal's saving taken apart; the parts sum to it."""
    named = titles(report)
    return [
        _levers(each, each.levers, report, named[each.signal, each.kind])
        for each in report.total.signals
        if each.levers is not None
    ]


def forecasts(report: Report) -> Table | None:
    """What plans promised at launch beside what came of it."""
    named = titles(report)
    both = [
        (each, promised, realised)
        for each in report.total.signals
        if (promised := each.forecast_saved_g) is not None
        and (realised := saved(each, report.baseline)) is not None
    ]
    if not both:
        return None
    values = [value for _, promised, realised in both for value in (promised, realised)]
    low, high = min(values), max(values)
    rows = [
        (
            Cell(named[each.signal, each.kind]),
            Cell(mass(promised, sign=True), charts.diverging(promised, low, high)),
            Cell(mass(realised, sign=True), charts.diverging(realised, low, high)),
        )
        for each, promised, realised in both
    ]
    note = "Promised: by the plan each job was launched with, against starting at once. Realised: as settled."
    return Table("Forecast beside realised", ("Signal", "Promised", "Realised"), tuple(rows), note)


def _card(total: SignalTotal, report: Report, kind: str) -> Card:
    value, baseline = saved(total, report.baseline), getattr(total, f"{report.baseline}_g")
    claimed = value is not None and not report.total.signals_disagree
    interval = total.interval
    chart, spread = Markup(""), "no interval is known"
    if interval is not None and value is not None:
        chart = charts.interval(interval.low_g, value, interval.high_g)
        spread = f"90 % interval {mass(interval.low_g, sign=True)} to {mass(interval.high_g, sign=True)}"
    facts = [
        ("Emitted in all, idle draw and PUE included", mass(total.emissions_g)),
        ("Actual, above idle", mass(total.actual_g)),
        (f"Baseline, {_against(report)}", mass(baseline)),
        ("Settled jobs", f"{total.settled} of {total.jobs}"),
    ]
    lacks = "" if interval is None else "; ".join(interval.not_quantified)
    return Card(
        title=NAMES.get(total.signal, total.signal) + (f": {kind}" if kind else ""),
        saving="not settled" if value is None else mass(value, sign=True),
        percent="" if value is None else percent(value, baseline),
        grade=(total.grade or "not graded") if claimed else "no claim" if value is not None else "",
        range=spread if value is not None else "",
        chart=chart,
        facts=tuple(facts),
        lacks=lacks,
    )


def _levers(total: SignalTotal, parts: LeversView, report: Report, name: str) -> Table:
    time = getattr(parts, f"time_{report.baseline}_g")
    found = [("Time", "run when the grid was cleaner", time)]
    found += [(title, why, getattr(parts, field)) for field, title, why in LEVERS]
    known: Sequence[float] = [value for _, _, value in found if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    rows = [
        (Cell(title, note=why), Cell("unknown" if value is None else mass(value, sign=True),
                                     charts.diverging(value, low, high)))
        for title, why, value in found
    ]  # fmt: skip
    whole = saved(total, report.baseline)
    rows.append(
        (Cell("Saving", note="the sum"), Cell("unknown" if whole is None else mass(whole, sign=True)))
    )
    apart = parts.unverified_efficiency_g
    note = ""
    if apart is not None:
        note = f"Efficiency, unverified (no measured pair; in no sum): {mass(apart, sign=True)}."
    return Table(f"By lever, {name}", ("Lever", "Saved"), tuple(rows), note)


def _support(total: SignalTotal) -> str:
    interval = total.interval
    words = [f"Grade: {total.grade}" if total.grade else "Not graded"]
    if interval is not None:
        words.append(f"90 % interval {mass(interval.low_g, sign=True)} to {mass(interval.high_g, sign=True)}")
    name = "estimated avoided emissions" if total.signal == "marginal" else "location-based footprint"
    return f"{'; '.join(words)}. By the {total.signal} signal ({name}), {total.settled} settled jobs."


def _against(report: Report) -> str:
    return "starting in turn" if report.baseline == "feasible" else "starting at submission"
