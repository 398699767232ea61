"""The queue replayed first in, first out, against hand-made schedules."""

from datetime import UTC, datetime, timedelta

import pytest

from tidewatt.scheduler.accounting.baseline import ReplayJob, first_feasible, holds, predecessors_ended
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.region import Pool, Region

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVER = Region("server", pools=(Pool("NVIDIA A100", 2), Pool("NVIDIA T4", 1)), cpus=8, mem_mb=64_000)


def job(
    job_id: int, submitted_h: float, duration_h: float, ended: bool = True, **need: int | str
) -> ReplayJob:
    hours = timedelta(hours=1)
    return ReplayJob(job_id, NOON + submitted_h * hours, duration_h * hours, Need(**need), ended)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("jobs", "starts_h"),
    [
        pytest.param([job(1, 0, 5, gpus=1)], {1: 0}, id="an empty queue starts at submission"),
        pytest.param([job(1, 0, 2, gpus=2), job(2, 1, 1, gpus=1, gpu_kind="A100")], {1: 0, 2: 2}, id="GPUs"),
        pytest.param([job(1, 0, 2, gpus=2), job(2, 1, 1, gpus=1)], {1: 0, 2: 1}, id="any kind"),
        pytest.param(
            [job(1, 0, 4, gpus=1, gpu_kind="t4"), job(2, 1, 1, gpus=1, gpu_kind="t4"), job(3, 2, 1)],
            {1: 0, 2: 4, 3: 4},
            id="nobody overtakes, not even where there is room",
        ),
        pytest.param([job(1, 0, 3, cpus=6), job(2, 0, 1, cpus=4)], {1: 0, 2: 3}, id="CPUs"),
        pytest.param([job(1, 0, 3, mem_mb=40_000), job(2, 0, 1, mem_mb=30_000)], {1: 0, 2: 3}, id="memory"),
        pytest.param([job(1, 0, 9, gpus=4), job(2, 0, 1)], {2: 0}, id="what never fits holds up nobody"),
        pytest.param([job(2, 0, 2, cpus=8), job(1, 0, 1, cpus=8)], {1: 0, 2: 1}, id="together: by number"),
        pytest.param([job(1, 0, 0, cpus=8), job(2, 0, 1, cpus=8)], {1: 0, 2: 0}, id="no time takes no room"),
        pytest.param(
            [job(1, 0, 2, cpus=4), job(2, 0, 3, cpus=4), job(3, 0, 1, cpus=8), job(4, 5, 1)],
            {1: 0, 2: 0, 3: 3, 4: 5},
            id="waits for the last of those in its way",
        ),
    ],
)
def test_jobs_start_in_turn(jobs: list[ReplayJob], starts_h: dict[int, float]) -> None:
    expected = {number: NOON + timedelta(hours=start) for number, start in starts_h.items()}
    assert first_feasible(jobs, SERVER) == expected


def test_order_of_the_list_does_not_matter() -> None:
    jobs = [job(1, 0, 4, cpus=8), job(2, 1, 1, cpus=8), job(3, 2, 1)]
    assert first_feasible(jobs, SERVER) == first_feasible(jobs[::-1], SERVER)


def test_memory_without_a_limit_holds_everything() -> None:
    assert holds(Region("roomy", cpus=1), Need(mem_mb=1_000_000))
    assert not holds(SERVER, Need(mem_mb=64_001))
    assert not holds(SERVER, Need(cpus=9))
    assert not holds(SERVER, Need(gpus=1, gpu_kind="H100"))


def test_start_moves_no_more_once_all_earlier_jobs_ended() -> None:
    jobs = [job(1, 0, 1), job(2, 1, 1, ended=False), job(3, 2, 1)]
    assert predecessors_ended(jobs, 1)
    assert predecessors_ended(jobs, 2)
    assert not predecessors_ended(jobs, 3)
