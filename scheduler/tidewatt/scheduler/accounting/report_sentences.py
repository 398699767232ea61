"""What a report says in sentences, from the message alone."""

from tidewatt.scheduler.accounting.quantity import counted, hours, kwh, mass
from tidewatt.scheduler.accounting.report_schema import HoldOut, OwnUse, Report, ReportGroup, SignalTotal
from tidewatt.scheduler.accounting.report_words import STARTS, band, known, quantified, saved_g, titles_of


def lines(report: Report) -> list[str]:
    """Sentences to stand below the tables: what is counted, what was saved, what it cost in waiting."""
    total = report.total
    if not total.jobs:
        return ["No job ran and ended in this time."]
    found = [_counts(total), _energy(total)]
    if total.signals_disagree:
        found.append(
            "The signals disagree: by one of them waiting saved carbon, by another it cost carbon. So no "
            "saving is claimed."
        )
    titles = titles_of(report)
    for each in total.signals:
        title = titles[each.signal, each.kind]
        found += _saving(title, each, total.unverified, report.baseline)
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


def _saving(title: str, total: SignalTotal, unverified: int, baseline: str) -> list[str]:
    """The saving under its signal's name; a saving is a footprint that is lower by as much."""
    saved, immediate = saved_g(total, baseline), getattr(total, f"{baseline}_g")
    if saved is None:
        return [f"{title}: {mass(total.emissions_g)} emitted; no saving is settled."]
    marginal = total.signal == "marginal"
    named = f"change of the location-based footprint {mass(-saved, sign=True)}"
    if marginal:
        named = f"estimated avoided emissions {mass(saved, sign=True)}"
    aside = f", {unverified} unverified beside them" if unverified else ""
    other = "hypothetical" if baseline == "feasible" else "feasible"
    first = (
        f"{title}: {named}{_percent(saved, immediate, not marginal)} of the {mass(immediate)} above idle "
        f"that starting {STARTS[baseline]} would have emitted ({total.settled} settled{aside}); "
        f"saved against starting {STARTS[other]}: {mass(saved_g(total, other), sign=True)}. "
        f"{mass(total.emissions_g)} emitted in all, idle draw included. Source: {'; '.join(total.sources)}."
    )
    found = [first, f"{title}: {_certainty(total)}"]
    if parts := _parts(total, baseline):
        found.append(f"{title}: saved by {parts}.")
    if total.forecast_saved_g is not None:
        of = "" if total.forecast_jobs == total.settled else f" of {counted(total.forecast_jobs, 'job')}"
        found.append(
            f"{title}: the plans{of} promised {mass(total.forecast_saved_g, sign=True)} against starting in "
            f"turn, {mass(total.forecast_realised_g, sign=True)} came true."
        )
    return found


def _certainty(total: SignalTotal) -> str:
    """Grade and interval of a saving, and the errors that nobody knows."""
    text = f"{total.grade}. " if total.grade else ""
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
    named = [
        ("time", levers.time_hypothetical_g if baseline == "hypothetical" else levers.time_feasible_g),
        ("region", levers.region_g),
        ("efficiency", levers.efficiency_g),
        ("pauses", levers.pauses_g),
        ("lost work", levers.lost_work_g),
        ("moved data", levers.transfer_g),
    ]
    parts = [f"{name} {mass(grams, sign=True)}" for name, grams in named if grams]
    if levers.unverified_efficiency_g:
        parts.append(f"beside them efficiency, unverified: {mass(levers.unverified_efficiency_g, sign=True)}")
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


def _percent(saved: float, baseline: float | None, as_change: bool = False) -> str:
    if not baseline:
        return ""
    return f" ({(-saved if as_change else saved) / baseline:+.1%})"
