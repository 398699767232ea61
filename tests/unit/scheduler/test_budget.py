"""What a budget has left, and what a submission would exceed."""

from typing import Any

import pytest

from tidewatt.scheduler.account_tables import BudgetTable
from tidewatt.scheduler.accounting.budget import Charge, excesses, month_of, standing
from tidewatt.scheduler.accounting.quantity import watt_hours

KG = 1_000_000_000  # micrograms
KWH = 3_600_000  # joules
MONTH = "2026-11"


def budget(**values: Any) -> BudgetTable:
    whose = {} if "user" in values else {"project": "vision"}
    amount = {} if "kwh" in values else {"kg": 5.0}
    return BudgetTable.model_validate(whose | amount | values)


def charge(
    kg: float | None = None, *, settled: bool = True, saved_kg: float | None = None, **values: Any
) -> Charge:
    emitted = {} if kg is None else {"average": round(kg * KG)}
    saved = {} if saved_kg is None else {"average": round(saved_kg * KG)}
    common: dict[str, Any] = {"user": "ada", "project": "vision", "month": MONTH}
    return Charge(**common | {"settled": settled, "emitted_ug": emitted, "saved_ug": saved} | values)


def test_settled_and_expected_are_told_apart_and_both_count() -> None:
    at = standing(budget(), MONTH, [charge(2.0), charge(0.5), charge(1.0, settled=False)])
    assert (at.used, at.expected, at.left) == (2.5 * KG, KG, 1.5 * KG)
    assert (at.settled, at.pending) == (2, 1)


def test_other_projects_and_other_months_are_others() -> None:
    others = [charge(9.0, project="speech"), charge(9.0, month="2026-10"), charge(9.0, month="2026-12")]
    assert standing(budget(), MONTH, others).left == 5 * KG


def test_budget_of_a_user_counts_all_projects_of_that_user() -> None:
    jobs = [charge(1.0, project="speech"), charge(1.0), charge(1.0, user="bob")]
    assert standing(budget(user="ada"), MONTH, jobs).used == 2 * KG


def test_what_is_not_known_is_counted_and_never_zero() -> None:
    at = standing(budget(), MONTH, [charge(1.0), charge(None), charge(None, settled=False)])
    assert (at.used, at.unknown) == (KG, 2)


def test_held_jobs_are_expected_only_when_they_are_let_go() -> None:
    at = standing(budget(), MONTH, [charge(None, settled=False, held=True)])
    assert (at.expected, at.unknown, at.held) == (0, 0, 1)


def test_newcomers_that_fit_exceed_nothing_and_those_that_do_not_say_by_how_much() -> None:
    jobs = [charge(4.0), charge(0.5, settled=False)]
    assert not excesses([budget()], jobs, [charge(0.5, settled=False)])
    [found] = excesses([budget()], jobs, [charge(0.5, settled=False), charge(0.25, settled=False)])
    assert found.over == KG // 4
    assert found.sentence == (
        "it would exceed the November 2026 budget of project vision, 5.00 kg (average) by 250 g:"
        " 4.00 kg used, 500 g expected of jobs before it, 750 g of this"
    )


def test_newcomer_of_unknown_emissions_exceeds_only_what_is_used_up() -> None:
    unknown = charge(None, settled=False)
    assert not excesses([budget()], [charge(4.9)], [unknown])
    [found] = excesses([budget()], [charge(5.0)], [unknown])
    assert (found.adds, found.over) == (None, 0)
    assert "an amount that is not known of this" in found.sentence


def test_newcomers_count_in_the_month_in_which_they_end() -> None:
    later = charge(1.0, settled=False, month="2026-12")
    assert not excesses([budget()], [charge(5.0)], [later])


def test_budget_in_kwh_counts_energy() -> None:
    jobs = [charge(None, used_j=KWH), charge(None, used_j=KWH, settled=False)]
    [found] = excesses([budget(kwh=2.5)], jobs, [charge(None, used_j=KWH, settled=False)])
    assert found.over == KWH // 2
    assert "2.5 kWh by 0.5 kWh: 1 kWh used, 1 kWh expected" in found.sentence


@pytest.mark.parametrize(
    ("kwh", "limit_kwh", "text"),
    [
        (0.37, 100.0, "0.37 kWh"),
        (1234.0, 5000.0, "1,234 kWh"),
        (-0.0001, 0.5, "-0.1 Wh"),
        (1e-9, 1.0, "<0.0001 kWh"),
        (0.0, 1.0, "0 kWh"),
    ],
)
def test_energy_of_a_budget_is_told_in_the_unit_of_its_limit(kwh: float, limit_kwh: float, text: str) -> None:
    assert watt_hours(kwh, limit_kwh) == text


@pytest.mark.parametrize(
    ("savings_kg", "credit_kg"), [((3.0, -1.0), 0.2), ((1.0, -4.0), 0.0), ((None, 2.0), 0.2)]
)
def test_credit_is_a_share_of_what_the_month_saved_in_sum(
    savings_kg: tuple[float | None, ...], credit_kg: float
) -> None:
    jobs = [charge(1.0, saved_kg=saved) for saved in savings_kg]
    at = standing(budget(credit=0.1), MONTH, jobs)
    assert at.credit == round(credit_kg * KG)
    assert at.left == 3 * KG + at.credit


def test_promised_savings_give_no_credit() -> None:
    assert not standing(budget(credit=1.0), MONTH, [charge(1.0, settled=False, saved_kg=4.0)]).credit


def test_record_holds_integers_and_strings_alone() -> None:
    [found] = excesses([budget()], [charge(4.5)], [charge(1.0, settled=False)])
    record = found.record("told")
    assert record["over"] == KG // 2
    assert all(type(value) in (int, str) for value in record.values())


def test_month_ends_with_its_last_millisecond_in_utc() -> None:
    assert month_of(1_796_083_199_999) == "2026-11"
    assert month_of(1_796_083_200_000) == "2026-12"
