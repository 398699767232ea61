"""Words that tables, sentences and files of a report have in common."""

from tidewatt.scheduler.accounting.difference import less_between
from tidewatt.scheduler.accounting.published import KNOWN_PPM
from tidewatt.scheduler.accounting.quantity import counted, least, mass
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


def known(total: SignalTotal) -> bool:
    """True where the interval says how far the whole saving may be off, and not only a part of it."""
    return total.interval is not None and quantified(total) and total.interval.covered >= KNOWN_PPM / 1e6


def ends(total: SignalTotal) -> str:
    """The interval as savings with signs, or that no error of it is known; for tables of savings."""
    if total.interval is None or not quantified(total):
        return "not known"
    return f"{mass(total.interval.low_g, sign=True)} to {mass(total.interval.high_g, sign=True)}"


def band(total: SignalTotal) -> str:
    """The interval in words, with the share of what is at stake that it covers, or that no error is known."""
    if total.interval is None or not quantified(total):
        return "not known"
    alone = "" if known(total) else " by known errors alone"
    words = less_between(total.interval.low_g, total.interval.high_g)
    return f"{words}{alone} (covers {least(total.interval.covered)} of what is at stake)"


def not_over(report: Report) -> list[str]:
    """A sentence on the jobs that ran and have not ended; none where there is none, or nobody counted."""
    found = report.not_over
    if found is None or not found.jobs:
        return []
    whose = f" (of {found.of})" if found.of else ""
    verbs, their = ("has run and is", "its") if found.jobs == 1 else ("have run and are", "their")
    tries = f"of {their} attempts {found.attempts or 'none'} ended"
    return [f"{counted(found.jobs, 'job')}{whose} {verbs} not over: in no number yet ({tries})."]


def with_own(report: Report, total: SignalTotal) -> str:
    """Words for it where Tidewatt's own use is on a total's actual side: of a signal's kinds the largest."""
    if report.own is None or not report.own.emissions_g.get(total.signal):
        return ""
    alike = [each for each in report.total.signals if each.signal == total.signal]
    return ", Tidewatt's own use included" if total == max(alike, key=lambda each: each.settled) else ""
