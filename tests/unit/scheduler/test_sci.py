"""The Software Carbon Intensity against a pocket calculator, and everything that is disclosed with it."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from tests.exports.made import account, job, ledger
from tidewatt.scheduler.accounting.equivalence import equivalences
from tidewatt.scheduler.accounting.experiment import Fate, experiment_of, fate_of
from tidewatt.scheduler.accounting.sci import Range, Score, SignalScore, Terms, score, unit_of
from tidewatt.scheduler.cli.scoring import lines
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.schemas import EmbodiedView, JobView, PhaseView

MADE = EmbodiedView(low_g=10.0, central_g=20.0, high_g=35.0, sources=("A100: 319", "lifetime 4 years"))


def run(number: int, g: float = 800.0, *, state: str = "done", counts: Any = None, **more: Any) -> JobView:
    settled = {"counts": counts or {}, "embodied": MADE} | more
    labels = settled.pop("labels", {})
    settlement = account(ledger(g=g), ledger("marginal", g=2 * g), **settled)
    return job(number, settlement, key=str(number), state=state, labels=labels)


def scored(*jobs: JobView, **terms: Any) -> Score:
    return score(jobs, Terms(**terms))


def by(found: Score, signal: str = "average") -> SignalScore:
    return next(each for each in found.signals if each.signal == signal)


def central(found: Score, signal: str = "average") -> float | None:
    per = by(found, signal).per_unit
    return None if per is None else per.central_g


def test_score_of_a_job_is_operation_and_making_per_unit() -> None:
    found = scored(run(1, counts={"tokens": 1_000_000}), unit="token")
    assert central(found) == pytest.approx((800 + 20) / 1_000_000)
    assert central(found, "marginal") == pytest.approx((1600 + 20) / 1_000_000)
    assert by(found).total == Range(810, 820, 835)
    # 9.36 MJ x PUE 1.25 = 3.25 kWh, and 800 g / 3.25 kWh
    assert by(found).facility_kwh == pytest.approx(3.25)
    assert by(found).gco2_per_kwh == pytest.approx(246.15, abs=0.01)


def test_failed_and_discarded_runs_are_in_the_energy_and_not_in_the_effective_units() -> None:
    kept = run(1, counts={"tokens": 600})
    failed = run(2, state="failed", counts={"tokens": 100})
    discarded = run(3, labels={"discarded": "bug"}, counts={"tokens": 300})
    found = scored(kept, failed, discarded, unit="token")
    assert (found.units, found.units_gross) == (600, 1000)
    assert central(found) == pytest.approx(3 * 820 / 600)
    gross = by(found).per_unit_gross
    assert gross is not None
    assert gross.central_g == pytest.approx(3 * 820 / 1000)
    assert {fate: part.jobs for fate, part in found.parts.items()} == {"kept": 1, "failed": 1, "discarded": 1}
    assert found.total.emissions_g == {"average": 2400, "marginal": 4800}
    assert found.total.energy_kwh == pytest.approx(3 * 2.6)


def test_runs_that_were_not_kept_are_discarded() -> None:
    found = scored(run(1), run(2), run(3), kept=frozenset({"2"}))
    assert found.units == 1
    assert central(found) == pytest.approx(3 * 820)
    with pytest.raises(BadInput, match="job 9 is not among those that ran here"):
        scored(run(1), kept=frozenset({"9"}))


def test_parameters_are_those_of_one_model_however_often_it_was_trained() -> None:
    found = scored(
        run(1, counts={"parameters": 7_000}), run(2, counts={"parameters": 7_000}), unit="parameter"
    )
    assert found.units == 7_000
    assert central(found) == pytest.approx(2 * 820 / 7_000)


def test_stated_number_of_units_stands_for_what_was_counted() -> None:
    found = scored(run(1, counts={"tokens": 5}), unit="token", amount=10**9)
    assert (found.units, found.units_gross, found.units_source) == (10**9, None, "stated")


def test_training_is_spread_over_the_inferences_that_were_stated() -> None:
    spread = by(scored(run(1), inferences=1000)).per_inference
    assert spread is not None
    assert spread.central_g == pytest.approx(0.82)


def test_unit_that_a_kept_run_did_not_count_gives_no_score_and_says_so() -> None:
    found = scored(run(1, counts={"tokens": 5}), run(2), unit="token")
    assert central(found) is None
    expected = "no score per token: a run that was kept reported no tokens; state their number with --unit"
    assert expected in found.notes


def test_score_without_the_making_of_the_hardware_is_none() -> None:
    found = scored(run(1, embodied=None))
    assert (central(found), found.embodied) == (None, None)
    assert "hardware of 1 job is not known: its making is in no number here" in found.notes
    assert "  M        not known: without it this is no score of the standard" in lines(found, "job 1")


def test_work_that_was_done_twice_is_told_where_units_are_counted() -> None:
    lost = (PhaseView(phase="running", lost=True, seconds=60, energy_j=1.0, active_j=1.0),)
    found = scored(run(1, counts={"steps": 10}, phases=lost), unit="step")
    assert any("counted twice in steps" in note for note in found.notes)


def test_jobs_without_an_account_by_a_signal_are_left_out_of_its_score_and_counted() -> None:
    only_average = job(2, account(ledger(), embodied=MADE), key="2")
    found = scored(run(1), only_average)
    assert [(each.signal, each.jobs) for each in found.signals] == [("average", 2), ("marginal", 1)]
    assert "marginal: 1 job without an account by it" in found.notes


def test_jobs_that_never_ran_have_no_score() -> None:
    with pytest.raises(BadInput, match="none of these jobs ran"):
        scored(job(1, account(ledger()), attempts=()))


@pytest.mark.parametrize(("word", "unit"), [("tokens", "token"), ("FLOP", "flop"), (" job ", "job")])
def test_units_are_understood_in_either_number(word: str, unit: str) -> None:
    assert unit_of(word) == unit


def test_unit_that_nobody_counts_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadInput, match="choose one of job, epoch, step, sample, token, parameter, flop"):
        unit_of("bananas")


def test_small_scores_are_told_per_as_many_units_as_can_be_read() -> None:
    told = list(lines(scored(run(1, counts={"tokens": 10**12}), unit="token"), "job 1"))
    text = " ".join(" ".join(told).split())
    assert "average 820 µg per million tokens (810 µg to 835 µg)" in text
    assert "O 800 g = E 3.25 kWh x I 246 g/kWh" in text
    assert "I average lifecycle CO2eq, production; grid.csv, observed" in text
    assert "R 1,000,000,000,000 tokens (as the training script reported)" in text
    assert "E 1 job, 2.60 kWh used, 3.25 kWh with PUE, 800 g average, 1.60 kg marginal; PUE 1.25" in text
    assert "boundary components only: node overhead not measured" in text
    assert "ISO/IEC 21031:2024" in text
    assert max(map(len, told)) <= 80


def test_score_travels_as_json() -> None:
    told = json.loads(json.dumps(asdict(scored(run(1)))))
    assert told["signals"][0]["per_unit"] == {"low_g": 810.0, "central_g": 820.0, "high_g": 835.0}


@pytest.mark.parametrize(
    ("labels", "array", "name"),
    [({"experiment": "sweep"}, 12, "sweep"), ({}, 12, "array 12"), ({"experiment": ""}, 0, ""), ({}, 0, "")],
)
def test_experiment_is_the_label_else_the_array(labels: dict[str, str], array: int, name: str) -> None:
    assert experiment_of(labels, array) == name


def test_fate_is_that_of_the_job_before_that_of_its_result() -> None:
    assert fate_of("failed", {"discarded": "bug"}, "1", {"1"}) is Fate.FAILED
    assert fate_of("cancelled", {}, "1") is Fate.FAILED
    assert fate_of("done", {}, "1") is Fate.KEPT


def test_likenesses_carry_source_and_vintage_and_never_flatter() -> None:
    car, phone = equivalences(1075)
    assert (car.text, car.vintage) == ("10 km in an average new car of the EU", "cars registered in 2020")
    assert phone.text == "87 to 130 charges of a smartphone"
    assert all(each.source and each.vintage for each in (car, phone))
    assert equivalences(0.5) == ()
    assert equivalences(-1000) == ()
