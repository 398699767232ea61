"""What a report says in sentences, from the message alone."""

from tidewatt.scheduler.accounting.difference import less, less_than, named, share
from tidewatt.scheduler.accounting.quantity import counted, hours, kwh, mass
from tidewatt.scheduler.accounting.report_schema import HoldOut, OwnUse, Report, ReportGroup, SignalTotal
from tidewatt.scheduler.accounting.report_words import (
    STARTS,
    band,
    known,
    not_over,
    quantified,
    saved_g,
    titles_of,
    with_own,
)


def lines(report: Report) -> list[str]:
    """Sentences to stand below the tables: what is counted, what was saved, what it cost in waiting."""
    total = report.total
    if not total.jobs:
        return ["No job ran and ended in this time.", *not_over(report)]
    found = [_counts(total), *not_over(report), _energy(total)]
    if total.signals_disagree:
        found.append(f"The signals disagree: {_sides(report)}. So no saving is claimed.")
    titles = titles_of(report)
    for each in total.signals:
        title = titles[each.signal, each.kind]
        found += _saving(title, each, report)
    if not total.signals:
        found.append("Carbon is not known: no job has observations of a configured zone yet.")
    if any(each.settled for each in total.signals):
        found.append(
            f"For this the settled jobs waited {hours(total.waited_h)} since submission and "
            f"{_turn(total.held_back_h)}; {total.idle_gpu_h:.1f} GPU-hours were left idle."
        )
    if report.own is not None:
        found.append(_own(report.own))
    if report.hold_out is not None:
        found.append(_hold_out(report.hold_out))
    return found


def _sides(report: Report) -> str:
    """By which signals carbon was saved, and by which it was not."""
    savings = [(each.signal, saved_g(each, report.baseline) or 0.0) for each in report.total.signals]
    saved = dict.fromkeys(signal for signal, grams in savings if grams > 0)
    cost = dict.fromkeys(signal for signal, grams in savings if grams < 0)
    gained, lost = " and ".join(saved), " and ".join(cost)
    return f"waiting saved carbon by the {gained} signal, and cost carbon by the {lost} one"


def _turn(held_back_h: float) -> str:
    """Hours past the turn that the jobs would have had without waiting for clean power."""
    if held_back_h < 0:
        return f"ran {hours(-held_back_h)} before their turn"
    return f"{hours(held_back_h)} past their turn"


def _counts(total: ReportGroup) -> str:
    words = [
        (total.final, "final"),
        (total.provisional, "provisional, to be restated"),
        (total.unverified, "unverified: in the energy, not in the savings"),
        (total.unsettled, "not settled yet"),
    ]
    states = "; ".join(f"{count} {word}" for count, word in words if count)
    return f"{counted(total.jobs, 'job')} ran: {states}."


def _energy(total: ReportGroup) -> str:
    if total.energy_kwh is None and not total.unmetered:
        return "Energy: not computed yet."
    text = f"Energy: {kwh(total.energy_kwh)} at the machines, {kwh(total.facility_kwh)} with PUE"
    return f"{text}; {total.unmetered} not metered." if total.unmetered else f"{text}."


def _saving(title: str, total: SignalTotal, report: Report) -> list[str]:
    """The saving under its signal's name, with both of the sides that it is the difference of."""
    saved, immediate = saved_g(total, report.baseline), getattr(total, f"{report.baseline}_g")
    if saved is None:
        return [f"{title}: {mass(total.emissions_g)} emitted; no saving is settled."]
    found = [f"{title}: {_difference(total, report, saved, immediate)}"]
    found.append(f"{title}: {_certainty(total, agree=not report.total.signals_disagree)}")
    if parts := _parts(total, report.baseline):
        found.append(f"{title}: of it by {parts}.")
    promised, came_true = total.forecast_saved_g, total.forecast_realised_g
    if promised is not None and came_true is not None:
        of = "" if total.forecast_jobs == total.settled else f" of {counted(total.forecast_jobs, 'job')}"
        found.append(
            f"{title}: the plans{of} promised {less_than(promised, 'starting at once')}; against starting in "
            f"turn it came to {less(came_true)}. Plans count the power expected, accounts the energy metered."
        )
    return found


