"""The queue that the README plans."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.unit.scheduler.cli.conftest import Said

EXAMPLES = Path(__file__).parents[4] / "configs" / "examples"


def test_the_queue_of_the_readme_is_planned_and_proved(tidewatt: Callable[..., Said]) -> None:
    jobs, regions = EXAMPLES / "queue.csv", EXAMPLES / "queue.toml"
    grid = EXAMPLES / "grid_california_2days.csv"
    asked = ("--jobs", str(jobs), "--regions", str(regions), "--grid", str(grid))
    said = json.loads(tidewatt("plan", *asked, "--now", "2019-09-20T16:45-07:00", "--json").out)
    assert said["totals"]["placed"] == 7
    assert said["totals"]["saving_percent"] > 20
    assert 0 <= said["certificate"]["gap_percent"] < 5
    assert said["troubles"] == []
