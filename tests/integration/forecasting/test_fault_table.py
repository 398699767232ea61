"""Whatever goes wrong with a service: the outlook has no holes, jobs keep their deadlines, users are told."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from tests.grid.fault_rows import TABLE
from tests.grid.fault_scene import HORIZON, Seen
from tests.grid.fault_table import BY_KEY, PAGE, look, page
from tests.grid.faults import Case, Effect
from tests.grid.services import SERVICES
from tidewatt.forecasting.series import Rung, holes
from tidewatt.scheduler.cli.checks import Verdict
from tidewatt.scheduler.planning.estimate import Estimate
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.preview import preview
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.request_schema import PlanRequest

CELLS = [
    pytest.param(row.key, name, known, id=f"{row.key}-{name}-{'known' if known else 'never heard of'}")
    for row in TABLE
    for name, case in row.cases.items()
    if isinstance(case, Case)
    for known in (True, False)
]
ITEMS = range(1, 17)


@pytest.mark.parametrize(("key", "name", "known"), CELLS)
def test_job_keeps_its_deadline_and_the_user_is_told_what_is_wrong(key: str, name: str, known: bool) -> None:
    case, seen = BY_KEY[key].cases[name], look(key, name, known)
    assert isinstance(case, Case)
    now, outlook = case.now, seen.outlook
    assert holes(outlook.steps, now, now + HORIZON) == []
    assert (np.isfinite(outlook.steps.gco2_per_kwh) & (outlook.steps.gco2_per_kwh >= 0)).all()
    assert _finish(seen, case) <= now + timedelta(hours=30)
    assert seen.asked_again == 0
    assert seen.lookups == 0
    _check_told(seen, case.effect, SERVICES[name].best, known)


def _finish(seen: Seen, case: Case) -> datetime:
    """When a job of six hours would be done that has thirty."""
    region = Region("here", zones={"average": seen.outlook.zone, "marginal": seen.outlook.zone}, cpus=4)
    policy = Policy(signal=str(seen.outlook.kind.signal))
    situation = Situation([region], {"here": seen.outlook}, (), case.now, policy)
    request = PlanRequest(duration_s=6 * 3600, finish_by=case.now + timedelta(hours=30))
    return preview(request, situation, Estimate(100.0, "assumed"), timedelta(hours=1)).plan.end


def _check_told(seen: Seen, effect: Effect, best: Rung, known: bool) -> None:
    """Where something is wrong both the outlook and `doctor` say so, and no live forecast is shown."""
    first, note = seen.outlook.segments[0], seen.outlook.note
    used = effect is Effect.NONE or (effect is Effect.DOUBTED and not known)
    if used:
        assert (first.rung, note) == (best, "")
        return
    assert first.rung is not Rung.LIVE
    assert note.removeprefix(f"average only: no marginal signal for {seen.outlook.zone}")
    if known:
        assert {finding.verdict for finding in seen.findings} & {Verdict.WARN, Verdict.FAIL}


def test_every_item_of_the_checklist_happens_somewhere() -> None:
    happens = {row.item for row in TABLE for case in row.cases.values() if isinstance(case, Case)}
    assert happens >= set(ITEMS)


def test_every_row_tells_of_every_service_what_happens_or_why_it_cannot() -> None:
    assert all(set(row.cases) == set(SERVICES) for row in TABLE)
    assert all(case for row in TABLE for case in row.cases.values())


def test_service_that_asks_for_a_pause_is_not_asked_for_anything_else() -> None:
    for name in ("great_britain", "eia", "open_meteo", "http"):
        assert len(look("busy", name, True).asked) == 1


def test_scope_that_is_refused_is_no_reason_to_log_in_again() -> None:
    assert look("scope", "watttime", True).asked.count("/login") == 1


def test_token_that_has_expired_is_renewed_once() -> None:
    assert look("expired", "watttime", True).asked.count("/login") == 1
    assert look("page", "watttime", True).asked.count("/login") == 1


def test_page_of_what_the_user_sees_is_as_the_code_has_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.grid.fault_table"
