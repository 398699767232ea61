"""What the demo replays: two days, two regions, seven jobs with their deadlines."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("America/Los_Angeles")
START = datetime(2019, 9, 20, tzinfo=LOCAL)  # the two days of configs/examples/grid_california_2days.csv
DAYS = timedelta(days=2)
FACTOR = 1440  # a replayed day is a minute
GRID = "grid_california_2days.csv"
TRAINING = "train_digits.py"
ZONES = {"north": "WT:SGIP_CAISO_PGE", "south": "WT:SGIP_CAISO_SCE"}  # by region; the first is home
# Starting Python and storing the exit status take time that the job's estimate must hold, too.
AROUND_TRAINING_S = 0.7

CONFIG = """\
signal = "marginal"
meter_interval_s = 1
margin = "15m"
final_after = "2h"

[[source]]
type = "file"
path = "{grid}"

[[region]]
name = "north"
zones = {{ marginal = "{north}" }}
cpus = 1
home = true

[[region]]
name = "south"
zones = {{ marginal = "{south}" }}
cpus = 1
"""


@dataclass(frozen=True, slots=True)
class Submission:
    """A job of the demo: submitted `at`, by estimate `duration` long, to be done by `finish_by`."""

    name: str
    at: datetime
    duration: timedelta
    finish_by: datetime

    def training_s(self, factor: float) -> float:
        """Real seconds for which it trains, so that all of it takes about `duration` of replayed time."""
        return max(self.duration.total_seconds() / factor - AROUND_TRAINING_S, 1.0)


def moment(day: int, hour: float) -> datetime:
    """Local `hour` of the first (0) or second (1) day."""
    return START + timedelta(days=day, hours=hour)


def submission(name: str, at: datetime, hours: float, finish_by: datetime) -> Submission:
    """A job that takes `hours`."""
    return Submission(name, at, timedelta(hours=hours), finish_by)


# An ordinary mixture, not picked for its saving: long and short slack, over the day and over night, one job
# with so little slack that it can hardly save anything.
SUBMISSIONS = (
    submission("baseline", moment(0, 0.5), 3, moment(0, 9)),
    submission("ablation", moment(0, 7), 4, moment(0, 20)),
    submission("tune", moment(0, 11.5), 2, moment(0, 20)),
    submission("urgent", moment(0, 14.5), 2, moment(0, 19)),
    submission("retrain", moment(0, 16.75), 4, moment(1, 16)),
    submission("sweep", moment(0, 21), 3, moment(1, 15)),
    submission("evaluate", moment(1, 8), 2, moment(1, 20)),
)


def config(grid: Path) -> str:
    """The daemon's configuration."""
    return CONFIG.format(grid=grid, **ZONES)
