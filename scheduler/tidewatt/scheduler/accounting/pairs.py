"""Jobs that ran on other hardware than home's: what home's would have needed, where that was measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

FEWEST = 3  # runs on each side of a pair
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Energy above idle that home's hardware would have needed for the same work, in millionths of this.

    `measured` is False for a ratio of speed and power that somebody stated: such a one is in no saving.
    """

    ratio_ppm: int
    measured: bool
    source: str

    def record(self) -> dict[str, int | str]:
        """Integers and strings; `restored` reads them."""
        return {"ratio_ppm": self.ratio_ppm, "measured": int(self.measured), "source": self.source}

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> "Efficiency":
        """What `record` wrote."""
        return cls(record["ratio_ppm"], bool(record["measured"]), record["source"])


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A job that was done: who ran what on which hardware; its energy above idle while it was productive."""

    job_id: int
    user: str
    project: str
    name: str
    hardware: str
    active_uj: int


def measured_pair(
    runs: Iterable[EarlierRun], user: str, project: str, name: str, home: str, here: str
) -> Efficiency | None:
    """The ratio of median energies per job, home's hardware over the one here; None without a pair.

    A pair is at least three jobs done on each side, of one user, project and name: what is called the same is
    taken to be the same work. A job without a name has none. The lower median is taken: it was measured.
    """
    same = [run for run in runs if name and (run.user, run.project, run.name) == (user, project, name)]
    there = [run.active_uj for run in same if run.hardware == home and run.active_uj > 0]
    ours = [run.active_uj for run in same if run.hardware == here and run.active_uj > 0]
    if home == here or len(there) < FEWEST or len(ours) < FEWEST:
        return None
    ratio_ppm = median_low(there) * PPM // median_low(ours)
    source = f"median energy per job: {len(there)} on {home}, {len(ours)} on {here}"
    return Efficiency(ratio_ppm, True, source)


def stated(home: tuple[float, float], here: tuple[float, float], source: str) -> Efficiency | None:
    """What stated ratios, each `(speed, power)`, suggest; None where that is the same energy."""
    ratio = (home[1] / home[0]) / (here[1] / here[0])
    return None if ratio == 1 else Efficiency(round(ratio * PPM), False, source)
