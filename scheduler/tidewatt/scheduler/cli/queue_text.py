"""The plan of a whole queue as people read it: first the load of each region, then few numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import ceil, floor

import numpy as np

from tidewatt.scheduler.cli.chart import hours_line
from tidewatt.scheduler.cli.text import cut, energy, grams, lasting, local, painted, percent, table
from tidewatt.scheduler.client import Json
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.planning.timetable.problem import Amounts, Ints
from tidewatt.scheduler.queue_answer import AT_ONCE, POLISHED, WHOLE, QueueAnswer
from tidewatt.scheduler.queue_view import load

_EIGHTHS = " ▁▂▃▄▅▆▇█"
MOST_ROWS, MOST_NAMED, MOST_NOTES, MOST_JOBS = 16, 10, 2, 20
J_PER_KWH = 3_600_000
_BESIDE = 14  # columns for numbers beside the chart


def queue_lines(answer: QueueAnswer, view: Json, now: datetime, width: int) -> Iterator[str]:
    """Chart, table, and what it saves, with the proof."""
    totals = view["totals"]
    yield painted(
        f"plan for {_jobs(totals['jobs'])} from {local(now, None)}"
        f" until {local(view['until'], None)}, by {view['kind'] or 'no signal'}",
        "bold",
    )
    yield from _load_lines(answer, view["regions"], width)
    yield ""
    yield from _region_lines(view["regions"])
    yield ""
    if view["jobs"]:
        yield from _job_lines(view["jobs"], now)
        yield ""
        yield from _total_lines(view)
    else:
        yield _made_by(view)
    yield from _source_lines(view["sources"])
    for trouble in view["troubles"][:MOST_NAMED]:
        yield painted(f"  trouble  the better plan was refused: {trouble}", "yellow")
    yield from _note_lines(view["notes"])
    yield from _unplaced_lines(view["unplaced"])


def _load_lines(answer: QueueAnswer, rows: Sequence[Json], width: int) -> Iterator[str]:
    """A row for each pool: how much of it is used, and below in words how clean its grid is then."""
    edges, used = answer.made.problem.places.edges_ms, load(answer)
    units = answer.made.problem.places.units
    order = sorted(range(len(rows)), key=lambda index: -rows[index]["unit_hours"])
    shown = sorted(index for index in order[:MOST_ROWS] if rows[index]["unit_hours"] > 0)
    names = [_name(rows[index]) for index in shown]
    left = max((len(name) for name in names), default=0) + 2
    columns = max(min(width - left - _BESIDE, 96), 12)
    borders = np.linspace(edges[0], edges[-1], columns + 1)
    yield painted(f"{'':{left}}GPUs or cores in use, of all that a region has", "dim")
    for name, index in zip(names, shown, strict=True):
        share = _shares(used[index], units[index], edges, borders)
        bar = "".join(_EIGHTHS[_eighths(value)] for value in share)
        yield f"{name:{left}}{bar} {percent(rows[index]['use_percent'] / 100):>6} used"
    step = (moment(int(edges[-1])) - moment(int(edges[0]))) / columns
    yield painted(" " * left + hours_line(moment(int(edges[0])), step, columns), "dim")
    idle = len(rows) - len(shown)
    if idle:
        yield painted(f"{'':{left}}{idle} more with less or no load", "dim")


def _shares(used: Amounts, units: Ints, edges: Ints, borders: Amounts) -> Amounts:
    """Mean use of the capacity over each column."""
    widths = np.diff(edges)
    busy = np.interp(borders, edges, np.append(0.0, np.cumsum(used * widths)))
    most = np.interp(borders, edges, np.append(0.0, np.cumsum(units.max() * widths)))
    found: Amounts = np.diff(busy) / np.maximum(np.diff(most), 1e-9)
    return found


def _eighths(share: float) -> int:
    """How high a block is; the least use is seen too."""
    return min(8, max(round(share * 8), int(share > 0.001)))


def _region_lines(rows: Sequence[Json]) -> Iterator[str]:
    used = sorted((row for row in rows if row["jobs"]), key=lambda row: -row["unit_hours"])[:MOST_ROWS]
    cells = (
        (
            _name(row),
            f"{row['jobs']:,}",
            f"{row['unit_hours']:,.0f} h",
            energy(row["energy_kwh"] * J_PER_KWH),
            "" if row["mean_gco2_per_kwh"] is None else f"{row['mean_gco2_per_kwh']:.0f} g/kWh",
            grams(row["expected_g"]),
        )
        for row in used
    )
    header = ("REGION", "JOBS", "GPU OR CORE", "IT ENERGY", "EMITTED AT", "CO2")
    yield from table(header, cells, right=range(1, 6))


def _name(row: Json) -> str:
    return cut(f"{row['region']} {row['pool'] or 'cores'}", 28)


def _total_lines(view: Json) -> Iterator[str]:
    totals, certificate = view["totals"], view["certificate"]
    if totals["saving_percent"] is not None:
        share = totals["saving_percent"] / 100
        less = f"{percent(abs(share))} {'less' if share >= 0 else 'MORE'}"
        late = totals["immediate_late"]
        missed = f" (which misses the deadline{'s' * (late != 1)} of {_jobs(late)})" if late else ""
        yield (
            f"  expects  {grams(totals['compared_g'])} CO2 instead of {grams(totals['immediate_g'])} for"
            f" first in, first out at home{missed}: {painted(less, 'bold')}"
        )
    other = totals["beside"]
    if other is not None and other["saving_percent"] is not None:
        share = other["saving_percent"] / 100
        less = f"{percent(abs(share))} {'less' if share >= 0 else 'MORE'}"
        yield (
            f"  beside   by the {other['signal']} signal {grams(other['expected_g'])} instead of"
            f" {grams(other['immediate_g'])}, {less} ({_jobs(other['jobs'])} of which it is known)"
        )
    if totals["compared"] < totals["placed"]:
        yield (
            f"           left out of this: {_jobs(totals['placed'] - totals['compared'])} that would still"
            " wait at home when the planned hours end"
        )
    if certificate is not None:
        captured = certificate["captured_percent"]
        had = (
            "" if captured is None else f"; at least {floor(10 * captured) / 10:.1f} % of the possible saving"
        )
        gap = certificate["gap_percent"]
        above = "no bound above 0 g"
        if gap is not None:
            above = f"at most {ceil(10 * max(gap - 1e-9, 0)) / 10:.1f} % above the best possible"
        changing = totals["changing_power"]
        those = f" of the other jobs: {_jobs(changing)} of changing power left out" if changing else ""
        yield f"  proof    {above}{had}{those}"
    for number, lever in enumerate(view["levers"]):
        unplaced = f" ({_jobs(lever['unplaced'])} without room)" if lever["unplaced"] else ""
        name = "levers" if number == 0 else ""
        yield f"  {name:<7}  {percent(lever['saving_percent'] / 100)} by {lever['name']}{unplaced}"
    yield _made_by(view)


def _made_by(view: Json) -> str:
    """Who made the plan, how fast, and what was assumed for it."""
    assumed = view["totals"]["assumed_power"]
    power = f"; the power of {_jobs(assumed)} is assumed, 300 W a GPU" if assumed else ""
    planner = {
        WHOLE: "the whole-queue planner",
        POLISHED: "the whole-queue planner, polished,",
        AT_ONCE: "the simplest planner (first in, first out at home)",
    }[view["planner"]]
    seconds = view["seconds"]
    took = f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"  made by  {planner} in {took}, slots of {lasting(view['slot_s'])}{power}"


def _job_lines(jobs: Sequence[Json], now: datetime) -> Iterator[str]:
    """When and where jobs run, the first by start."""
    first = sorted(jobs, key=lambda row: (row["start"], row["id"]))[:MOST_JOBS]
    cells = (
        (
            str(row["id"]),
            _name(row),
            local(row["start"], now),
            local(row["end"], now),
            f"in {len(row['stints'])} parts" if len(row.get("stints", ())) > 1 else "",
            grams(row["expected_g"]),
        )
        for row in first
    )
    yield from table(("JOB", "RUNS ON", "FROM", "UNTIL", "", "CO2"), cells, right=(5,))
    if len(jobs) > len(first):
        yield painted(f"and {len(jobs) - len(first):,} more: --json", "dim")


def _source_lines(sources: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Who told of the grid: what holds for most regions first, the rest only counted."""
    said = Counter(", then ".join(each) for each in sources.values()).most_common()
    for number, (text, count) in enumerate(said[:MOST_NOTES]):
        names = [name for name, each in sources.items() if ", then ".join(each) == text]
        where = f"{cut(', '.join(names), 40)}: " if count < len(sources) else ""
        yield f"  {'grid' if number == 0 else '':<7}  {where}{text}"
    if len(said) > MOST_NOTES:
        yield f"           and {len(said) - MOST_NOTES} more, of other regions (--json has all)"


def _note_lines(notes: Mapping[str, str]) -> Iterator[str]:
    """What must be known of the grid: what is said of most regions first, the rest only counted."""
    said = Counter(notes.values()).most_common()
    for note, count in said[:MOST_NOTES]:
        where = ", ".join(name for name, each in notes.items() if each == note) if count < len(notes) else ""
        yield f"  note     {f'{cut(where, 40)}: ' if where else ''}{note}"
    if len(said) > MOST_NOTES:
        yield f"           and on {len(said) - MOST_NOTES} more regions or groups of them (--json has all)"


def _jobs(count: int) -> str:
    return f"{count:,} job{'s' * (count != 1)}"


def _unplaced_lines(rows: Sequence[Json]) -> Iterator[str]:
    """The jobs without a place, by reason."""
    reasons = dict.fromkeys(row["reason"] for row in rows)
    for reason in reasons:
        ids = [str(row["id"]) for row in rows if row["reason"] == reason]
        more = f" and {len(ids) - MOST_NAMED:,} more" if len(ids) > MOST_NAMED else ""
        jobs = f"job{'s' * (len(ids) != 1)} {', '.join(ids[:MOST_NAMED])}{more}"
        yield painted(f"  NO PLACE {jobs}: {reason}", "red")
