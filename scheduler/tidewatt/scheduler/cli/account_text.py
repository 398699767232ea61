"""What a job used and saved, as people read it: 80 columns, every number with how it was got."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from tidewatt.scheduler.accounting.difference import less, less_between, less_than, named, share
from tidewatt.scheduler.accounting.published import KNOWN_PPM
from tidewatt.scheduler.accounting.quantity import least
from tidewatt.scheduler.cli.text import energy, folded, grams, lasting, local, percent, shown
from tidewatt.scheduler.client import Json

_PAUSES = 10  # that are listed one by one
_INDENT = " " * 11  # what a label and its gap take
_HARDLY = 0.01  # of what is at stake: an interval by known errors of less says nothing
_LEVERS = (
    ("region_g", "another region"),
    ("efficiency_g", "other hardware"),
    ("pauses_g", "pauses"),
    ("lost_work_g", "work that was lost"),
    ("transfer_g", "moved data"),
)


def account_lines(settlement: Json | None, now: datetime, *, brief: bool = False) -> Iterator[str]:
    """What a job used and saved, every number with how it was got; in brief without phases and notes."""
    yield from folded(_lines(settlement, now, brief=brief), _INDENT + "  ")


def _lines(settlement: Json | None, now: datetime, *, brief: bool) -> Iterator[str]:
    if settlement is None or settlement["state"] == "none":
        yield "  account  not settled yet" + (_waits(settlement) if settlement else "")
        if settlement is None or settlement["energy_j"] is None:
            return
    yield f"  energy   {energy(settlement['energy_j'])} used here" + _facility(settlement)
    for part in settlement["components"]:
        gap = "" if part["coverage"] >= 0.995 else f", {percent(part['coverage'])} of the run covered"
        got = f"{part['how']}: {part['source']}{gap}"
        yield f"{_INDENT}{part['component']}: {energy(part['energy_j'])} ({got})"
    if settlement.get("boundary"):
        yield f"{_INDENT}{settlement['boundary']}"
    if not brief:
        yield from _phase_lines(settlement.get("phases", ()))
        yield from _pause_lines(settlement.get("pauses", ()))
        yield from _count_lines(settlement.get("counts", {}))
        yield from _made_lines(settlement.get("embodied"))
    for ledger in settlement["ledgers"]:
        yield from _ledger_lines(ledger, agree=not settlement.get("signals_disagree"))
    if settlement.get("signals_disagree"):
        yield f"  signals  disagree: {_sides(settlement['ledgers'])}; so no saving is claimed"
    if settlement["ledgers"]:
        yield f"  settled  {settlement['state']}" + (
            f", {local(settlement['settled_at'], now)}" if settlement["settled_at"] else ""
        )
        idle = settlement["idle_gpu_s"]
        cost = f", {idle / 3600:.2g} GPU-hours left idle meanwhile" if idle else ""
        yield f"  waited   {lasting(settlement['waited_s'])}{cost}"
    for note in () if brief else _notes(settlement):
        yield f"  note     {note}"


def _notes(settlement: Json) -> Iterator[str]:
    """The notes, but for those that a component's own line, or the boundary's, says already."""
    missing = [part for part in settlement["components"] if part["how"] == "missing"]
    for note in settlement["notes"]:
        told = (note.startswith(f"{each['component']}: ") for each in missing)
        if note != settlement.get("boundary") and not any(told):
            yield note


def _sides(ledgers: Sequence[Json]) -> str:
    """By which signals carbon was saved, and by which it was lost."""
    savings = [(each["signal"], each["saved_feasible_g"] or 0) for each in ledgers]
    saved = " and ".join(signal for signal, saved_g in savings if saved_g > 0)
    lost = " and ".join(signal for signal, saved_g in savings if saved_g < 0)
    return f"waiting saved carbon by the {saved} signal, and cost carbon by the {lost} one"


def _waits(settlement: Json) -> str:
    return (
        ": the intensity that really happened is not known yet" if settlement["energy_j"] is not None else ""
    )


def _facility(settlement: Json) -> str:
    if settlement["facility_j"] is None:
        return ""
    return f"; {energy(settlement['facility_j'])} with PUE {settlement['pue']:g} ({settlement['pue_source']})"


def _phase_lines(phases: list[Json]) -> Iterator[str]:
    """How long the job was in each phase; one that only waited, came up and ran needs no list."""
    told = [each for each in phases if each["phase"] not in ("waiting", "launching")]
    if len(told) < 2:
        return
    for place, each in enumerate(told):
        name = f'{each["phase"]} "{shown(each["label"])}"' if each["label"] else each["phase"]
        lost = ", lost: no later attempt kept its work" if each["lost"] else ""
        label = "  phases   " if place == 0 else _INDENT
        yield f"{label}{name} {lasting(each['seconds'])}, {energy(each['energy_j'])}{lost}"


def _pause_lines(pauses: list[Json]) -> Iterator[str]:
    """What each pause took; the first ten of many."""
    for place, each in enumerate(pauses[:_PAUSES]):
        label = "  pauses   " if place == 0 else _INDENT
        parts = [f"after {each['attempt_id']}, by {each['by']}"]
        parts.append(f"saving {lasting(each['saving_s'])}, {energy(each['saving_j'])}")
        if each["standing_s"]:
            parts.append(f"standing still {lasting(each['standing_s'])}, {energy(each['standing_j'])}")
        if each["coming_back_s"] is not None:
            moved = f" in {each['next_region']}" if each["next_region"] != each["region"] else ""
            parts.append(f"coming back{moved} {lasting(each['coming_back_s'])}")
        if each["moved_j"] is not None:
            parts.append(f"moving its data {energy(each['moved_j'])}")
        if each["lost_s"]:
            parts.append(f"{lasting(each['lost_s'])} of work lost, {energy(each['lost_j'])}")
        yield label + "; ".join(parts)
    if len(pauses) > _PAUSES:
        yield f"{_INDENT}and {len(pauses) - _PAUSES} more pauses: `--json` lists them"


def _count_lines(counts: dict[str, int]) -> Iterator[str]:
    if counts:
        yield "  reported " + ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _made_lines(embodied: Json | None) -> Iterator[str]:
    """The share of what making the hardware emitted, which is no part of any other number."""
    if embodied is not None:
        low, central, high = (grams(embodied[name]) for name in ("low_g", "central_g", "high_g"))
        share = central if low == high else f"{low} to {high} (central {central})"
        yield f"  made     {share} of its hardware's making, in no total"


def _ledger_lines(ledger: Json, *, agree: bool) -> Iterator[str]:
    yield f"  {ledger['signal']:<8} {grams(ledger['g'])} CO2 in all, idle draw included; {ledger['source']}"
    for kind, start in (("feasible", "in its turn"), ("hypothetical", "at submission")):
        saved, baseline = ledger[f"saved_{kind}_g"], ledger[f"{kind}_g"]
        if saved is None or baseline is None:
            yield f"{_INDENT}against starting {start}: not known"
        else:
            of = share(saved, baseline)
            yield (
                f"{_INDENT}{grams(ledger['actual_g'])} above idle instead of {grams(baseline)} by starting "
                f"{start}: {named(ledger['signal'], saved)}{f' ({of})' if of else ''}"
            )
        if kind == "feasible" and saved is not None:
            yield from _standing_lines(ledger, agree=agree)
    if ledger.get("forecast_saved_g") is not None:
        promised = less_than(ledger["forecast_saved_g"], "starting at once")
        yield f"{_INDENT}the plan at launch promised {promised}"


def _standing_lines(ledger: Json, *, agree: bool) -> Iterator[str]:
    """How sure that is, and what it is made of."""
    levers, interval, grade = ledger.get("levers"), ledger.get("interval"), ledger.get("grade")
    if grade == "inconclusive" and not agree:
        grade = f"{grade}, as the signals disagree"
    if interval and interval["quantified"] and interval["covered"] < _HARDLY:
        yield f"{_INDENT}how far it may be off is not known: published errors cover under 1 % of it; {grade}"
    elif interval and interval["quantified"]:
        left_out = len(interval["not_quantified"])
        beside = f", {left_out} {'error' if left_out == 1 else 'errors'} not quantified" if left_out else ""
        known = interval["covered"] >= KNOWN_PPM / 1e6
        sure = "with 90 % confidence" if known else "by known errors alone"
        covers = f"covers {least(interval['covered'])} of what is at stake"
        band = less_between(interval["low_g"], interval["high_g"])
        yield f"{_INDENT}{band} {sure}, {covers}{beside}; {grade}"
    elif grade:
        yield f"{_INDENT}how far it may be off is not quantified; {grade}"
    if levers is None:
        return
    parts = [("waiting", levers["time_feasible_g"])]
    parts += [(name, levers[key]) for key, name in _LEVERS if levers[key]]
    if len(parts) > 1:
        yield f"{_INDENT}of it by " + ", ".join(f"{name} {less(value)}" for name, value in parts)
    if levers["unverified_efficiency_g"]:
        hardware = less(levers["unverified_efficiency_g"])
        yield f"{_INDENT}efficiency, unverified: {hardware} by stated speed and power, in no number here"
