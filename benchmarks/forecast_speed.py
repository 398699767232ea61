"""How long own models take to train and to predict, and how long the planner waits for a forecast.

    python benchmarks/forecast_speed.py [DATA]

Trains one zone on three years of hours with its generation mix, in a process of its own whose peak memory
counts; makes a 7-day forecast for each of 121 zones from stored models, in another one; and reads a warm
outlook as the planner does. Two threads at most, unless OMP_NUM_THREADS says otherwise. Exits with 1 where a
limit is passed. DATA holds `production_mix_hourly_42zones_2019_2022.parquet`.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.models.shelf import Shelf
from tidewatt.forecasting.models.stored import load, path_of, save
from tidewatt.forecasting.quantity import intensity
from tidewatt.forecasting.series import milliseconds
from tidewatt.forecasting.zones import every, zone

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.results import Row, keep  # noqa: E402  # a script finds its neighbours only by path

ZONE = "DE"
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
END = datetime(2022, 7, 1, tzinfo=UTC)
YEARS = timedelta(days=3 * 365)
ZONES = 121
WEEK_H = 168
TRAIN_S, TRAIN_MB, PREDICT_S, READ_MS = 60.0, 1024, 5.0, 1.0
FUELS = {"gas": "mw_nat_gas"} | {
    fuel: f"mw_{fuel}"
    for fuel in ("coal", "nuclear", "oil", "hydro", "solar", "wind", "biomass", "geothermal", "other")
}


def main(arguments: Sequence[str]) -> int:
    """Prints and keeps the figures; 1 where a limit is passed."""
    if arguments[:1] == ["--child"]:
        work = {"train": train, "predict": predict}[arguments[1]]
        print(json.dumps(work(Path(arguments[2]))))
        return 0
    data = Path(arguments[0]) if arguments else ROOT.parent / "shared" / "data"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        past(data, folder)
        trained, predicted = apart("train", folder), apart("predict", folder)
    read_ms = reading()
    threads = os.environ.get("OMP_NUM_THREADS", "2")
    found = [
        Row(
            f"training {ZONE} on three years with mix, {threads} thread(s)",
            "",
            f"under {TRAIN_S:.0f} s and {TRAIN_MB} MB",
            told(trained),
            trained["seconds"] < TRAIN_S and trained["peak_mb"] < TRAIN_MB,
        ),
        Row(
            f"7-day forecasts of {ZONES} zones from stored models, reading the models included",
            "",
            f"under {PREDICT_S:.0f} s",
            told(predicted),
            predicted["seconds"] < PREDICT_S,
        ),
        Row(
            "the planner reads a forecast of 48 h",
            "",
            f"under {READ_MS:.0f} ms",
            f"{read_ms:.3f} ms (median)",
            read_ms < READ_MS,
        ),
    ]
    for row in found:
        print(f"{row.on}: {row.reached} ({row.goal})")
    keep("forecast_speed", found, "benchmarks/forecast_speed.py")
    return int(not all(row.met for row in found))


def past(data: Path, folder: Path) -> None:
    """Three years of the zone as plain arrays, so that reading them costs the measured process little."""
    import pyarrow.parquet as pq

    file = data / "production_mix_hourly_42zones_2019_2022.parquet"
    table = pq.read_table(file, filters=[("zone", "==", ZONE)])
    moments = table.column("ts").to_numpy().astype("datetime64[ms]").astype(np.int64)
    start_ms, end_ms = milliseconds(END - YEARS), milliseconds(END)
    kept = (moments >= start_ms) & (moments < end_ms)
    at = (moments[kept] - start_ms) // HOUR_MS
    hours = (end_ms - start_ms) // HOUR_MS
    arrays = {"gco2_per_kwh": table.column("ci_lifecycle")}
    arrays |= {ours: table.column(theirs) for ours, theirs in FUELS.items()}
    spread = np.full((len(arrays), hours), np.nan)
    for row, column in zip(spread, arrays.values(), strict=True):
        row[at] = column.to_numpy().astype(float)[kept]
    np.savez(folder / "past.npz", names=np.array(list(arrays)), values=spread)


def history(folder: Path, key: str = ZONE) -> History:
    """The past as it was stored, as that of a zone."""
    with np.load(folder / "past.npz") as stored:
        mw: dict[str, NDArray[np.float64]] = dict(
            zip(stored["names"].tolist(), stored["values"], strict=True)
        )
    place = zone(key)
    values = mw.pop("gco2_per_kwh")
    start_ms, now_ms = milliseconds(END - YEARS), milliseconds(END)
    return History(key, start_ms, now_ms, values, place.timezone, place.latitude, place.longitude, mw)


def train(folder: Path) -> dict[str, float]:
    """What training one zone takes; its model is stored."""
    known = history(folder)
    begun = time.perf_counter(), time.process_time()
    from tidewatt.forecasting.models.training import trained  # loading scikit-learn is part of it

    model = trained(known, quantity=intensity(KIND))
    took = spent(begun)
    if model is None:
        raise SystemExit("three years were not enough to train on")
    save(model, path_of(folder, ZONE, intensity(KIND)))
    return took


def predict(folder: Path) -> dict[str, float]:
    """What a week's forecast for each of 121 zones takes, their models read from the disk."""
    model = load(path_of(folder, ZONE, intensity(KIND)))
    keys = [each.key for each in every()][:ZONES]
    shelves = folder / "models"
    for key in keys:
        chosen = replace(model, zone=key, captured={model.name: 1.0})  # so that it is used
        save(chosen, path_of(shelves, key, intensity(KIND)))
    pasts = [history(folder, key) for key in keys]
    shelf = Shelf(shelves)
    begun = time.perf_counter(), time.process_time()
    for known in pasts:
        own = shelf.own(known.zone, KIND, known, WEEK_H)
        if own is None or len(own.prediction.gco2_per_kwh) != WEEK_H or model.name not in own.label:
            raise SystemExit(f"{known.zone} got no forecast from its model")
    return spent(begun)


