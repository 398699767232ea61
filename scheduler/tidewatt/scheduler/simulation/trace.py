"""Jobs of a trace: a jobs file of ours, or any table with arrivals and durations."""

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.columns import Columns, read
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.queue_files import ASSUMED_GPU_W, JobTable, read_jobs
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.simulation.submitted import Submitted, ordered, submitted

UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Plain:
    """Which columns of somebody's trace hold arrivals and durations.

    Both are numbers whose name ends in their unit (`arrival_h`, `duration_s`). `gpus` names the column of
    GPUs, "" for one each; a fraction of a GPU counts as one.
    """

    arrival: str
    duration: str
    gpus: str = ""


def of_file(
    path: Path, regions: tuple[Region, ...], start: datetime, slack: timedelta, *, elsewhere: bool = False
) -> tuple[Submitted, ...]:
    """The jobs of a file in the format of `docs/formats.md`; `slack` is granted where none is stated.

    `duration_s` is how long they really run. Jobs without a `submitted` time come at `start`. `elsewhere`:
    the regions are not those that the file was written for; a home that is none of them is the home.

    Raises:
        BadInput: the file is wrong; the text names row and column.
    """
    table = read_jobs(path, start, slack)
    return of_table(table, regions, elsewhere=elsewhere)


def of_table(
    table: JobTable, regions: tuple[Region, ...], *, elsewhere: bool = False
) -> tuple[Submitted, ...]:
    """The jobs of a table, those without a home at the regions' home; `elsewhere` as in `of_file`."""
    for index in table.power_steps:
        table.columns.refuse(
            index, "power_steps", "simulated jobs draw one power: give its mean as power_w instead"
        )
    home = home_of(regions)
    known = {region.name for region in regions}
    after: dict[int, list[int]] = {}
    for first, second in table.before.tolist():
        after.setdefault(second, []).append(int(table.ids[first]))
    made = []
    for index in range(len(table)):
        wanted = table.home[index]
        if wanted not in known and elsewhere:
            wanted = ""
        if wanted and wanted not in known:
            table.columns.refuse(
                index, "home", f"{wanted!r} is none of the regions {', '.join(sorted(known))}"
            )
        release = moment(int(table.release_ms[index]))
        gpus = int(table.gpus[index])
        ask = Ask(
            job_id=int(table.ids[index]),
            submitted=release,
            need=Need(gpus, "", int(table.cpus[index])),
            duration=timedelta(milliseconds=int(table.work_ms[index])),
            duration_source="trace",
            power_w=float(table.kw[index]) * 1000,
            power_source="assumed" if table.assumed[index] else "trace",
            finish_by=moment(int(table.due_ms[index])),
            regions=() if elsewhere and known.isdisjoint(table.regions[index]) else table.regions[index],
            exclude_regions=table.exclude_regions[index],
            home=wanted or home,
            after=tuple(after.get(index, ())),
            array=table.array[index],
            array_limit=int(table.array_limit[index]),
            priority=int(table.priority[index]),
            kinds=table.kinds[index],
            pausing=table.pausing.get(index),
            data_gb=float(table.data_gb[index]),
            user=table.user[index],
            project=table.project[index],
        )
        made.append(submitted(ask))
    return ordered(made)


def of_plain(
    path: Path, plain: Plain, regions: tuple[Region, ...], start: datetime, slack: timedelta
) -> tuple[Submitted, ...]:
    """The jobs of a foreign trace; the first one comes at `start`, each has the same slack.

    Raises:
        BadInput: a column is missing, names no unit, or a cell is no number; the text names row and column.
    """
    named = [name for name in (plain.arrival, plain.duration, plain.gpus) if name]
    columns = read(path, _names(path), named)
    arrival_s = columns.numbers(plain.arrival, np.nan, -np.inf) * _unit_s(plain.arrival)
    duration_s = columns.numbers(plain.duration, np.nan, 0, open_end=True) * _unit_s(plain.duration)
    gpus = columns.numbers(plain.gpus, 1.0, 0) if plain.gpus else np.ones(len(columns))
    _check_known(columns, plain, arrival_s, duration_s)
    home = home_of(regions)
    first = float(arrival_s.min())
    return ordered(
        simple(
            number,
            start + timedelta(seconds=float(arrival_s[row]) - first),
            timedelta(seconds=float(duration_s[row])),
            slack,
            home,
            int(np.ceil(gpus[row])),
        )
        for number, row in enumerate(range(len(columns)), 1)
    )


def simple(
    number: int, at: datetime, duration: timedelta, slack: timedelta, home: str, gpus: int = 1
) -> Submitted:
    """A job of which no more is known."""
    ask = Ask(
        job_id=number,
        submitted=at,
        need=Need(gpus),
        duration=duration,
        duration_source="trace",
        power_w=ASSUMED_GPU_W * max(gpus, 1),
        power_source="assumed",
        finish_by=at + duration + slack,
        home=home,
    )
    return submitted(ask)


def home_of(regions: tuple[Region, ...]) -> str:
    """The name of the home region."""
    return next((region.name for region in regions if region.home), regions[0].name)


def _check_known(
    columns: Columns, plain: Plain, arrival_s: NDArray[np.float64], duration_s: NDArray[np.float64]
) -> None:
    if not len(columns):
        raise BadInput(f"{columns.path} holds no job")
    for name, values in ((plain.arrival, arrival_s), (plain.duration, duration_s)):
        missing = np.flatnonzero(~np.isfinite(values))
        if missing.size:
            columns.refuse(int(missing[0]), name, "there is no number here: every job needs one")


def _unit_s(name: str) -> float:
    """Seconds of the unit that ends a column's name."""
    unit = name.rpartition("_")[2]
    if unit not in UNITS_S:
        raise BadInput(
            f"the column {name!r} does not say its unit: its name has to end in _s, _min, _h or _d, rename it"
        )
    return UNITS_S[unit]


def _names(path: Path) -> tuple[str, ...]:
    """Names of all columns, of which most are of no interest."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            import pyarrow as pa
            import pyarrow.parquet as pq

            try:
                return tuple(pq.read_schema(path).names)
            except pa.ArrowInvalid as error:
                raise BadInput(f"{path} cannot be read as Parquet: {error}") from None
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = (line for line in csv.reader(file) if line and not line[0].lstrip().startswith("#"))
            return tuple(cell.strip() for cell in next(lines, []))
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
