"""CodeCarbon's account of a run beside ours, and what makes the difference."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tidewatt.scheduler.accounting.quantity import energy, mass
from tidewatt.scheduler.accounting.units import J_PER_KWH
from tidewatt.scheduler.exports.codecarbon import PARTS
from tidewatt.scheduler.exports.facts import Facts
from tidewatt.scheduler.exports.their_csv import Tracked
from tidewatt.scheduler.schemas import Message

LEAST_OVERLAP = 0.5  # of the shorter of the two times
RUN_LABELS = ("run_id", "codecarbon_run_id")
_SAME = 0.005


class Share(Message):
    """A part of the difference in emissions, theirs minus ours; the parts sum to all of it."""

    cause: str  # energy, pue, intensity
    grams: float
    why: str


class Pair(Message):
    """A run of theirs and the job of ours that it was; `job` is "" where none fits.

    `matched_by`: run id, time and project, or time. Energies hold no PUE, `parts_kwh` are theirs and ours by
    component; None is what a side does not know.
    """

    line: int
    run_id: str
    project: str
    job: str
    matched_by: str
    theirs_kwh: float | None
    ours_kwh: float | None
    parts_kwh: dict[str, tuple[float | None, float | None]]
    theirs_pue: float | None
    ours_pue: float | None
    theirs_g: float
    ours_g: float | None
    theirs_gco2_per_kwh: float | None
    ours_gco2_per_kwh: float | None
    theirs_s: float
    ours_s: float | None
    shares: tuple[Share, ...]
    notes: tuple[str, ...]


def compare(runs: Iterable[Tracked], receipts: Sequence[Facts]) -> list[Pair]:
    """A pair for each run, in the order given."""
    return [_pair(run, *_match(run, receipts)) for run in runs]


def lines(pairs: Sequence[Pair]) -> list[str]:
    """The comparison for people."""
    found: list[str] = []
    for pair in pairs:
        found += _pair_lines(pair)
    matched = [pair for pair in pairs if pair.job]
    found.append(f"{len(matched)} of {len(pairs)} runs belong to a job with an account here.")
    both = [pair for pair in matched if pair.ours_g is not None]
    if both:
        theirs, ours = sum(pair.theirs_g for pair in both), sum(pair.ours_g or 0 for pair in both)
        found.append(
            f"Over these CodeCarbon says {mass(theirs)}, Tidewatt {mass(ours)}{_percent(theirs, ours)}."
        )
    return found


def _match(run: Tracked, receipts: Sequence[Facts]) -> tuple[Facts | None, str]:
    """The job that a run was: by its id, else by the time that they have in common."""
    for each in receipts:
        names = {each.key, *(each.job.labels.get(label, "") for label in RUN_LABELS)} - {""}
        if run.run_id in names and run.start < _end(each) and _start(each) < run.end:
            return each, "run id"
    ranked = [
        (bool(run.project) and run.project == each.job.project, share, -index)
        for index, each in enumerate(receipts)
        if (share := _overlap(run, each)) >= LEAST_OVERLAP
    ]
    if not ranked:
        return None, ""
    same_project, _share, place = max(ranked)
    return receipts[-place], "time and project" if same_project else "time"


def _start(receipt: Facts) -> datetime:
    return receipt.started or receipt.job.submitted


def _end(receipt: Facts) -> datetime:
    return receipt.ended or _start(receipt)


def _overlap(run: Tracked, receipt: Facts) -> float:
    """The common time as a share of the shorter one."""
    common = min(run.end, _end(receipt)) - max(run.start, _start(receipt))
    shorter = min(run.end - run.start, _end(receipt) - _start(receipt))
    return common / shorter if shorter > timedelta(0) else 0.0


def _pair(run: Tracked, receipt: Facts | None, matched_by: str) -> Pair:
    ledger = None if receipt is None else receipt.ledger("average")
    ours_kwh = None if receipt is None else receipt.energy_kwh
    facility = None if receipt is None else receipt.facility_kwh
    ours_pue = (
        None if receipt is None else facility / ours_kwh if ours_kwh and facility else receipt.account.pue
    )
    ours_g = None if ledger is None else ledger.g
    pair = Pair(
        line=run.line,
        run_id=run.run_id,
        project=run.project,
        job="" if receipt is None else receipt.key,
        matched_by=matched_by,
        theirs_kwh=run.machine_kwh,
        ours_kwh=ours_kwh,
        parts_kwh=_parts(run, receipt),
        theirs_pue=run.pue,
        ours_pue=ours_pue,
        theirs_g=run.emissions_kg * 1000,
        ours_g=ours_g,
        theirs_gco2_per_kwh=run.gco2_per_kwh,
        ours_gco2_per_kwh=ours_g / facility if ours_g is not None and facility else None,
        theirs_s=run.duration_s,
        ours_s=None if receipt is None else receipt.held_s,
        shares=(),
        notes=(),
    )
    source = "" if ledger is None else ledger.source
    return pair.model_copy(update={"shares": _shares(pair, source), "notes": _notes(pair, run, receipt)})


def _parts(run: Tracked, receipt: Facts | None) -> dict[str, tuple[float | None, float | None]]:
    found = {}
    for theirs, ours in PARTS.items():
        part = None if receipt is None else receipt.component(ours)
        joules = None if part is None else part.energy_j
        kwh = run.parts_kwh.get(theirs)
        found[theirs] = (
            None if kwh is None else kwh / (run.pue or 1.0),
            None if joules is None else joules / J_PER_KWH,
        )
    return found


def _shares(pair: Pair, source: str) -> tuple[Share, ...]:
    """Energy, then PUE, then intensity are changed from ours to theirs, one after the other."""
    ours = pair.ours_kwh, pair.ours_pue, pair.ours_gco2_per_kwh
    theirs = pair.theirs_kwh, pair.theirs_pue or 1.0, pair.theirs_gco2_per_kwh
    if None in ours or None in theirs:
        return ()
    (e2, p2, i2), (e1, p1, i1) = ([each or 0.0 for each in side] for side in (ours, theirs))
    return (
        Share(cause="energy", grams=(e1 - e2) * p2 * i2, why=f"{_kwh(e1)} against {_kwh(e2)} at the machine"),
        Share(cause="pue", grams=e1 * (p1 - p2) * i2, why=f"PUE {p1:g} against {p2:g}"),
        Share(
            cause="intensity",
            grams=e1 * p1 * (i1 - i2),
            why=f"{i1:.0f} g/kWh, one number for the whole run, against {i2:.0f} g/kWh as observed in its"
            f" time ({source})",
        ),
    )


def _notes(pair: Pair, run: Tracked, receipt: Facts | None) -> tuple[str, ...]:
    if receipt is None:
        return ("no job with an account here ran in at least half of that time",)
    found = []
    if run.pue is None:
        found.append("its file has no PUE: 1 is taken")
    if pair.ours_s and abs(pair.theirs_s / pair.ours_s - 1) > _SAME:
        found.append(f"it tracked {pair.theirs_s:,.0f} s, the job held its machine for {pair.ours_s:,.0f} s")
    if run.tracking_mode == "machine":
        found.append("it tracked the whole machine, Tidewatt the job's share of it")
    for name, (theirs, ours) in pair.parts_kwh.items():
        if theirs and ours is None:
            found.append(f"{name}: it has {_kwh(theirs)}, which Tidewatt did not meter")
        if ours and theirs is None:
            found.append(f"{name}: Tidewatt has {_kwh(ours)}, it has nothing")
    weak = [
        part for part in receipt.account.components if part.energy_j is not None and part.how != "measured"
    ]
    found += [f"{part.component}: Tidewatt's number is {part.how}" for part in weak]
    thin = [
        part for part in receipt.account.components if part.energy_j is not None and part.coverage < 0.995
    ]
    found += [f"{part.component}: metered for {part.coverage:.1%} of the run" for part in thin]
    if pair.ours_g is None:
        found.append("Tidewatt has no emissions by the average signal for this job")
    return tuple(found)


def _pair_lines(pair: Pair) -> list[str]:
    name = pair.run_id or pair.project or "a run"
    if not pair.job:
        return [f"line {pair.line} ({name}): {pair.notes[0]}"]
    found = [
        f"line {pair.line} ({name}) is job {pair.job}, by {pair.matched_by}",
        f"  energy     CodeCarbon {_kwh(pair.theirs_kwh)}, Tidewatt {_kwh(pair.ours_kwh)} at the machine"
        f"{_percent(pair.theirs_kwh, pair.ours_kwh)}",
    ]
    for part, (one, other) in pair.parts_kwh.items():
        if one is not None or other is not None:
            found.append(f"    {part:<8} {_kwh(one)}, {_kwh(other)}{_percent(one, other)}")
    ours = "unknown" if pair.ours_g is None else mass(pair.ours_g)
    percent = _percent(pair.theirs_g, pair.ours_g)
    found.append(f"  emissions  CodeCarbon {mass(pair.theirs_g)}, Tidewatt {ours}{percent}")
    found += [
        f"    {share.cause:<9} {mass(round(share.grams, 9), sign=True)}: {share.why}" for share in pair.shares
    ]
    return found + [f"  note       {note}" for note in pair.notes]


def _kwh(value: float | None) -> str:
    return "unknown" if value is None else energy(value * J_PER_KWH)


def _percent(theirs: float | None, ours: float | None) -> str:
    return f" ({theirs / ours - 1:+.1%})" if theirs is not None and ours else ""
