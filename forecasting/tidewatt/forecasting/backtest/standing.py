"""How contenders stand over several zones: medians, since a few nearly carbon-free zones dominate a mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidewatt.forecasting.backtest.scores import clean, median
from tidewatt.forecasting.backtest.trial import WORKS, Trial, Verdict, Work


@dataclass(frozen=True, slots=True)
class Standing:
    """One contender over `zones` zones; each figure is the median over those that have it.

    `mape_percent` and its days leave out clean zones (below 50 g/kWh on average), `clean_mae_g` is of those
    alone, `mae_g` of all. `captured` is the share of the possible saving by work, `mean_captured` the mean
    over works; `worst_captured` is that of the zone in which it did least.
    """

    name: str
    zones: int
    mape_percent: float | None
    mape_by_day: tuple[float | None, ...]
    mae_g: float | None
    clean_mae_g: float | None
    coverage: float | None
    captured: dict[Work, float | None]
    mean_captured: float | None
    worst_captured: float | None


def standings(trials: Sequence[Trial]) -> tuple[Standing, ...]:
    """The standing of each contender over its zones, the best captured saving first."""
    names = dict.fromkeys(verdict.name for trial in trials for verdict in trial.verdicts)
    found = [_standing(name, trials) for name in names]
    return tuple(sorted(found, key=lambda standing: -(standing.mean_captured or 0.0)))


def possible(trials: Sequence[Trial]) -> dict[Work, float | None]:
    """Share of immediate emissions that a perfect forecast saves, by work: the median over zones."""
    firsts = [trial.verdicts[0].captured for trial in trials if trial.verdicts]
    return {work: median(each[work].possible for each in firsts if work in each) for work in WORKS}


def _standing(name: str, trials: Sequence[Trial]) -> Standing:
    mine = [(trial, verdict) for trial in trials for verdict in trial.verdicts if verdict.name == name]
    fair = [verdict for trial, verdict in mine if not clean(trial.mean_g)]
    days = max(len(verdict.by_day) for _, verdict in mine)
    means = [verdict.mean_captured for _, verdict in mine]
    return Standing(
        name=name,
        zones=len(mine),
        mape_percent=median(verdict.errors.mape_percent for verdict in fair),
        mape_by_day=tuple(_day(fair, day) for day in range(days)),
        mae_g=median(verdict.errors.mae_g for _, verdict in mine),
        clean_mae_g=median(verdict.errors.mae_g for trial, verdict in mine if clean(trial.mean_g)),
        coverage=median(verdict.band.coverage for _, verdict in mine if verdict.band),
        captured={work: median(verdict.share(work) for _, verdict in mine) for work in WORKS},
        mean_captured=median(means),
        worst_captured=min((share for share in means if share is not None), default=None),
    )


def _day(verdicts: Sequence[Verdict], day: int) -> float | None:
    return median(verdict.by_day[day].mape_percent for verdict in verdicts if day < len(verdict.by_day))
