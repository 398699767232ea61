"""What earlier runs say of how long a job will take and what it will draw.

Durations are looked at as logarithms. Of few runs the predictive distribution of a normal law is taken
whose prior is the user's own estimate (Gelman et al., Bayesian Data Analysis, 3rd edition, section 3.3); of
many, the quantiles that were observed, by a linear quantile regression on the estimate and the GPUs where
these varied.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from math import ceil, exp, log, sqrt
from pathlib import PurePosixPath
from statistics import fmean, median, pstdev

from tidewatt.scheduler.when import short

USUAL, GUARD = 0.5, 0.95
OBSERVED_GUARD = 0.955  # a little more: the normal law that it is blended with tells too little of few runs
NEWEST = 60  # runs that are looked at where no regression is made
NEWEST_FITTED = 300
FITTED_FROM = 40  # runs; below them the libraries of a regression are not even loaded
VARIED = 0.2  # standard deviation of the logarithm of estimates, from which they explain something
PRIOR_RUNS = 2.0  # what the user's estimate counts
PRIOR_SPREAD, PRIOR_SPREAD_RUNS = 0.3, 4.0  # of the logarithm: estimates are often a third off
TRUSTED_RUNS = 20.0  # from so many on observed quantiles count as much as the normal law's
FEW_RUNS, LEAST_OF_ESTIMATE = 5, 0.25  # fewer runs never shorten an estimate to less than this share
FARTHEST = 20.0  # no run is believed to take so many times longer or shorter than it was estimated
Z95 = 1.6448536


@dataclass(frozen=True, slots=True)
class PastRun:
    """An earlier run that ended well: how long it ran (without pauses) and what it drew above idle."""

    duration_s: float
    estimate_s: float | None
    power_w: float | None
    user: str
    project: str
    name: str
    command: str
    gpus: int
    gpu_kind: str
    ended_ms: int


@dataclass(frozen=True, slots=True)
class AskedRun:
    """What is asked for now."""

    user: str
    project: str
    name: str
    command: str
    gpus: int
    gpu_kind: str
    estimate_s: float | None


@dataclass(frozen=True, slots=True)
class Learnt:
    """What to expect: half of such runs are done after `duration`, 95 of 100 after `guard_duration`.

    `power_w` is the mean draw above idle of `power_runs` of them, None where none was measured. `source` is
    for people, as in `14 earlier runs of train.py by ann: usually 0.8 of the estimate, 95 % within 1.1 of
    it`.
    """

    duration: timedelta
    guard_duration: timedelta
    power_w: float | None
    source: str
    runs: int
    power_runs: int = 0


@dataclass(frozen=True, slots=True)
class _Circle:
    """Runs that may tell of the one asked for; `least` so many of them are needed.

    `directly`: they tell how long it takes; of others only how far off their estimates were is believed,
    where it has one.
    """

    holds: Callable[[PastRun], bool]
    words: str
    least: int
    directly: bool


@dataclass(frozen=True, slots=True)
class _Spread:
    """Usual and guarded value of a logarithm."""

    usual: float
    guarded: float


def learn(history: Sequence[PastRun], asked: AskedRun) -> Learnt | None:
    """What the nearest earlier runs say; None where there are too few.

    The nearest are runs of the same command by the same user, then of the same program, then of the project,
    then all of the user's.
    """
    runs = sorted((run for run in history if run.duration_s > 0), key=lambda run: -run.ended_ms)
    for circle in _circles(asked):
        mine = [run for run in runs if circle.holds(run) and (circle.directly or run.estimate_s)]
        if len(mine) >= circle.least:
            return (_directly if circle.directly else _by_ratio)(mine, asked, circle.words)
    return None


@lru_cache(maxsize=4096)
def family(command: str, name: str) -> str:
    """The program that a command runs: its script or module, else its name without a number at its end."""
    words = command.split()
    scripts = (word for word in words if re.search(r"\.(py|sh|R|jl|ipynb)$", word))
    modules = (after for word, after in pairwise(words) if word == "-m")
    found = next(scripts, None) or next(modules, None)
    if found:
        return PurePosixPath(found).name
    return re.sub(r"[\W_]*\d+$", "", name) or (PurePosixPath(words[0]).name if words else "")


def _circles(asked: AskedRun) -> list[_Circle]:
    """The nearest first."""
    program = family(asked.command, asked.name)
    direct = asked.estimate_s is None

    def alike(run: PastRun) -> bool:
        return (run.gpus, run.gpu_kind) == (asked.gpus, asked.gpu_kind)

    def by_user(run: PastRun) -> bool:
        return run.user == asked.user

    def of_program(run: PastRun) -> bool:
        return bool(program) and family(run.command, run.name) == program and (alike(run) or not direct)

    def of_project(run: PastRun) -> bool:
        return bool(asked.project) and run.project == asked.project

    circles = [
        _Circle(
            lambda run: by_user(run) and alike(run) and run.command == asked.command,
            f"of {program} by {asked.user}",
            2,
            directly=True,
        ),
        _Circle(lambda run: by_user(run) and of_program(run), f"of {program} by {asked.user}", 3, direct),
        _Circle(
            lambda run: of_project(run) and of_program(run),
            f"of {program} in project {asked.project}",
            4,
            direct,
        ),
    ]
    return circles if direct else [*circles, _Circle(by_user, f"by {asked.user}", 8, directly=False)]


def _directly(runs: Sequence[PastRun], asked: AskedRun, words: str) -> Learnt:
    """From how long they took."""
    runs = runs[:NEWEST]
    prior = None if asked.estimate_s is None else log(asked.estimate_s)
    spread = _spread([log(run.duration_s) for run in runs], prior)
    usual_s, guarded_s = exp(spread.usual), exp(max(spread.usual, spread.guarded))
    said = f"usually {_length(usual_s)}, 95 % within {_length(guarded_s)}"
    return _learnt(runs, asked, usual_s, guarded_s, words, said)


def _by_ratio(runs: Sequence[PastRun], asked: AskedRun, words: str) -> Learnt:
    """From how many times their estimates they took."""
    estimate_s = asked.estimate_s or 0.0
    known = [(run, run.estimate_s) for run in runs[:NEWEST_FITTED] if run.estimate_s]
    bound = log(FARTHEST)
    off = [min(max(log(run.duration_s / told_s), -bound), bound) for run, told_s in known]
    fitted = _fitted(known, off, asked) if len(known) >= FITTED_FROM else None
    spread = _spread(off[:NEWEST] if fitted is None else off, 0.0, fitted)
    usual, guarded = exp(spread.usual), exp(max(spread.usual, spread.guarded))
    said = f"usually {usual:.2g} of the estimate, 95 % within {guarded:.2g} of it"
    return _learnt([run for run, _ in known], asked, usual * estimate_s, guarded * estimate_s, words, said)


def _learnt(
    runs: Sequence[PastRun], asked: AskedRun, usual_s: float, guarded_s: float, words: str, said: str
) -> Learnt:
    many, powers = len(runs), _powers(runs[:NEWEST], asked)
    least_s = LEAST_OF_ESTIMATE * (asked.estimate_s or 0.0) if many < FEW_RUNS else 0.0
    if usual_s < least_s:
        usual_s, guarded_s = least_s, max(least_s, guarded_s)
        said += f"; so few runs shorten an estimate to a quarter at most, {_length(usual_s)}"
    return Learnt(
        timedelta(seconds=max(1, round(usual_s))),
        timedelta(seconds=max(1, ceil(guarded_s))),
        fmean(powers) if powers else None,
        f"{many} earlier run{'s' if many != 1 else ''} {words}: {said}",
        many,
        len(powers),
    )


def _spread(values: Sequence[float], prior: float | None, observed: _Spread | None = None) -> _Spread:
    """The usual and the guarded value of one more such number.

    The predictive distribution of a normal law with a conjugate prior, moved towards what was `observed`
    (the quantiles of the values themselves, where nothing better is given) the more there are.
    """
    many = len(values)
    mean = fmean(values)
    counts = 0.0 if prior is None else PRIOR_RUNS
    centre = (counts * (prior or 0.0) + many * mean) / (counts + many)
    apart = sum((value - mean) ** 2 for value in values)
    if prior is not None:
        apart += counts * many / (counts + many) * (mean - prior) ** 2
    degrees = PRIOR_SPREAD_RUNS + many
    variance = (PRIOR_SPREAD_RUNS * PRIOR_SPREAD**2 + apart) / degrees * (1 + 1 / (counts + many))
    guarded = centre + _student95(degrees) * sqrt(variance)
    if observed is None:
        observed = _Spread(median(values), sorted(values)[min(many, ceil((many + 1) * OBSERVED_GUARD)) - 1])
    share = many / (many + TRUSTED_RUNS)
    return _Spread(centre + share * (observed.usual - centre), guarded + share * (observed.guarded - guarded))


def _student95(degrees: float) -> float:
    """The 95 % quantile of Student's distribution: Abramowitz and Stegun 26.7.5."""
    z = Z95
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    )


