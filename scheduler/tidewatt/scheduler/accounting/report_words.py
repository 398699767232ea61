"""Words that tables, sentences and files of a report have in common."""

from tidewatt.scheduler.accounting.quantity import mass
from tidewatt.scheduler.accounting.report_schema import Report, ReportGroup, SignalTotal

STARTS = {"feasible": "in turn", "hypothetical": "at submission"}
Key = tuple[str, str]  # signal, kind


def titles_of(report: Report) -> dict[Key, str]:
    """A title for each kind: the signal's name, or all of the kind where a signal has several."""
    keys = [(each.signal, each.kind) for each in report.total.signals]
    signals = [signal for signal, _ in keys]
    return {key: key[0] if signals.count(key[0]) == 1 else key[1] for key in keys}


def by_key(group: ReportGroup) -> dict[Key, SignalTotal]:
    return {(each.signal, each.kind): each for each in group.signals}


def saved_g(total: SignalTotal, baseline: str) -> float | None:
    return total.saved_hypothetical_g if baseline == "hypothetical" else total.saved_feasible_g


def quantified(total: SignalTotal) -> bool:
    return total.interval is not None and bool(total.interval.quantified)


def band(total: SignalTotal) -> str:
    """The interval, or that no error of it is known."""
    if total.interval is None or not total.interval.quantified:
        return "not known"
    return f"{mass(total.interval.low_g, sign=True)} to {mass(total.interval.high_g, sign=True)}"
