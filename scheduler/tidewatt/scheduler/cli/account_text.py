"""What a job used and saved, as people read it: 80 columns, every number with how it was got."""

from collections.abc import Iterator
from datetime import datetime

from tidewatt.scheduler.accounting.published import KNOWN_PPM
from tidewatt.scheduler.accounting.quantity import least, mass
from tidewatt.scheduler.cli.text import energy, folded, grams, lasting, local, percent, shown
from tidewatt.scheduler.client import Json

_INDENT = " " * 11  # what a label and its gap take
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
        yield from _count_lines(settlement.get("counts", {}))
        yield from _made_lines(settlement.get("embodied"))
    for ledger in settlement["ledgers"]:
        yield from _ledger_lines(ledger)
    if settlement.get("signals_disagree"):
        yield "  signals  disagree: by one of them carbon was saved, by another it was lost"
    if settlement["ledgers"]:
        yield f"  settled  {settlement['state']}" + (
            f", {local(settlement['settled_at'], now)}" if settlement["settled_at"] else ""
        )
        idle = settlement["idle_gpu_s"]
        cost = f", {idle / 3600:.2g} GPU-hours left idle meanwhile" if idle else ""
        yield f"  waited   {lasting(settlement['waited_s'])}{cost}"
    for note in () if brief else settlement["notes"]:
        yield f"  note     {note}"


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


def _count_lines(counts: dict[str, int]) -> Iterator[str]:
    if counts:
        yield "  reported " + ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _made_lines(embodied: Json | None) -> Iterator[str]:
    """The share of what making the hardware emitted, which is no part of any other number."""
    if embodied is not None:
        low, central, high = (grams(embodied[name]) for name in ("low_g", "central_g", "high_g"))
        share = central if low == high else f"{low} to {high} (central {central})"
        yield f"  made     {share} of its hardware's making, in no total"


def _ledger_lines(ledger: Json) -> Iterator[str]:
    yield f"  {ledger['signal']:<8} {grams(ledger['g'])} CO2 in all, idle draw included; {ledger['source']}"
    for kind, start in (("feasible", "in its turn"), ("hypothetical", "at submission")):
        saved, baseline = ledger[f"saved_{kind}_g"], ledger[f"{kind}_g"]
        if saved is None or baseline is None:
            yield f"{_INDENT}against starting {start}: not known"
        else:
            yield f"{_INDENT}{_saving(ledger['signal'], saved, baseline)} against starting {start}"
        if kind == "feasible" and saved is not None:
            yield from _standing_lines(ledger)
    if ledger.get("forecast_saved_g") is not None:
        yield f"{_INDENT}the plan at launch promised {_signed(ledger, ledger['forecast_saved_g'])}"


def _standing_lines(ledger: Json) -> Iterator[str]:
    """How sure that is, and what it is made of; signs are those of the saving's own line."""
    levers, interval, grade = ledger.get("levers"), ledger.get("interval"), ledger.get("grade")
    if interval and interval["quantified"]:
        ends = [_signed(ledger, interval[end]) for end in ("low_g", "high_g")]
        low, high = ends if ledger["signal"] == "marginal" else reversed(ends)
        left_out = len(interval["not_quantified"])
        beside = f", {left_out} {'error' if left_out == 1 else 'errors'} not quantified" if left_out else ""
        known = interval["covered"] >= KNOWN_PPM / 1e6
        sure = "with 90 % confidence" if known else "by known errors alone"
        covers = f"covers {least(interval['covered'])} of what is at stake"
        yield f"{_INDENT}{low} to {high} {sure}, {covers}{beside}; {grade}"
    elif grade:
        yield f"{_INDENT}how far it may be off is not quantified; {grade}"
    if levers is None:
        return
    parts = [("waiting", levers["time_feasible_g"])]
    parts += [(name, levers[key]) for key, name in _LEVERS if levers[key]]
    if len(parts) > 1:
        yield f"{_INDENT}of it by " + ", ".join(f"{name} {_signed(ledger, value)}" for name, value in parts)
    if levers["unverified_efficiency_g"]:
        hardware = _signed(ledger, levers["unverified_efficiency_g"])
        yield f"{_INDENT}efficiency, unverified: {hardware} by stated speed and power, in no number here"


def _saving(signal: str, saved_g: float, baseline_g: float) -> str:
    """A saving by the name of its signal; by the average one it is a footprint that is lower by as much."""
    name, value = ("estimated avoided emissions", saved_g)
    if signal == "average":
        name, value = ("change of the location-based footprint", -saved_g)
    share = f" ({value / baseline_g:+.1%})" if baseline_g and saved_g else ""
    return f"{name} {mass(value, sign=True)}{share}"


def _signed(ledger: Json, saved_g: float) -> str:
    """A part of a saving with the sign of its own line."""
    value = -saved_g if ledger["signal"] == "average" else saved_g
    return mass(value + 0.0, sign=True)