def _difference(total: SignalTotal, report: Report, saved: float, immediate: float) -> str:
    """Actual and baseline, what lies between them, and all that was emitted."""
    other = "hypothetical" if report.baseline == "feasible" else "feasible"
    other_g = saved_g(total, other)
    beside = "not known" if other_g is None else less(other_g)
    unverified = report.total.unverified
    words = [share(saved, immediate), f"{total.settled} settled"]
    words += [f"{unverified} unverified beside them"] if unverified else []
    return (
        f"{mass(total.actual_g)} above idle{with_own(report, total)}, instead of {mass(immediate)} by "
        f"starting {STARTS[report.baseline]}: {named(total.signal, saved)} "
        f"({', '.join(filter(None, words))}); against starting {STARTS[other]}: {beside}. "
        f"{mass(total.emissions_g)} emitted in all, idle draw included. Source: {'; '.join(total.sources)}."
    )


def _certainty(total: SignalTotal, *, agree: bool) -> str:
    """Grade and interval of a saving, and the errors that nobody knows."""
    why = ", as the signals disagree" if total.grade == "inconclusive" and not agree else ""
    text = f"{total.grade}{why}. " if total.grade else ""
    if total.interval is None or not quantified(total):
        text += "How far the saving may be off is not known: no error of it is published."
    else:
        text += f"90 % interval: {band(total)}, from {'; '.join(total.interval.quantified)}."
        if not known(total):
            text += " How far the rest may be off is not known."
    unknown = () if total.interval is None else total.interval.not_quantified
    return f"{text} Not quantified: {'; '.join(unknown)}." if unknown else text


def _parts(total: SignalTotal, baseline: str) -> str:
    """The levers that did anything, in words."""
    levers = total.levers
    if levers is None:
        return ""
    levers_named = [
        ("time", levers.time_hypothetical_g if baseline == "hypothetical" else levers.time_feasible_g),
        ("region", levers.region_g),
        ("efficiency", levers.efficiency_g),
        ("pauses", levers.pauses_g),
        ("lost work", levers.lost_work_g),
        ("moved data", levers.transfer_g),
    ]
    parts = [f"{name} {less(grams)}" for name, grams in levers_named if grams]
    if levers.unverified_efficiency_g:
        parts.append(f"beside them efficiency, unverified: {less(levers.unverified_efficiency_g)}")
    return ", ".join(parts)


def _own(own: OwnUse) -> str:
    emitted = ", ".join(f"{mass(grams)} ({signal})" for signal, grams in own.emissions_g.items())
    how = f" ({own.how})" if own.how else ""
    carbon = f", {emitted or 'carbon not known'}; it is counted against the savings of all jobs together."
    return f"Tidewatt itself used {kwh(own.energy_kwh)}{how}{carbon}"


def _hold_out(found: HoldOut) -> str:
    """What the jobs that ran at once by lot show."""
    counted = f"Hold-out ({found.share:.3g} of flexible jobs by lot, {found.signal} signal):"
    jobs = f"{found.held_out} ran at once, {found.shifted} were shifted."
    if found.mean_held_out is None or found.mean_shifted is None or found.effect is None:
        return f"{counted} {jobs} {found.note}"
    means = f"They emitted {found.mean_held_out:.0f} and {found.mean_shifted:.0f} g/kWh above idle"
    effect = f"shifting changed that by {found.effect:+.0f} g/kWh"
    if found.low is not None and found.high is not None:
        effect += f" (90 % interval {found.low:+.0f} to {found.high:+.0f})"
    return f"{counted} {jobs} {means}: {effect}. {found.note}"
