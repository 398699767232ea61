"""The power that a job is expected to draw."""

import pytest

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.planning.estimate import estimate


@pytest.mark.parametrize(
    ("need", "limits", "tdp_w", "power_w", "words"),
    [
        (Need(gpus=2, cpus=4), [400.0, 300.0], 160.0, 2 * 280 + 40, "2 x 280 W GPU (70% of its power limit)"),
        (Need(cpus=16), [], 160.0, 160, "100% of the TDP of 160 W, table"),
        (Need(cpus=32), [], 160.0, 160, "100% of the TDP"),
        (Need(gpus=1), [], 0.0, 0, "GPU unknown, not counted + CPU unknown, not counted"),
    ],
)
def test_unknown_job_is_assumed_from_limits(
    need: Need, limits: list[float], tdp_w: float, power_w: float, words: str
) -> None:
    made = estimate(need, limits, 16, tdp_w, "table")
    assert made.power_w == pytest.approx(power_w)
    assert made.source.startswith("assumed: ")
    assert words in made.source


def test_earlier_run_counts_more_than_limits() -> None:
    made = estimate(Need(gpus=1), [400.0], 16, 160.0, "table", earlier_w=212.5, earlier_of="job 11, bert")
    assert (made.power_w, made.source) == (212.5, "measured: job 11, bert")
