"""A backtest as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from tidewatt.forecasting.backtest.capture import Outcome
from tidewatt.forecasting.backtest.standing import Standing, standings
from tidewatt.forecasting.backtest.trial import Trial, Verdict, Work
from tidewatt.forecasting.series import instant


def answer(trials: Sequence[Trial], every_h: int, lag_h: float) -> dict[str, Any]:
    """All trials, and the standing of each contender over their zones."""
    return {
        "hours": trials[0].hours,
        "every_h": every_h,
        "lag_h": lag_h,
        "trials": [_trial(trial) for trial in trials],
        "standings": [_standing(standing) for standing in standings(trials)],
    }


def _standing(standing: Standing) -> dict[str, Any]:
    found = asdict(replace(standing, captured={}))
    return found | {
        "captured": [asdict(work) | {"captured": share} for work, share in standing.captured.items()]
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "zone": trial.zone,
        "kind": trial.kind,
        "source": trial.source,
        "issues": trial.issues,
        "first": instant(trial.first_ms).isoformat(),
        "last": instant(trial.last_ms).isoformat(),
        "mean_gco2_per_kwh": trial.mean_g,
        "contenders": [_verdict(verdict) for verdict in trial.verdicts],
        "notes": list(trial.notes),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        **asdict(verdict.errors),
        "by_day": [asdict(day) for day in verdict.by_day],
        "band": None if verdict.band is None else asdict(verdict.band),
        "mean_captured": verdict.mean_captured,
        "captured": [_outcome(work, outcome) for work, outcome in verdict.captured.items()],
    }


def _outcome(work: Work, outcome: Outcome) -> dict[str, Any]:
    """Shares of immediate emissions, and of what could be saved of them."""
    return asdict(work) | {
        "submissions": outcome.submissions,
        "saved": outcome.saved,
        "possible": outcome.possible,
        "captured": outcome.captured,
    }
