"""What earlier runs say of durations and powers."""

import random
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from math import exp
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.scheduler.planning.learnt import AskedRun, PastRun, family, learn

HOUR_S = 3600.0
ASKED = AskedRun("ann", "nlp", "bert", "python train.py --lr 2", 1, "a100", 2 * HOUR_S)
RUN = PastRun(HOUR_S, HOUR_S, 250.0, "ann", "nlp", "bert", "python train.py --lr 1", 1, "a100", 0)


def runs(many: int, ratio: float = 1.0, spread: float = 0.0, seed: int = 1, **changed: Any) -> list[PastRun]:
    """Runs that took `ratio` of their estimate, give or take a lognormal spread."""
    noise = random.Random(seed)
    made = []
    for number in range(many):
        duration_s = HOUR_S * ratio * exp(noise.gauss(0, spread))
        made.append(replace(RUN, duration_s=duration_s, ended_ms=number, **changed))
    return made


def test_many_runs_that_took_less_shorten_the_estimate_and_say_so() -> None:
    learnt = learn(runs(40, 0.5), ASKED)
    assert learnt is not None
    assert learnt.duration == pytest.approx(timedelta(hours=1), abs=timedelta(minutes=3))
    assert learnt.runs == 40
    assert learnt.source.startswith("40 earlier runs of train.py by ann: usually 0.5")


def test_few_runs_move_the_estimate_less_than_many() -> None:
    few, many = learn(runs(3, 0.5), ASKED), learn(runs(40, 0.5), ASKED)
    assert few is not None
    assert many is not None
    assert timedelta(hours=2) > few.duration > many.duration
    assert few.guard_duration > many.guard_duration


def test_two_runs_of_a_program_are_no_reason_to_doubt_an_estimate() -> None:
    assert learn(runs(2, 0.5), ASKED) is None


def test_runs_of_the_same_command_tell_how_long_it_takes_whatever_was_estimated() -> None:
    asked = replace(ASKED, command=RUN.command, estimate_s=10 * HOUR_S)
    learnt = learn(runs(50, estimate_s=10 * HOUR_S), asked)
    assert learnt is not None
    assert learnt.duration < timedelta(hours=1, minutes=10)
    assert "usually 1h" in learnt.source


def test_a_job_without_an_estimate_takes_as_long_as_its_program_did() -> None:
    learnt = learn(runs(30), replace(ASKED, estimate_s=None))
    assert learnt is not None
    assert learnt.duration == pytest.approx(timedelta(hours=1), abs=timedelta(minutes=1))


def test_without_estimate_runs_on_other_gpus_say_nothing() -> None:
    assert learn(runs(30, gpus=8), replace(ASKED, estimate_s=None)) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "of train.py by ann"),
        ({"user": "bob"}, "of train.py in project nlp"),
        ({"command": "python eval.py", "project": ""}, "by ann"),
        ({"user": "bob", "command": "python eval.py"}, None),
        ({"user": "bob", "project": ""}, None),
    ],
)
def test_the_nearest_circle_of_runs_is_believed(changed: dict[str, Any], words: str | None) -> None:
    learnt = learn(runs(10, 0.7, **changed), ASKED)
    assert (learnt.source.split(":")[0] if learnt else None) == (words and f"10 earlier runs {words}")


def test_nobody_has_run_anything() -> None:
    assert learn([], ASKED) is None
    assert learn([], replace(ASKED, estimate_s=None, command="", name="")) is None


def test_power_is_that_of_the_same_gpus_and_by_gpu_where_their_number_differs() -> None:
    learnt = learn([*runs(5, gpus=2, power_w=500.0), *runs(5, gpu_kind="t4", power_w=70.0)], ASKED)
    assert learnt is not None
    assert learnt.power_w == pytest.approx(250.0)
    assert (learnt.runs, learnt.power_runs) == (10, 5)
    unmeasured = learn(runs(5, power_w=None), ASKED)
    assert unmeasured is not None
    assert unmeasured.power_w is None


@pytest.mark.parametrize("many", [10, 30, 100])
def test_about_95_of_100_such_runs_end_within_the_guard_duration(many: int) -> None:
    within, tries = 0, 200
    for seed in range(tries):
        learnt = learn(runs(many, 0.8, 0.3, seed), replace(ASKED, command=RUN.command, estimate_s=HOUR_S))
        assert learnt is not None
        actual_s = HOUR_S * 0.8 * exp(random.Random(10_000 + seed).gauss(0, 0.3))
        within += actual_s <= learnt.guard_duration.total_seconds()
    assert 0.91 <= within / tries <= 0.99


def test_long_estimates_that_are_far_too_long_shorten_only_long_jobs() -> None:
    """A regression on the estimate: short ones are right, those of ten hours are five times too long."""
    history = runs(60, 1.0, 0.1) + runs(60, 2.0, 0.1, seed=2, estimate_s=10 * HOUR_S)
    short, long = (
        learn(history, replace(ASKED, estimate_s=HOUR_S)),
        learn(history, replace(ASKED, estimate_s=10 * HOUR_S)),
    )
    assert short is not None
    assert long is not None
    assert short.duration == pytest.approx(timedelta(hours=1), abs=timedelta(minutes=6))
    assert long.duration == pytest.approx(timedelta(hours=2), abs=timedelta(minutes=20))
    assert long.guard_duration < timedelta(hours=4)


def test_few_runs_load_no_library() -> None:
    code = (
        "import sys, tests.unit.scheduler.test_learnt as here;"
        "here.learn(here.runs(30, 0.5), here.ASKED);"
        "print({'sklearn', 'scipy', 'numpy'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


@pytest.mark.parametrize(
    ("command", "name", "expected"),
    [
        ("python train.py --epochs 3", "x", "train.py"),
        ("python -u /home/ann/exp/train.py", "x", "train.py"),
        ("torchrun --nproc 4 finetune.py a", "x", "finetune.py"),
        ("python -m package.train --lr 1", "x", "package.train"),
        ("bash run.sh", "x", "run.sh"),
        ("./simulate 3", "bert_12", "bert"),
        ("/usr/bin/simulate 3", "", "simulate"),
        ("", "", ""),
    ],
)
def test_a_program_is_known_by_its_script(command: str, name: str, expected: str) -> None:
    assert family(command, name) == expected


@given(
    st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), max_size=30),
    st.one_of(st.none(), st.floats(1, 1e6)),
)
def test_the_guard_never_keeps_less_than_the_usual_time(
    pairs: list[tuple[float, float]], estimate_s: float | None
) -> None:
    history = [replace(RUN, duration_s=took, estimate_s=told) for took, told in pairs]
    learnt = learn(history, replace(ASKED, estimate_s=estimate_s))
    if learnt is not None:
        assert timedelta(0) < learnt.duration <= learnt.guard_duration


def test_a_few_short_tries_do_not_make_a_long_estimate_a_matter_of_seconds() -> None:
    asked = replace(ASKED, command=RUN.command, estimate_s=8 * HOUR_S)
    few, five = (learn(runs(many, 1 / 3600, estimate_s=8 * HOUR_S), asked) for many in (2, 5))
    assert few is not None
    assert five is not None
    assert few.duration == timedelta(hours=2)
    assert few.guard_duration >= few.duration
    assert few.source.endswith("; so few runs shorten an estimate to a quarter at most, 2h")
    assert five.duration < timedelta(minutes=10)
