"""Savings on the page: a card for each signal, taken apart by lever, and beside its forecast."""

from dataclasses import dataclass

from markupsafe import Markup

from tidewatt.scheduler.accounting.difference import less, share
from tidewatt.scheduler.accounting.quantity import counted, mass
from tidewatt.scheduler.accounting.report_schema import Report, SignalTotal
from tidewatt.scheduler.accounting.report_words import (
    STARTS,
    band,
    known,
    saved_g,
    titles_of,
    with_own,
)
from tidewatt.scheduler.exports import charts
from tidewatt.scheduler.exports.page_table import Cell, Table
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
    known = [each for each in total.signals if saved_g(each, report.baseline) is not None]
    if not known:
        return "No saving is settled yet.", "Energy and emissions below are what is known so far."
    if total.signals_disagree:
        return (
            "The signals disagree: no saving is claimed.",
            "By one of them running later or elsewhere saved carbon, by another it cost carbon.",
        )
    first = next((each for each in known if each.signal == "average"), known[0])
    value = saved_g(first, report.baseline) or 0.0
    of = share(value, getattr(first, f"{report.baseline}_g"))
    of = f" ({of})" if of else ""
    if first.grade == "inconclusive":
        said = f"Inconclusive: {less(value)}{of}, within the error of the numbers."
    elif value < 0:
        said = f"{mass(-value)} more{of} emitted than by {_against(report)}."
    else:
        estimated = "" if first.grade == "verified" else "An estimated "
        said = f"{estimated}{mass(value)} saved{of} against {_against(report)}."
    return said, _support(first)


def cards(report: Report) -> list[Card]:
    """A card for each kind of series; their numbers are never added."""
    named = titles_of(report)
    several = {key: name for key, name in named.items() if name == key[1] and key[0] != key[1]}
    return [_card(each, report, several.get((each.signal, each.kind), "")) for each in report.total.signals]


def levers(report: Report) -> Table | None:
    """The savings taken apart, a column for each signal; each column sums to its saving."""
    named = titles_of(report)
    known = [(each, each.levers) for each in report.total.signals if each.levers is not None]
    if not known:
        return None
    columns = [_lever_column(each, parts, report) for each, parts in known]
    labels = [Cell("Time", note="run when the grid was cleaner")]
    labels += [Cell(title, note=why) for _, title, why in LEVERS]
    labels += [Cell("Tidewatt itself", note="what the scheduler and its meter emitted")] if report.own else []
    rows = list(zip([*labels, Cell("Saving", note="the sum")], *columns, strict=True))
    head = ["Lever", *(f"Saved, {named[each.signal, each.kind]}" for each, _ in known)]
    apart = [
        f"{mass(parts.unverified_efficiency_g, sign=True)} {named[each.signal, each.kind]}"
        for each, parts in known
        if parts.unverified_efficiency_g is not None
    ]
    note = f"Efficiency, unverified (no measured pair, in no sum): {', '.join(apart)}." if apart else ""
    return Table("By lever", tuple(head), tuple(rows), note)


def forecasts(report: Report) -> Table | None:
    """What plans promised at launch beside what came of it."""
    named = titles_of(report)
    both = [
        (each, promised, realised)
        for each in report.total.signals
        if (promised := each.forecast_saved_g) is not None
        and (realised := each.forecast_realised_g) is not None
    ]
    if not both:
        return None
    values = [value for _, promised, realised in both for value in (promised, realised)]
    low, high = min(values), max(values)
    rows = [
        (
            Cell(
                named[each.signal, each.kind],
                note=counted(each.forecast_jobs, "job"),
            ),
            Cell(mass(promised, sign=True), charts.diverging(promised, low, high)),
            Cell(mass(realised, sign=True), charts.diverging(realised, low, high)),
        )
        for each, promised, realised in both
    ]
    note = (
        "Promised: by the plan that a job was launched with, at the power expected, against starting at "
        "once. Realised: as settled, of the energy metered, against starting in turn."
    )
    return Table("Forecast beside realised", ("Signal", "Promised", "Realised"), tuple(rows), note)


def _card(total: SignalTotal, report: Report, kind: str) -> Card:
    value, baseline = saved_g(total, report.baseline), getattr(total, f"{report.baseline}_g")
    claimed = value is not None and not report.total.signals_disagree
    interval, chart = total.interval, Markup("")
    if interval is not None and value is not None and known(total):
        chart = charts.interval(interval.low_g, value, interval.high_g)
    facts = [
        ("Emitted in all, idle draw and PUE included", mass(total.emissions_g)),
        (f"Actual, above idle{with_own(report, total)}", mass(total.actual_g)),
        (f"Baseline, {_against(report)}", mass(baseline)),
        ("Settled jobs", f"{total.settled} of {report.total.jobs} that ended"),
    ]
    lacks = "" if interval is None else "; ".join(interval.not_quantified)
    return Card(
        title=NAMES.get(total.signal, total.signal) + (f": {kind}" if kind else ""),
        saving="not settled" if value is None else less(value),
        percent="" if value is None else share(value, baseline),
        grade=(total.grade or "not graded") if claimed else "no claim" if value is not None else "",
        range=f"90 % interval {band(total)}" if value is not None else "",
        chart=chart,
        facts=tuple(facts),
        lacks=lacks,
    )


def _lever_column(total: SignalTotal, parts: LeversView, report: Report) -> list[Cell]:
    values = [getattr(parts, f"time_{report.baseline}_g"), *(getattr(parts, name) for name, _, _ in LEVERS)]
    if report.own is not None:
        own = report.own.emissions_g.get(total.signal)
        values.append(None if own is None else -own)
    known: list[float] = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    cells = [Cell(_signed(value), charts.diverging(value, low, high)) for value in values]
    return [*cells, Cell(_signed(saved_g(total, report.baseline)))]


def _signed(grams: float | None) -> str:
    return "unknown" if grams is None else mass(grams, sign=True)


def _support(total: SignalTotal) -> str:
    words = [f"Grade: {total.grade}" if total.grade else "Not graded", f"90 % interval {band(total)}"]
    name = "estimated avoided emissions" if total.signal == "marginal" else "location-based footprint"
    return f"{'; '.join(words)}. By the {total.signal} signal ({name}), {total.settled} settled jobs."


def _against(report: Report) -> str:
    return f"starting {STARTS[report.baseline]}"
