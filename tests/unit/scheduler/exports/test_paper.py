"""The statement: absolute numbers, how they were got, and what they do not cover."""

import re

import pytest

from tests.exports.made import account, attempt, group, ledger, receipt, report, total
from tidewatt.scheduler.accounting.report_schema import NotOver
from tidewatt.scheduler.exports.paper import latex, markdown, plain_text, statement

FORMS = (plain_text, markdown, latex)


def test_statement_tells_energy_emissions_method_hardware_hours_region_and_limits() -> None:
    text = plain_text(report(), [receipt()])
    for said in (
        "2.60 kWh at the machines", "3.25 kWh with a PUE of 1.25 (site meter 2025)", "NVIDIA A100-SXM4-40GB",
        "Germany (DE)", "cpu modelled, dram measured, gpu measured", "1.0 h", "800 g CO₂eq",
        "average lifecycle",
        "90 % interval 120 g to 460 g less", "grade: verified", "node overhead not measured",
        "errors of grid.csv",
        "The scheduler itself used 2.00 Wh", "in making the hardware: 20.0 g (10.0 g to 35.0 g)",
    ):  # fmt: skip
        assert said in text, said


def test_signals_that_disagree_leave_no_claim_anywhere() -> None:
    whole = group("total", total(), total("marginal", saved_feasible_g=-50.0), signals_disagree=True)
    for form in FORMS:
        text = form(report(whole), [receipt()])
        assert "no saving is claimed" in text
        assert "interval" not in text
        assert "300 g" not in text


def test_loss_is_more() -> None:
    whole = group("total", total(saved_feasible_g=-50.0, grade="estimated"))
    assert "location-based footprint 50.0 g more (5.0 % of the draw above idle;" in plain_text(
        report(whole), [receipt()]
    )


def test_error_that_nobody_knows_is_said() -> None:
    whole = group("total", total(interval=None, grade="inconclusive"))
    assert "how far that may be off is not known; grade: inconclusive" in plain_text(
        report(whole), [receipt()]
    )


def test_failed_runs_unmetered_and_unverified_jobs_are_told() -> None:
    whole = group("total", total(), jobs=3, unmetered=1, unverified=1)
    text = plain_text(report(whole), [receipt(1), receipt(2, state="failed")])
    assert "3 training runs, 1 of them failed or cancelled," in text
    assert "1 of the runs were not metered" in text
    assert "1 unverified job is in no saving" in text
    assert "of 1 of 3 jobs" in text


def test_jobs_that_have_run_and_are_not_over_are_told() -> None:
    for whole in (None, group("total", jobs=0)):
        text = plain_text(report(whole, not_over=NotOver(jobs=2, attempts=3)), [receipt()])
        assert "2 jobs have run and are not over: in no number yet (of their attempts 3 ended)." in text


def test_nothing_ran() -> None:
    assert statement(report(group("total", jobs=0)), []) == [
        "No job ran and ended in this time, so there is nothing to state."
    ]


@pytest.mark.parametrize(
    "name", [r"\input{/etc/passwd}", "a_b^2 & 50 % $x$ #1 ~ {}", "a | b\nc", "<b>*x*</b>"]
)
def test_hostile_words_are_text_in_every_form(name: str) -> None:
    got = receipt(settlement=account(ledger(), boundary=name), attempts=(attempt(gpu_model=name),))
    tex = latex(report(), [got])
    assert r"\input" not in tex
    body = tex.partition(r"\begin{tabular}")[0]
    assert not re.search(r"(?<!\\)[&%$#_]", body)
    table = [line for line in markdown(report(), [got]).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4}
    assert "<b>" not in markdown(report(), [got]).replace(r"\<b\>", "")


def test_baseline_less_actual_is_the_saving_and_both_are_there() -> None:
    text = plain_text(report(), [receipt()])
    assert (
        "the settled jobs emitted 700 g above idle, Tidewatt's own use included, where starting in turn would"
        " have emitted 1.00 kg" in text
    )
    assert "location-based footprint 300 g less (30.0 % of the draw above idle;" in text
    assert "| Emissions above idle, average | 700 g |" in markdown(report(), [receipt()])


def test_one_is_not_told_in_the_plural() -> None:
    text = plain_text(report(group("total", total(), jobs=3, unsettled=1, unverified=2)), [receipt()])
    assert "1 job is not settled" in text
    assert "2 unverified jobs are in no saving" in text


def test_what_is_covered_is_not_among_what_is_not() -> None:
    within = "components and node overhead: node meter, less the metered components"
    text = plain_text(report(), [receipt(settlement=account(ledger(), boundary=within))])
    assert f"Covered: {within}. Not covered: " in text
    assert within not in text.partition("Not covered:")[2]
