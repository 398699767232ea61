"""How much of the possible saving forecasts of the last days would have captured."""

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.backtest.capture import outcome, usable

Floats = NDArray[np.float64]

JOBS_H = (4, 12)
SLACK_H = 24
JUDGED_H = max(JOBS_H) + SLACK_H  # so far ahead forecasts are judged


def captured(actual: Floats, origins: NDArray[np.int64], predictions: dict[str, Floats]) -> dict[str, float]:
    """Mean share of the possible saving that plans made with each prediction (issues, hours) obtain.

    Jobs of 4 and 12 h, contiguous and interruptible, with 24 h slack, that arrive at each issue; issues at
    which a contender has nothing are left out for all, contenders that never have anything altogether.
    Empty where nothing can be saved.
    """
    there = {name: values for name, values in predictions.items() if not np.isnan(values).all()}
    shares: dict[str, list[float]] = {name: [] for name in there}
    for job_h in JOBS_H:
        masks = [
            usable(actual, values, origins, job_steps=job_h, slack_steps=SLACK_H) for values in there.values()
        ]
        valid = np.logical_and.reduce(masks) if masks else None
        for interruptible in (False, True):
            for name, values in there.items():
                share = outcome(
                    actual,
                    values,
                    origins,
                    job_steps=job_h,
                    slack_steps=SLACK_H,
                    interruptible=interruptible,
                    valid=valid,
                ).captured
                if share is not None:
                    shares[name].append(share)
    return {name: float(np.mean(each)) for name, each in shares.items() if each}
