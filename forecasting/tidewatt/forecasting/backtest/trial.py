"""A trial: several contenders over the same past of one zone, judged by errors and by captured saving."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.backtest.capture import Flags, Outcome, outcome, usable
from tidewatt.forecasting.backtest.issuing import Issues, continued
from tidewatt.forecasting.backtest.past import Past
from tidewatt.forecasting.backtest.scores import Band, Errors, ahead, band, by_day, errors, mean
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models.forecaster import HOUR_MS
from tidewatt.forecasting.series import Intensities

LENGTHS_H = (1, 4, 12, 24, 48)
SLACKS_H = (24, 48)
LEAST_POSSIBLE = 0.003  # of immediate emissions: a share of less says nothing


@dataclass(frozen=True, slots=True)
class Work:
    """A sort of job: how long it runs, how much later than that it may be done, whether it may pause."""

    job_h: int
    slack_h: int
    interruptible: bool


WORKS = tuple(
    Work(job_h, slack_h, interruptible)
    for slack_h in SLACKS_H
    for interruptible in (False, True)
    for job_h in LENGTHS_H
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one contender did. `captured` has an outcome for each work that fits the horizon with its slack."""

    name: str
    errors: Errors
    by_day: tuple[Errors, ...]
    band: Band | None
    captured: dict[Work, Outcome]

    @property
    def mean_captured(self) -> float | None:
        """Mean share of the possible saving over all works; None where nothing could be saved."""
        return mean(self.share(work) for work in self.captured)

    def share(self, work: Work) -> float | None:
        """Share of the possible saving; None where a perfect forecast saves next to nothing."""
        found = self.captured.get(work)
        if found is None or (found.possible or 0.0) < LEAST_POSSIBLE:
            return None
        return found.captured


@dataclass(frozen=True, slots=True)
class Trial:
    """All verdicts over one zone's past, the best captured saving first.

    `first_ms` and `last_ms` are the first and the last moment of issue, `mean_g` the mean intensity observed
    from the first on, gCO2/kWh. `notes` say who took no part, and why.
    """

    zone: str
    kind: str
    source: str
    issues: int
    hours: int
    first_ms: int
    last_ms: int
    mean_g: float
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()


def judge(
    past: Past,
    contenders: Sequence[Issues],
    *,
    arrivals: Sequence[int] = (0,),
    continuing: Issues | None = None,
    works: Sequence[Work] = WORKS,
    notes: Sequence[str] = (),
) -> Trial:
    """The trial of contenders that were issued at the same moments.

    Errors count where a contender predicted, at moments at which every contender did. For captured saving
    what a contender leaves open is taken from `continuing`, and only submissions count that every contender
    could plan.

    Raises:
        ForecastError: the contenders were issued at different moments, or never all at one.
    """
    heard = [each for each in contenders if not np.isnan(each.predicted).all()]
    silent = [each.name for each in contenders if np.isnan(each.predicted).all()]
    said = (*(f"{name}: the past is too short or has too many holes for it" for name in silent), *notes)
    shared = _shared(past.history.zone, heard)
    heard = [_rows(each, shared) for each in heard]
    start_ms, hours = heard[0].start_ms, heard[0].predicted.shape[1]
    actual = past.history.gco2_per_kwh
    issue_at = (start_ms - past.history.start_ms) // HOUR_MS
    observed = ahead(actual, issue_at, hours)
    if np.isnan(observed).all():
        raise ForecastError(f"nothing of {past.history.zone} was observed after the moments of issue")
    follow = None if continuing is None else _rows(continuing, shared)
    plans = [each.predicted if follow is None else continued(each, follow) for each in heard]
    captured = _captured(actual, plans, issue_at, arrivals, works)
    verdicts = [_verdict(each, observed, found) for each, found in zip(heard, captured, strict=True)]
    return Trial(
        past.history.zone,
        str(past.kind),
        past.source,
        len(issue_at),
        hours,
        int(start_ms[0]),
        int(start_ms[-1]),
        float(np.nanmean(observed)),
        tuple(sorted(verdicts, key=lambda verdict: -(verdict.mean_captured or 0.0))),
        said,
    )


def _shared(zone: str, contenders: Sequence[Issues]) -> Flags:
    """The moments (i,) at which every contender predicted something."""
    if not contenders:
        raise ForecastError(
            f"nobody could predict anything for {zone}: its past is too short or has too many holes"
        )
    if any(not np.array_equal(each.start_ms, contenders[0].start_ms) for each in contenders):
        raise ForecastError("contenders can only be compared at the same moments of issue")
    shared = np.all([~np.isnan(each.predicted).all(axis=1) for each in contenders], axis=0)
    if not shared.any():
        names = ", ".join(each.name for each in contenders)
        raise ForecastError(f"there is no moment at which all of these predicted {zone}: {names}")
    return np.asarray(shared)


def _verdict(issues: Issues, observed: Intensities, captured: dict[Work, Outcome]) -> Verdict:
    held = None if issues.p10 is None or issues.p90 is None else band(observed, issues.p10, issues.p90)
    return Verdict(
        issues.name,
        errors(observed, issues.predicted),
        by_day(observed, issues.predicted),
        held,
        captured,
    )


def _captured(
    actual: Intensities,
    plans: Sequence[Intensities],
    issue_at: NDArray[np.int64],
    arrivals: Sequence[int],
    works: Sequence[Work],
) -> list[dict[Work, Outcome]]:
    """The outcome of each plan and work over submissions that all plans could place."""
    found: list[dict[Work, Outcome]] = [{} for _ in plans]
    masks: dict[tuple[int, int], Flags] = {}
    for work in works:
        if work.job_h + work.slack_h > plans[0].shape[1]:
            continue
        size = {"job_steps": work.job_h, "slack_steps": work.slack_h}
        shape = work.job_h, work.slack_h
        if shape not in masks:
            each = [usable(actual, plan, issue_at, **size, arrivals=arrivals) for plan in plans]
            masks[shape] = np.all(each, axis=0)
        if not masks[shape].any():
            continue
        for plan, outcomes in zip(plans, found, strict=True):
            outcomes[work] = outcome(
                actual,
                plan,
                issue_at,
                **size,
                arrivals=arrivals,
                interruptible=work.interruptible,
                valid=masks[shape],
            )
    return found


def _rows(issues: Issues, kept: Flags) -> Issues:
    """The moments that are kept."""
    return replace(
        issues,
        start_ms=issues.start_ms[kept],
        predicted=issues.predicted[kept],
        p10=None if issues.p10 is None else issues.p10[kept],
        p90=None if issues.p90 is None else issues.p90[kept],
    )
