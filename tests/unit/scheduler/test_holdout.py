"""The hold-out: lots that are alike in every hour and project, and an estimate that is right on average.

`TIDEWATT_SOAK_TRIALS=5000` simulates as many sites; else a few.
"""

import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.scheduler.accounting.holdout import Arm, Lot, Outcome, compare, draw, stratum
from tidewatt.scheduler.config import load
from tidewatt.scheduler.errors import BadInput

AVERAGE = "average"
TRIALS = int(os.environ.get("TIDEWATT_SOAK_TRIALS", "100"))  # simulated sites


def lots(share: float, jobs: int, seed: str = "seed", where: str = "14 UTC, nlp") -> list[Lot]:
    return [draw(seed, share, where, place) for place in range(jobs)]


def test_a_stratum_is_an_hour_of_day_and_a_project() -> None:
    submitted = datetime(2026, 3, 1, 16, 59, tzinfo=timezone(timedelta(hours=2)))
    assert stratum(submitted, "nlp") == "14 UTC, nlp"
    assert stratum(submitted.astimezone(UTC), "") == "14 UTC, no project"


@given(
    st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.3, 0.5]),
    st.integers(0, 3),
    st.text(max_size=8),
    st.integers(1, 400),
)
def test_every_block_of_every_stratum_is_balanced(share: float, at: int, seed: str, jobs: int) -> None:
    found = lots(share, jobs, seed, f"{at} UTC, nlp")
    held_out = sum(lot.arm is Arm.HELD_OUT for lot in found)
    size = round(1 / share) if 1 / share == round(1 / share) else 10
    assert abs(held_out - share * jobs) < max(1.0, share * size)
    whole = jobs // size * size
    assert sum(lot.arm is Arm.HELD_OUT for lot in found[:whole]) == pytest.approx(share * whole)


def test_a_lot_can_be_drawn_again_and_not_be_guessed_from_another_seed() -> None:
    assert lots(0.1, 200) == lots(0.1, 200)
    arms = [[lot.arm for lot in lots(0.1, 200, seed)] for seed in ("a", "b", "c")]
    assert arms[0] != arms[1] != arms[2]


def test_every_place_of_a_block_is_drawn_as_often() -> None:
    places = Counter(
        next(lot.place for lot in lots(0.1, 10, str(seed)) if lot.arm is Arm.HELD_OUT) for seed in range(1000)
    )
    assert min(places.values()) > 65
    assert max(places.values()) < 140


def site(rng: random.Random, jobs: int, effect: float, share: float, seed: str) -> list[Outcome]:
    """Jobs of three projects over the day: dirty evenings, one dirty project, and an effect by the lot."""
    places: Counter[str] = Counter()
    found = []
    for _ in range(jobs):
        hour, project = rng.choice((9, 10, 14, 18, 18, 18)), rng.choice(("nlp", "vision"))
        where = f"{hour:02} UTC, {project}"
        lot = draw(seed, share, where, places[where])
        places[where] += 1
        level = 200 + 10 * hour + (80 if project == "vision" else 0) + rng.gauss(0, 30)
        found.append(Outcome(lot.arm, where, level + (effect if lot.arm is Arm.SHIFTED else 0)))
    return found


def test_the_effect_is_right_on_average_and_its_interval_holds_it_nine_times_in_ten() -> None:
    rng = random.Random(1)
    found = [compare(0.1, AVERAGE, site(rng, 300, -40.0, 0.1, str(trial))) for trial in range(TRIALS)]
    effects = [each.effect for each in found if each.effect is not None]
    assert len(effects) == len(found)
    spread = stdev(effects) / TRIALS**0.5
    assert fmean(effects) == pytest.approx(-40.0, abs=4 * spread)
    held = sum((each.low or 0) <= -40.0 <= (each.high or 0) for each in found) / len(found)
    assert abs(held - 0.9) < 3.5 * (0.09 / TRIALS) ** 0.5 + 0.01, held
    print(f"{TRIALS} sites: mean effect {fmean(effects):.2f} of -40, interval holds it in {held:.1%}")


def test_a_plain_difference_would_be_wrong_where_the_strata_are_mixed_unevenly() -> None:
    """Two projects, one dirty and held out more often by chance: only the comparison within them is fair."""
    clean = [Outcome(Arm.HELD_OUT, "c", 100.0 + i) for i in range(10)]
    clean += [Outcome(Arm.SHIFTED, "c", 90.0 + i % 10) for i in range(90)]
    dirty = [Outcome(Arm.HELD_OUT, "d", 500.0 + i) for i in range(10)]
    dirty += [Outcome(Arm.SHIFTED, "d", 490.0 + i) for i in range(10)]
    found = compare(0.2, AVERAGE, clean + dirty)
    assert found.effect == pytest.approx(-10.0)
    assert (found.mean_shifted or 0) - (found.mean_held_out or 0) == pytest.approx(-10.0)


@pytest.mark.parametrize("jobs", [0, 3, 9])
def test_too_few_jobs_say_nothing(jobs: int) -> None:
    outcomes = [Outcome(arm, "s", 100.0 + i) for arm in Arm for i in range(jobs)]
    found = compare(0.05, AVERAGE, outcomes, without=2)
    assert (found.effect, found.low, found.high, found.mean_shifted) == (None, None, None, None)
    assert (found.held_out, found.shifted) == (jobs, jobs)
    assert found.note.startswith("Too few")
    assert "2 more without an account" in found.note


def test_strata_with_one_arm_are_left_out_and_told() -> None:
    both = [Outcome(arm, "s", 100.0 + i) for arm in Arm for i in range(12)]
    found = compare(0.05, AVERAGE, [*both, Outcome(Arm.SHIFTED, "t", 900.0)])
    assert found.effect == pytest.approx(0.0)
    assert "1 left out" in found.note


def test_the_share_is_a_setting_that_is_off_and_at_most_half() -> None:
    assert load(None, {}, {}).settings.hold_out == 0.0
    assert load(None, {"TIDEWATT_HOLD_OUT": "0.05"}, {}).settings.hold_out == 0.05
    with pytest.raises(BadInput, match=r"hold_out.*0\.5"):
        load(None, {"TIDEWATT_HOLD_OUT": "0.6"}, {})


def test_interference_through_capacity_is_always_said() -> None:
    assert "share the same machines" in compare(0.05, AVERAGE, []).note