def reading() -> float:
    """Median milliseconds of an outlook over 48 h from the chain of a stored feed, `now` moving on."""
    from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
    from tidewatt.forecasting.feeds.great_britain import KIND as TOLD
    from tidewatt.forecasting.series import Steps
    from tidewatt.scheduler.config import grid
    from tidewatt.scheduler.paths import paths
    from tidewatt.scheduler.settings import Settings

    def steps(start: datetime, hours: int) -> Steps:
        start_ms = milliseconds(start) + HOUR_MS // 2 * np.arange(2 * hours, dtype=np.int64)
        shape = 200 + 80 * np.sin(np.arange(2 * hours) * 2 * np.pi / 48)
        return Steps(start_ms, start_ms + HOUR_MS // 2, shape)

    with tempfile.TemporaryDirectory() as name:
        place = paths({"TIDEWATT_HOME": name, "XDG_RUNTIME_DIR": name})
        known = grid(Settings.model_validate({"source": [{"type": "great_britain"}]}), place)
        fetched = Fetched(
            (Observed(intensity(TOLD), steps(END - timedelta(days=8), 8 * 24)),),
            (Issued(intensity(TOLD), END, steps(END, 48)),),
        )
        known.archive.add(known.feeds[0].name, "GB", fetched, END)
        taken = []
        for second in range(2000):
            now = END + timedelta(seconds=second)
            begun = time.perf_counter()
            outlook = known.chain.outlook("GB", Signal.AVERAGE, now, now + timedelta(hours=48))
            taken.append(1000 * (time.perf_counter() - begun))
            if outlook is None:
                raise SystemExit("the chain knew nothing")
        known.archive.close()
    return statistics.median(taken)


def apart(work: str, folder: Path) -> dict[str, float]:
    """What a process of its own measured."""
    environment = {"OMP_NUM_THREADS": "2", **os.environ}
    command = [sys.executable, __file__, "--child", work, str(folder)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def spent(begun: tuple[float, float]) -> dict[str, float]:
    """Seconds on the clock and of CPU since then, and the most memory that this process has held."""
    return {
        "seconds": time.perf_counter() - begun[0],
        "cpu_s": time.process_time() - begun[1],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def told(took: dict[str, float]) -> str:
    """The same in words."""
    return f"{took['seconds']:.1f} s ({took['cpu_s']:.1f} s of CPU), {took['peak_mb']:.0f} MB at its peak"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
