"""What was saved against immediate execution, by lever, project and person; signals are never added."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tidewatt.scheduler.accounting.equivalence import equivalences
from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.accounting.report_words import not_over, saved_g
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.exports.page_saving import cards, forecasts, headline, levers
from tidewatt.scheduler.exports.page_table import groups
from tidewatt.scheduler.page.adding import Sums
from tidewatt.scheduler.page.desk import Desk
from tidewatt.scheduler.page.routing import VisitorOf
from tidewatt.scheduler.page.templating import screen

DAY_S = 86_400.0
SPANS = {
    "7d": ("7 days", 7 * DAY_S),
    "30d": ("30 days", 30 * DAY_S),
    "365d": ("a year", 365 * DAY_S),
    "all": ("all time", None),
}
BASELINES = {
    "feasible": "starting in turn, when its GPUs were first free",
    "hypothetical": "starting at once, on an empty machine",
}
GROUPED = (
    ("project", "By project", "Project"),
    ("user", "By person", "Person"),
    ("month", "By month", "Month"),
)


def routes(pages: APIRouter, desk: Desk, visitor_of: VisitorOf) -> None:
    """Adds the screen."""
    sums: Sums[dict[str, Any]] = Sums()

    @pages.get("/savings")
    def savings(request: Request, since: str = "30d", baseline: str = "feasible") -> HTMLResponse:
        if since not in SPANS:
            raise BadInput(f"savings are shown of {', '.join(SPANS)}: {since!r} is none of them")
        if baseline not in BASELINES:
            raise BadInput(f"there is no baseline {baseline!r}: choose from {', '.join(BASELINES)}")
        visitor = visitor_of(request)
        key = visitor.name, visitor.operator, since, baseline
        values = sums.of(key, lambda: contents(desk, since, baseline))
        chosen: dict[str, Any] = {
            "spans": SPANS,
            "since": since,
            "baselines": BASELINES,
            "baseline": baseline,
        }
        if values is None:
            return screen("adding.html", visitor, here="savings", **chosen)
        return screen("savings.html", visitor, here="savings", **chosen, **values)


def contents(desk: Desk, since: str, baseline: str) -> dict[str, Any]:
    """The report in words, cards and tables."""
    since_s = SPANS[since][1]
    report = desk.report(since_s, "none", baseline)
    said, support = headline(report)
    grouped = [
        groups(found, heading, word)
        for by, heading, word in GROUPED
        if report.total.jobs and (found := desk.report(since_s, by, baseline)).groups
    ]
    return {
        "report": report,
        "total": report.total,
        "said": said,
        "support": support,
        "cards": cards(report),
        "levers": levers(report),
        "forecast": forecasts(report),
        "grouped": grouped,
        "likenesses": _likenesses(report),
        "not_over": not_over(report),
    }


def _likenesses(report: Report) -> Any:
    """Of the average signal's saving alone, where one may be claimed."""
    if report.total.signals_disagree:
        return ()
    known = [each for each in report.total.signals if each.signal == "average"]
    grams = saved_g(known[0], report.baseline) if known and known[0].grade != "inconclusive" else None
    return () if grams is None else equivalences(grams)
