"""Vectors of another planner that splits jobs."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidewatt.scheduler.plan import Milestone, Pausing
from tidewatt.scheduler.planning.draw import profile
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.pausing.evaluation import cost_of, faults_of
from tidewatt.scheduler.planning.pausing.programme import best_stints
from tidewatt.scheduler.planning.pausing.work import Track, Work

STEP_MS = 300_000
MINUTE = timedelta(minutes=1)
TERMS = {  # the case in our words; blocks of given lengths are more than we can say: theirs is one of ours
    "one_block": Pausing(max_pauses=0),
    "blocks_80_40": Pausing(max_pauses=1, min_stint=40 * MINUTE),
    "1to3_blocks_ge30": Pausing(max_pauses=2, min_stint=30 * MINUTE),
}


@pytest.fixture(scope="module")
def vectors(shared_reference: Path) -> dict[str, Any]:
    path = shared_reference / "conformance" / "watttime_optimizer_plans.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def work_of(vectors: dict[str, Any], case: dict[str, Any]) -> Work:
    t0 = floor_ms(datetime.fromisoformat(vectors["t0"]))
    values = np.array(vectors["values"])
    edges = t0 + STEP_MS * np.arange(len(values) + 1, dtype=np.int64)
    terms = next((each for name, each in TERMS.items() if case["name"].startswith(name)), Pausing())
    if "constraints" in case:
        terms = Pausing(
            milestones=tuple(
                Milestone(minutes / case["need_min"], datetime.fromisoformat(by))
                for by, minutes in case["constraints"].items()
            )
        )
    due = datetime.fromisoformat(case["window_end"])
    due -= case.get("usage_time_uncertainty_minutes", 0) * MINUTE
    track = Track("here", "", values, np.ones(len(values), np.bool_))
    stated = case["power_kw"]
    pieces = [[0.0, stated]] if isinstance(stated, float) else stated
    mean_w, steps = profile([(minute / case["need_min"], 1000 * kw) for minute, kw in pieces])
    work_ms = case["need_min"] * 60_000
    return Work(edges, (track,), work_ms, mean_w / 1000, t0, floor_ms(due), terms, steps=steps)


def test_stints_are_never_worse_than_the_plans_of_watttime(vectors: dict[str, Any]) -> None:
    compared = 0
    for case in vectors["cases"]:
        work = work_of(vectors, case)
        found = best_stints(work)
        if "error" in case:
            assert found is None, case["name"]
        else:
            assert found is not None, case["name"]
            assert faults_of(work, found.parts) == []
            assert found.cost_g / 1000 <= case["emissions_lb"] * (1 + 1e-9), case["name"]
            assert cost_of(work, found.parts) == pytest.approx(found.cost_g)
        compared += 1
    assert compared == 28


def test_equal_where_both_may_split_freely(vectors: dict[str, Any]) -> None:
    for case in vectors["cases"]:
        whole = case["need_min"] % 5 == 0  # with a slot in part ours is even cleaner
        if whole and case["name"].startswith(("auto", "simple", "sophisticated")):
            found = best_stints(work_of(vectors, case))
            assert found is not None
            assert found.cost_g / 1000 == pytest.approx(case["emissions_lb"], rel=1e-9), case["name"]