def _fitted(known: Sequence[tuple[PastRun, float]], off: Sequence[float], asked: AskedRun) -> _Spread | None:
    """Quantiles by the estimate and the GPUs; None where neither varied."""
    columns = [[log(told_s) for _, told_s in known], [log(1 + run.gpus) for run, _ in known]]
    here = [log(asked.estimate_s or 1.0), log(1 + asked.gpus)]
    varied = [number for number, column in enumerate(columns) if pstdev(column) > VARIED]
    if not varied:
        return None
    from sklearn.linear_model import QuantileRegressor  # takes a second to load: only where it is used

    rows = [[columns[number][i] for number in varied] for i in range(len(known))]
    # nothing is told of estimates and GPUs beyond those that were seen
    point = [min(max(here[number], min(columns[number])), max(columns[number])) for number in varied]
    level = min(0.99, GUARD * (1 + 1 / len(known)))
    usual, guarded = (
        float(QuantileRegressor(quantile=each, alpha=0.0, solver="highs").fit(rows, off).predict([point])[0])
        for each in (USUAL, level)
    )
    return _Spread(usual, max(usual, guarded))


def _powers(runs: Sequence[PastRun], asked: AskedRun) -> list[float]:
    """Draws in watts, by GPU where the numbers of GPUs differ; of runs on the same kind of GPU."""
    return [
        run.power_w * (asked.gpus / run.gpus if asked.gpus and run.gpus else 1.0)
        for run in runs
        if run.power_w is not None and bool(run.gpus) == bool(asked.gpus) and run.gpu_kind == asked.gpu_kind
    ]


def _length(seconds: float) -> str:
    return short(timedelta(seconds=round(seconds) if seconds < 600 else round(seconds / 60) * 60))
