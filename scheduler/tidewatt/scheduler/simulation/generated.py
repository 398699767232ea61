"""Made-up jobs, for whoever has no trace: much like those of training clusters, and said to be made up."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.region import Region
from tidewatt.scheduler.simulation.submitted import Submitted, ordered, submitted
from tidewatt.scheduler.simulation.trace import home_of, simple

BUSY_HOURS = (9, 18)  # UTC: in these, arrivals come `BUSIER` times as often as in the rest of the day
BUSIER = 2.5
GPUS, GPU_SHARES = (1, 2, 4, 8), (0.7, 0.12, 0.1, 0.08)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How jobs are made: lognormal lengths (h), Poisson arrivals with a daily shape over `days`.

    `median_h` and `spread` (of the logarithm) are near those of public traces of ML clusters, where most jobs
    take minutes and a few take days. `several` allows 2, 4 and 8 GPUs.
    """

    count: int
    days: float = 7.0
    median_h: float = 1.0
    spread: float = 1.3
    longest_h: float = 72.0
    several: bool = False


def generated(
    recipe: Recipe, regions: tuple[Region, ...], start: datetime, slack: timedelta, seed: int
) -> tuple[Submitted, ...]:
    """The jobs that a recipe and a seed make, each with `slack`; the same seed makes the same jobs."""
    rng = np.random.default_rng(seed)
    hours = _arrivals(recipe, start, rng)
    lengths = np.minimum(
        np.exp(rng.normal(log(recipe.median_h), recipe.spread, recipe.count)), recipe.longest_h
    )
    lengths = np.maximum(lengths, 1 / 60)
    gpus = rng.choice(GPUS, recipe.count, p=GPU_SHARES) if recipe.several else np.ones(recipe.count, int)
    home = home_of(regions)
    return ordered(
        simple(
            number,
            start + timedelta(hours=float(hours[number - 1])),
            timedelta(hours=float(lengths[number - 1])),
            slack,
            home,
            int(gpus[number - 1]),
        )
        for number in range(1, recipe.count + 1)
    )


def spread(jobs: tuple[Submitted, ...], regions: tuple[Region, ...], seed: int) -> tuple[Submitted, ...]:
    """The jobs with their homes drawn evenly from all regions where they may run."""
    rng = np.random.default_rng((seed, 1))
    names = [region.name for region in regions]
    homes = rng.integers(0, len(names), len(jobs)).tolist()
    return tuple(
        replace(job, ask=replace(job.ask, home=names[home])) for job, home in zip(jobs, homes, strict=True)
    )


def slackened(
    jobs: tuple[Submitted, ...], median: timedelta, sigma: float, seed: int
) -> tuple[Submitted, ...]:
    """The jobs with lognormal slacks of this median instead of their own."""
    rng = np.random.default_rng((seed, 2))
    factors = np.exp(rng.normal(0.0, sigma, len(jobs)))
    return tuple(
        submitted(
            replace(job.ask, finish_by=job.ask.submitted + job.ask.duration + median * float(factor)),
            timedelta(milliseconds=job.work_ms),
        )
        for job, factor in zip(jobs, factors, strict=True)
    )


def mistaken(jobs: tuple[Submitted, ...], sigma: float, seed: int) -> tuple[Submitted, ...]:
    """The jobs with estimates off by lognormal factors of median 1; how long they really run stays.

    Deadlines are kept with the 95 % quantile of these factors, as they are with learnt estimates.
    """
    rng = np.random.default_rng((seed, 3))
    factors = np.exp(rng.normal(0.0, sigma, len(jobs)))
    longer = exp(1.645 * sigma)
    made = []
    for job, factor in zip(jobs, factors.tolist(), strict=True):
        real = timedelta(milliseconds=job.work_ms)
        estimate = max(real / factor, timedelta(seconds=1))
        ask = replace(job.ask, duration=estimate, guard_duration=estimate * longer, duration_source="learnt")
        made.append(submitted(ask, real))
    return tuple(made)


def _arrivals(recipe: Recipe, start: datetime, rng: np.random.Generator) -> NDArray[np.float64]:
    """Hours after `start`, ascending: a Poisson process of which the number of arrivals is given."""
    hours = int(np.ceil(recipe.days * 24))
    of_day = (start.hour + np.arange(hours)) % 24
    weight = np.where((of_day >= BUSY_HOURS[0]) & (of_day < BUSY_HOURS[1]), BUSIER, 1.0)
    weight[-1] *= recipe.days * 24 - (hours - 1)
    within = rng.choice(hours, recipe.count, p=weight / weight.sum())
    return np.sort(np.minimum(within + rng.random(recipe.count), recipe.days * 24))
