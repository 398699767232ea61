"""Receipts in pages, from the real store: newest first, none twice, none left out."""

from pathlib import Path

import pytest

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.daemon.hours import Inventory
from tidewatt.scheduler.daemon.receipts import Receipts
from tidewatt.scheduler.daemon.reporting import ended_since
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import SettlementState

JOBS = 7


def settle(at: Office, number: int) -> None:
    """Stores an account of a job."""
    account = Settlement(
        state=SettlementState.PROVISIONAL,
        settled_at=NOW,
        method_version="2",
        energy_uj=3_600_000_000_000,
        facility_uj=4_320_000_000_000,
        pue_micro=1_200_000,
        pue_source="site",
        components=(),
        ledgers=(),
        waited_ms=0,
        held_back_ms=0,
        idle_gpu_ms=0,
        feasible_start=NOW,
        digests=((f"{number}.1", "sha256:0"),),
        notes=(),
    )
    with at.store.transaction() as transaction:
        transaction.set_settlement(number, account.state, account.record(), time_ms(NOW))


def ended_jobs(at: Office) -> Receipts:
    """Jobs of two projects that have ended, the third without an account, and one that waits."""
    for number in range(1, JOBS + 1):
        at.submit(project="nlp" if number % 2 else "")
    at.round()
    at.shift(61)
    at.submit(hold=True)
    for number in range(1, JOBS + 1):
        if number != 3:
            settle(at, number)
    return Receipts(at.service)


def numbers(receipts: Receipts, limit: int, **asked: str | float | None) -> list[list[int]]:
    """The jobs of each page."""
    pages, before = [], None
    while True:
        jobs, before = receipts.page(**asked, before=before, limit=limit)  # type: ignore[arg-type] # by name
        pages.append([job.id for job in jobs])
        if before is None:
            return pages


@pytest.mark.parametrize(
    ("limit", "pages"),
    [
        (2, [[7, 6], [5, 4], [2, 1]]),
        (4, [[7, 6, 5, 4], [2, 1]]),
        (6, [[7, 6, 5, 4, 2, 1]]),
        (99, [[7, 6, 5, 4, 2, 1]]),
    ],
)
def test_pages_hold_each_ended_job_with_an_account_once(
    tmp_path: Path, limit: int, pages: list[list[int]]
) -> None:
    with office(tmp_path) as at:
        receipts = ended_jobs(at)
        assert numbers(receipts, limit) == pages
        assert [job.id for job in receipts.every(86_400)] == [7, 6, 5, 4, 2, 1]


def test_only_those_of_a_project_a_user_or_a_time_are_shown(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        receipts = ended_jobs(at)
        user = at.job(1).user
        assert numbers(receipts, 2, project="nlp") == [[7, 5], [1]]
        assert numbers(receipts, 9, project="") == [[6, 4, 2]]
        assert numbers(receipts, 9, project="vision") == [[]]
        assert numbers(receipts, 9, user=user) == [[7, 6, 5, 4, 2, 1]]
        assert numbers(receipts, 9, user="nobody") == [[]]
        at.shift(600)
        assert numbers(receipts, 9, since_s=599.0) == [[]]
        assert numbers(receipts, 9, since_s=700.0) == [[7, 6, 5, 4, 2, 1]]


def test_receipt_tells_where_and_on_what_its_attempt_ran(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        [job, *_], _ = ended_jobs(at).page()
        [attempt] = job.attempts
        assert attempt.zones == {"average": "DE"}
        assert attempt.cloud is None
        assert job.settlement is not None
        assert job.settlement.facility_j == 4_320_000.0


@pytest.mark.parametrize("since_s", [0.0, -5.0, 1e11, float("nan"), float("inf")])
def test_time_that_is_none_is_refused(tmp_path: Path, since_s: float) -> None:
    with office(tmp_path) as at, pytest.raises(BadInput, match="cannot be shown"):
        Receipts(at.service).page(since_s)


@pytest.mark.parametrize("since_s", [-5.0, 1e300, float("nan")])
def test_reports_and_hours_refuse_such_a_time_too(tmp_path: Path, since_s: float) -> None:
    with office(tmp_path) as at:
        site, store = at.service.site, at.service.store
        with pytest.raises(BadInput, match="cannot be shown"):
            ended_since(site, store, since_s, "none", "feasible")
        with pytest.raises(BadInput, match="cannot be shown"):
            Inventory(site, store).since(since_s)
