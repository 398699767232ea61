"""Real ML jobs on a simulated clock: ours against what others do, and against the oracle.

Jobs have the lengths and the order of arrival of `jobs_ml_50k`, one GPU each, homes drawn from ten zones,
and arrivals drawn together so that they use 30, 50 or 70 % of all GPUs. Slacks are lognormal with a median of
24 h. Forecasts are our own: models trained on what was observed before the first job, issued every 6 h.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Series, Steps, instant
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.simulation.comparing import Outcome, compare
from tidewatt.scheduler.simulation.generated import slackened, spread
from tidewatt.scheduler.simulation.grid import Outlooks
from tidewatt.scheduler.simulation.relearning import Relearnt
from tidewatt.scheduler.simulation.setting import Pace, Site, scenario
from tidewatt.scheduler.simulation.submitted import Submitted, compressed, pausable, shifted
from tidewatt.scheduler.simulation.tally import Tally
from tidewatt.scheduler.simulation.trace import Plain, of_plain

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.results import FOLDER, ROOT, Row, commit, keep  # benchmarks are no package that is installed

DATA = ROOT.parent / "shared" / "data"
GRID, JOBS = DATA / "average_hourly_121zones_2021_2023.parquet", DATA / "jobs_ml_50k.parquet"
COMMAND = ".venv/bin/python benchmarks/simulated_jobs.py"
# Grids of large cloud regions on four continents. None is nearly free of carbon: where one is, choosing it
# once and for all saves nearly everything.
ZONES = (
    *("US-CAL-CISO", "US-TEX-ERCO", "US-MIDA-PJM", "US-MIDW-MISO", "US-NY-NYIS"),
    *("DE", "GB", "NL", "AU-NSW", "KR"),
)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.CONSUMPTION)
START = datetime(2023, 9, 4, tzinfo=UTC)
EVERY = timedelta(hours=6)
AHEAD_H = 168
ISSUED_DAYS = 30
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SLACK, SLACK_SPREAD = timedelta(hours=24), 0.5
PAUSE = timedelta(minutes=5)
SEED = 4
# GPUs a region: days in which jobs come, and how often ours plans anew (a long queue is planned less often)
CELLS = {8: (7.0, 60), 64: (4.0, 120), 512: (1.0, 180)}
USES = (0.3, 0.5, 0.7)
OURS, ORACLE = "ours, in one piece", "oracle, in one piece"
POLICIES = ("immediate", "own window", "suspend-resume", OURS, ORACLE)
GOAL = 0.85
Found = Mapping[str, Tally]  # by policy


@dataclass(frozen=True, slots=True)
class Kept:
    """Forecasts as they were issued: (issues, zones, hours) from each moment of issue on."""

    zones: tuple[str, ...]
    moments_ms: NDArray[np.int64]
    values: NDArray[np.float64]

    def issued_ms(self, now_ms: int) -> int:
        """The newest moment of issue."""
        return int(self.moments_ms[np.searchsorted(self.moments_ms, now_ms, "right") - 1])

    def next_ms(self, now_ms: int) -> int:
        """The next one."""
        return self.issued_ms(now_ms) + EVERY // timedelta(milliseconds=1)

    def outlooks(self, now_ms: int, signal: Signal) -> Outlooks:
        """The newest forecasts; one object for each issue, so that what is made of it is made once."""
        if signal is not Signal.AVERAGE:
            return dict.fromkeys(self.zones)
        row = int(np.searchsorted(self.moments_ms, now_ms, "right")) - 1
        if row not in _OUTLOOKS:
            _OUTLOOKS.clear()
            _OUTLOOKS[row] = {zone: self._outlook(row, i) for i, zone in enumerate(self.zones)}
        return _OUTLOOKS[row]

    def _outlook(self, row: int, zone: int) -> Outlook:
        start = int(self.moments_ms[row]) + np.arange(AHEAD_H) * HOUR_MS
        steps = Steps(start, start + HOUR_MS, self.values[row, zone])
        at = instant(int(start[0]))
        segment = Segment(at, at + timedelta(hours=AHEAD_H), Rung.OWN, "own model", at)
        return Outlook(self.zones[zone], KIND, steps, (segment,))


_OUTLOOKS: dict[int, Outlooks] = {}


def observed(zones: Sequence[str]) -> FakeProvider:
    """The recorded zones as a provider that answers as of a moment."""
    table = pd.read_parquet(
        GRID, columns=["zone", "ts", "ci_lifecycle"], filters=[("zone", "in", list(zones))]
    )
    series = []
    for zone in zones:
        part = table[table["zone"] == zone].sort_values("ts")
        start = part["ts"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
        start_ms = start.astype(np.int64)
        steps = Steps(start_ms, start_ms + HOUR_MS, part["ci_lifecycle"].to_numpy(float))
        series.append(Series(zone, KIND, "average of 121 zones", steps))
    return FakeProvider("average of 121 zones", series)


def issued(provider: FakeProvider) -> Kept:
    """What the chain with own models said at each moment of issue; from `.benchmarks` where it lies."""
    path = FOLDER / f"simulated_forecasts_{START:%Y-%m-%d}.npz"
    moments = round(START.timestamp() * 1000) + np.arange(ISSUED_DAYS * 24 // 6, dtype=np.int64) * 6 * HOUR_MS
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            if tuple(file["zones"].tolist()) == ZONES and np.array_equal(file["moments"], moments):
                return Kept(ZONES, moments, file["values"])
    values = np.full((len(moments), len(ZONES), AHEAD_H), np.nan)
    with TemporaryDirectory() as folder:
        models = Relearnt(provider, Path(folder), timedelta(days=56), datetime(2024, 1, 1, tzinfo=UTC))
        chain = Chain([provider], models=models)
        for column, zone in enumerate(ZONES):
            began = time.perf_counter()
            for row, moment in enumerate(moments.tolist()):
                now = instant(moment)
                ahead = chain.outlook(zone, Signal.AVERAGE, now, now + timedelta(hours=AHEAD_H))
                assert ahead is not None
                values[row, column] = ahead.steps.gco2_per_kwh
            print(f"  {zone}: {time.perf_counter() - began:.0f} s", flush=True)
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(path, zones=np.array(ZONES), moments=moments, values=values)
    return Kept(ZONES, moments, values)


def regions(gpus: int) -> tuple[Region, ...]:
    """One region a zone."""
    return tuple(
        Region(zone, zones={"average": zone}, pools=(Pool("GPU", gpus),), cpus=10 * gpus) for zone in ZONES
    )


def jobs(places: tuple[Region, ...], gpus: int, use: float, days: float) -> tuple[Submitted, ...]:
    """As many jobs of the trace, from its middle on and round again, as use that share of all GPUs."""
    trace = of_plain(JOBS, Plain("arrival_h", "duration_h"), places, START, SLACK)
    wanted_ms = gpus * len(places) * use * days * DAY_MS
    period = trace[-1].submitted_ms - trace[0].submitted_ms + HOUR_MS
    half = len(trace) // 2
    made: list[Submitted] = []
    lap, total = 0, 0.0
    while total < wanted_ms:
        at = half + len(made)
        lap, place = divmod(at, len(trace))
        job = shifted([trace[place]], lap * period)[0]
        made.append(replace(job, ask=replace(job.ask, job_id=len(made) + 1)))
        total += job.work_ms
    ahead = shifted(made, round(START.timestamp() * 1000) - made[0].submitted_ms)
    placed = slackened(spread(ahead, places, SEED), SLACK, SLACK_SPREAD, SEED)
    return pausable(compressed(placed, gpus * len(places), use), PAUSE)


def cell(provider: FakeProvider, kept: Kept, gpus: int, use: float) -> dict[str, Outcome]:
    """All policies on one size of site and one load."""
    days, every_min = CELLS[gpus]
    places = regions(gpus)
    made = jobs(places, gpus, use, days)
    pace = Pace(EVERY, timedelta(hours=AHEAD_H), timedelta(minutes=every_min))
    told = replace(scenario(Chain([provider]), Site(places, Policy()), made, pace), issued=kept)
    began = time.perf_counter()

    def tell(name: str) -> None:
        print(f"  {time.perf_counter() - began:6.0f} s {name}", flush=True)

    return compare(told, POLICIES, tell)


def stored(gpus: int, use: float) -> Path:
    """Where what was found of a cell lies."""
    return FOLDER / "simulated_jobs" / f"{gpus}-{100 * use:.0f}.json"


def store(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Keeps the sums of a cell, so that a run may be stopped between cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sums = [
        asdict(outcome.tally) | {"grams": {str(key): g for key, g in outcome.tally.grams.items()}}
        for outcome in outcomes.values()
    ]
    path.write_text(json.dumps({"commit": commit(), "tallies": sums}, indent=2) + "\n")


def recalled(path: Path) -> Found:
    """The sums of a cell by policy."""
    sums = json.loads(path.read_text())["tallies"]
    found = [Tally(**each | {"grams": {Signal(key): g for key, g in each["grams"].items()}}) for each in sums]
    return {each.name: each for each in found}


def table(found: Mapping[tuple[int, float], Found]) -> str:
    """The Markdown table."""
    lines = [
        "| GPUs a region | use | jobs | policy | saved | of the oracle's"
        " | missed | avoidably | mean wait | planning |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (gpus, use), sums in found.items():
        best = sums[ORACLE].saving(sums["immediate"], Signal.AVERAGE)
        for name, tally in sums.items():
            saving = tally.saving(sums["immediate"], Signal.AVERAGE)
            cells = [
                *(str(gpus), f"{100 * use:.0f} %", str(tally.jobs), name, f"{100 * saving:.1f} %"),
                *(f"{100 * saving / best:.0f} %", str(tally.missed), str(tally.avoidable)),
                *(f"{tally.mean_wait_h:.1f} h", f"{tally.planning_s:.0f} s" if tally.rounds else ""),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def row(gpus: int, use: float, sums: Found) -> Row:
    """What a cell says of the goal."""
    base, ours, own = sums["immediate"], sums[OURS], sums["own window"]
    share = ours.saving(base, Signal.AVERAGE) / sums[ORACLE].saving(base, Signal.AVERAGE)
    return Row(
        f"real ML jobs, {gpus} GPUs in each of 10 zones, {100 * use:.0f} % used, {ours.jobs} jobs",
        f"immediate; own window saves {100 * own.saving(base, Signal.AVERAGE):.0f} % and misses"
        f" {own.missed} deadlines",
        "85 % of the oracle plan's saving, no avoidable miss",
        f"{100 * ours.saving(base, Signal.AVERAGE):.1f} % saved, {100 * share:.0f} % of the oracle's,"
        f" {ours.avoidable} avoidable misses",
        share >= GOAL and ours.avoidable == 0,
    )


def main() -> None:
    """Runs the cells that were asked for, and tells all that is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, action="append", choices=sorted(CELLS))
    parser.add_argument("--use", type=float, action="append", choices=USES)
    parser.add_argument("--only-forecasts", action="store_true", help="issue the forecasts and stop")
    parser.add_argument("--resume", action="store_true", help="leave out cells that were run before")
    given = parser.parse_args()
    provider = observed(ZONES)
    kept = issued(provider)
    if given.only_forecasts:
        return
    for gpus in given.gpus or CELLS:
        for use in given.use or USES:
            if given.resume and stored(gpus, use).exists():
                continue
            print(f"{gpus} GPUs a region, {use:.0%}", flush=True)
            store(stored(gpus, use), cell(provider, kept, gpus, use))
            print(table({(gpus, use): recalled(stored(gpus, use))}), flush=True)
    cells = [(gpus, use) for gpus in CELLS for use in USES]
    found = {each: recalled(stored(*each)) for each in cells if stored(*each).exists()}
    rows = [row(gpus, use, sums) for (gpus, use), sums in found.items()]
    print(table(found))
    print(f"kept in {keep('simulated_jobs', rows, COMMAND, complete=len(found) == len(cells))}")


if __name__ == "__main__":
    main()
