"""What came of the demo: its jobs in a table, the picture, and what of it was real."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.scheduler.accounting.picture import JobBar, ZoneLine, draw
from tidewatt.scheduler.accounting.quantity import energy, mass
from tidewatt.scheduler.demo.scenario import DAYS, FACTOR, LOCAL, START, ZONES, Submission
from tidewatt.scheduler.demo.screen import clock, hours, label, region_of, window_of
from tidewatt.scheduler.demo.stage import DemoError

Json = dict[str, Any]
SIGNAL = "marginal"
KIND = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
SOURCE = "SGIP GHG signal, California Self-Generation Incentive Program (WattTime), CC BY 4.0"

EPILOGUE = """\
What of this was what:
  replayed  the clock ({factor} times faster) and the grid: 20 and 21 September 2019, two zones of California,
            5-minute marginal intensity and its forecasts as they were issued. The days are ordinary
            ones: of all pairs of days in the record, the one nearest its median.
            {source}.
  real      {count} trainings of {shortest:.1f} to {longest:.1f} s each, planned, started, watched and metered
            as in earnest. The joules are those of these seconds, neither scaled nor extrapolated.
  computed  what starting in turn would have emitted: the same joules at the intensity of that time.
  {how}
"""


def results(jobs: Sequence[Json], tz: tzinfo) -> str:
    """A table of what each job did, used and saved."""
    rows = [("job", "ran", "region", "due", "in turn", "energy", "emitted", "in turn", "avoided")]
    for job in jobs:
        settlement, ledger = job["settlement"], ledger_of(job)
        rows.append(
            (
                label(job),
                hours(window_of(job), tz),
                region_of(job),
                clock(job["finish_by"], tz),
                clock(settlement["feasible_start"], tz),
                energy(settlement["energy_j"]),
                mass(ledger.get("actual_g")),
                mass(ledger.get("feasible_g")),
                mass(ledger.get("saved_feasible_g"), sign=True),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    note = "(in turn: had it started in the home region as soon as its turn came; draw above idle only)"
    return "\n".join([*lines, note, *late(jobs)])


def ledger_of(job: Json) -> Json:
    """The account of the signal that decided; empty where there is none."""
    ledgers: list[Json] = (job["settlement"] or {}).get("ledgers", [])
    return next((each for each in ledgers if each["signal"] == SIGNAL), {})


def draw_picture(path: Path, jobs: Sequence[Json], grid: Path, window: tuple[datetime, datetime]) -> None:
    """Draws intensity, windows and baselines of the whole demo."""
    provider = FileProvider(grid)
    lines = [ZoneLine(zone, observed(provider, zone, *window)) for zone in ZONES.values()]
    until = f"{START:%-d} and {START + DAYS - timedelta(days=1):%-d %B %Y}"
    draw(
        path,
        lines,
        [bar(job) for job in jobs],
        title=f"Two recorded days of California's grid, {until}, and when Tidewatt trained",
        signal=SIGNAL,
        source=SOURCE,
        tz=LOCAL,
    )


def observed(
    provider: FileProvider, zone: str, start: datetime, end: datetime
) -> list[tuple[datetime, datetime, float]]:
    """The zone's steps in `[start, end)`."""
    steps = provider.observations(zone, KIND, start, end, end).steps
    return [
        (
            datetime.fromtimestamp(first / 1000, LOCAL),
            datetime.fromtimestamp(last / 1000, LOCAL),
            float(value),
        )
        for first, last, value in zip(steps.start_ms, steps.end_ms, steps.gco2_per_kwh, strict=True)
    ]


def bar(job: Json) -> JobBar:
    """The job as the picture shows it."""
    start, end = (datetime.fromisoformat(text) for text in window_of(job))
    feasible = job["settlement"]["feasible_start"]
    ledger = ledger_of(job)
    saved_g, feasible_g = ledger.get("saved_feasible_g"), ledger.get("feasible_g")
    return JobBar(
        label=label(job),
        zone=ZONES[region_of(job)],
        windows=[(start, end)],
        submitted=datetime.fromisoformat(job["submitted"]),
        finish_by=datetime.fromisoformat(job["finish_by"]),
        home_zone=next(iter(ZONES.values())),
        baseline_start=datetime.fromisoformat(feasible) if feasible else None,
        saved_g=saved_g,
        saved_percent=100 * saved_g / feasible_g if saved_g is not None and feasible_g else None,
    )


def epilogue(jobs: Sequence[Json], submissions: Sequence[Submission]) -> str:
    """What was replayed, what was real, and how the joules were got."""
    trained_s = [each.training_s(FACTOR) for each in submissions]
    parts = {
        (part["component"], part["how"], part["source"])
        for job in jobs
        for part in job["settlement"]["components"]
    }
    how = "\n  ".join(f"{how:<9} {component}: {source}" for component, how, source in sorted(parts))
    return EPILOGUE.format(
        factor=FACTOR,
        source=SOURCE,
        count=len(jobs),
        shortest=min(trained_s),
        longest=max(trained_s),
        how=how,
    )


def late(jobs: Sequence[Json]) -> list[str]:
    """A sentence for each job that ended after its deadline; it had overrun, or `check` would not pass."""
    return [
        f"{label(job)} was started in time, but took longer than its estimate on this busy machine and ended"
        " late: an estimate never stops a job"
        for job in jobs
        if datetime.fromisoformat(window_of(job)[1]) > datetime.fromisoformat(job["finish_by"])
    ]


def check(jobs: Sequence[Json]) -> None:
    """Raises DemoError where a job failed, was started too late for its deadline, or was not settled."""
    for job in jobs:
        if job["state"] != "done":
            raise DemoError(f"job {label(job)} ended as {job['state']}: {job['reason']}")
        started = datetime.fromisoformat(window_of(job)[0])
        if started + timedelta(seconds=job["duration_s"]) > datetime.fromisoformat(job["finish_by"]):
            raise DemoError(f"job {label(job)} was started too late for its deadline")
        if job["settlement"]["state"] == "unverified":
            raise DemoError(f"job {label(job)} could not be settled: {'; '.join(job['settlement']['notes'])}")
