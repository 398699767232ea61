"""Budgets where jobs come in: told, held or refused, and never in the way of what was accepted before."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.scheduler.accounting.budget import BudgetView
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.store.records import JobRecord

HOUR_S = 3600.0


def budget(when: str, **values: Any) -> dict[str, Any]:
    amount = {} if "kg" in values else {"kwh": 0.015}
    return {"budget": [{"project": "vision", "when": when, **amount, **values}]}


def submit(made: Office, **asked: Any) -> JobRecord:
    """A job of an hour at 10 W: 0.01 kWh."""
    reply = made.submit(**{"project": "vision", "duration_s": HOUR_S, "cpus": 8, **asked})
    assert reply.power_w == pytest.approx(10)
    return made.job(reply.job.id)


def view(made: Office) -> BudgetView:
    [found] = made.service.budgets.views()
    return found


def in_kwh(made: Office) -> tuple[float, float]:
    """Used and expected."""
    found = view(made)
    return round(found.used, 9), round(found.expected, 9)


def events(made: Office) -> list[tuple[str, int | None]]:
    return [(each["payload"]["decision"], each["job_id"]) for each in made.store.events_of("budget")]


def test_job_that_exceeds_a_budget_that_warns_goes_on_and_is_told(tmp_path: Path) -> None:
    with office(tmp_path, **budget("warn")) as made:
        first, second = submit(made), submit(made)
        assert first.warnings == ()
        [warning] = second.warnings
        assert warning.startswith("it would exceed the March 2026 budget of project vision")
        assert "by 5 Wh: 0 Wh used, 10.0 Wh expected of jobs before it, 10.0 Wh of this" in warning
        assert second.state == "waiting"
        assert second.plan is not None
        assert events(made) == [("told", second.id)]


def test_job_that_exceeds_a_budget_that_holds_waits_until_it_is_released(tmp_path: Path) -> None:
    with office(tmp_path, **budget("hold")) as made:
        submit(made)
        held = submit(made)
        assert (held.state, held.plan) == ("held", None)
        assert held.reason == "held for its budget: `tidewatt release` lets it go, if the operator agrees"
        assert events(made) == [("held", held.id)]
        assert view(made).held_jobs == 1
        made.changes.release(str(held.id))
        assert made.job(held.id).state == "waiting"
        assert in_kwh(made) == (0, 0.02)
        assert view(made).held_jobs == 0


def test_job_that_exceeds_a_budget_that_asks_is_refused_without_consent(tmp_path: Path) -> None:
    with office(tmp_path, **budget("ask")) as made:
        submit(made)
        with pytest.raises(Refused, match=r"by 5 Wh: .*submit it with --over-budget if it has to be"):
            submit(made)
        assert made.states() == "w"
        agreed = submit(made, over_budget=True)
        assert (agreed.state, len(agreed.warnings)) == ("waiting", 1)
        assert events(made) == [("refused", None), ("accepted", agreed.id)]


def test_consent_does_not_release_what_the_operator_wants_to_see_first(tmp_path: Path) -> None:
    with office(tmp_path, **budget("hold")) as made:
        submit(made)
        assert submit(made, over_budget=True).state == "held"


def test_array_counts_with_all_its_tasks_and_is_held_whole(tmp_path: Path) -> None:
    with office(tmp_path, **budget("hold", kwh=0.025)) as made:
        reply = made.submit(project="vision", duration_s=HOUR_S, cpus=8, array=(0, 1, 2))
        assert reply.array is not None
        assert made.states() == "hhh"
        assert [len(job.warnings) for job in made.store.jobs()] == [1, 1, 1]
        assert made.submit(project="vision", duration_s=HOUR_S, cpus=8, array=(0, 1)).job.state == "waiting"


def test_other_projects_are_not_asked(tmp_path: Path) -> None:
    with office(tmp_path, **budget("ask", kwh=0.001)) as made:
        assert submit(made, project="speech").state == "waiting"
        assert submit(made, project="").state == "waiting"
        with pytest.raises(Refused):
            submit(made)


def test_jobs_accepted_before_keep_their_plans_and_run(tmp_path: Path) -> None:
    with office(tmp_path, **budget("hold")) as made:
        first = submit(made, finish_by=NOW + timedelta(minutes=64))
        submit(made)
        made.round()
        assert made.states() == "rh"
        assert made.job(first.id).finish_by_ms == first.finish_by_ms
        assert view(made).expected == pytest.approx(0.01)


def test_settled_energy_takes_the_place_of_what_was_expected(tmp_path: Path) -> None:
    with office(tmp_path, **budget("warn")) as made:
        job = submit(made)
        made.round()
        made.shift(70)
        assert made.states() == "d"
        assert in_kwh(made) == (0, 0.01)  # not settled yet
        _settle(made, job.id, 7_200_000_000)
        assert in_kwh(made) == (0.002, 0)
        _settle(made, job.id, 10_800_000_000)
        assert view(made).used == pytest.approx(0.003)  # restated


def test_new_month_begins_with_nothing_used(tmp_path: Path) -> None:
    with office(tmp_path, **budget("ask")) as made:
        job = submit(made)
        made.round()
        made.shift(70)
        _settle(made, job.id, 54_000_000_000)
        with pytest.raises(Refused):
            submit(made)
        made.wait(timedelta(days=31))
        assert view(made).used == 0
        [before] = made.service.budgets.views("2026-03")
        assert (before.month, round(before.used, 9)) == ("2026-03", 0.015)
        assert (view(made).month, view(made).used) == ("2026-04", 0)
        assert submit(made).state == "waiting"


@pytest.mark.parametrize("month", ["2026-13", "March", "2026-04"])
def test_month_that_is_none_or_yet_to_come_is_bad_input(tmp_path: Path, month: str) -> None:
    with office(tmp_path, **budget("ask")) as made, pytest.raises(BadInput, match=r"no month|yet to come"):
        made.service.budgets.views(month)


def test_budget_in_kg_expects_what_plans_expect_by_its_signal_and_nothing_by_the_other(
    tmp_path: Path,
) -> None:
    with office(tmp_path, **budget("ask", kg=1.0)) as made:
        plan = submit(made).plan
        assert plan is not None
        assert plan.expected_g is not None
        assert view(made).expected == pytest.approx(plan.expected_g / 1000)
    (tmp_path / "other").mkdir()
    with office(tmp_path / "other", **budget("ask", kg=1.0, signal="marginal")) as made:
        submit(made)
        found = view(made)
        assert (found.expected, found.unknown_jobs) == (0, 1)


def _settle(made: Office, job_id: int, facility_uj: int) -> None:
    """An account as far as budgets read it."""
    state = SettlementState.PROVISIONAL
    account = Settlement(
        state, made.site.clock.now(), "2", facility_uj, facility_uj, 1_000_000, "assumed", (), (), 0, None, 0,
        None, (("1.1", "sha256:1"),), (),
    )  # fmt: skip
    with made.store.transaction() as transaction:
        transaction.set_settlement(job_id, state, account.record(), made.site.clock.now_ms())
