"""What is free in a region, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Booking, Window
from tidewatt.scheduler.planning.capacity import Timeline, names
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, tzinfo=UTC)
A100, T4 = "NVIDIA A100-SXM4-40GB", "Tesla T4"
LAB = Region("lab", pools=(Pool(A100, 2), Pool(T4, 1)), cpus=8, mem_mb=1000)


def hours(start: float, end: float) -> Window:
    return Window(T0 + timedelta(hours=start), T0 + timedelta(hours=end))


def booking(
    start: float, end: float, gpus: int = 1, cpus: int = 1, mem_mb: int = 0, holder: str = "x"
) -> Booking:
    return Booking("lab", A100 if gpus else "", hours(start, end), gpus, cpus, mem_mb, holder)


@pytest.mark.parametrize(
    ("need", "booked", "free"),
    [
        (Need(gpus=1), [], [(0, 10)]),
        (Need(gpus=2), [booking(2, 4)], [(0, 2), (4, 10)]),
        (Need(gpus=1), [booking(2, 4)], [(0, 10)]),
        (Need(gpus=1), [booking(2, 4), booking(3, 5)], [(0, 3), (4, 10)]),
        (Need(gpus=2), [booking(2, 4), booking(4, 6)], [(0, 2), (6, 10)]),
        (Need(gpus=1), [booking(2, 4, gpus=2), booking(4, 6, gpus=2)], [(0, 2), (6, 10)]),
        (Need(gpus=1, cpus=8), [booking(2, 4, gpus=0)], [(0, 2), (4, 10)]),
        (Need(gpus=1, mem_mb=600), [booking(2, 4, gpus=0, mem_mb=500)], [(0, 2), (4, 10)]),
        (Need(gpus=1), [booking(-5, 1, gpus=2), booking(9, 20, gpus=2)], [(1, 9)]),
        (Need(gpus=1), [booking(-5, 0, gpus=2)], [(0, 10)]),
        (Need(gpus=1), [booking(0, 10, gpus=2)], []),
        (Need(gpus=1), [booking(2, 4, gpus=9)], [(0, 2), (4, 10)]),
        (Need(gpus=2), [booking(3, 3)], [(0, 10)]),
    ],
)
def test_free_windows_are_maximal_and_half_open(
    need: Need, booked: list[Booking], free: list[tuple[float, float]]
) -> None:
    timeline = Timeline(LAB, booked)
    found = timeline.free_windows(need, A100, T0, T0 + timedelta(hours=10))
    assert found == [hours(*pair) for pair in free]


def test_pools_are_counted_apart() -> None:
    timeline = Timeline(LAB, [booking(0, 5, gpus=2)])
    assert timeline.free_windows(Need(gpus=1), T4, T0, T0 + timedelta(hours=5)) == [hours(0, 5)]


def test_release_frees_all_that_a_holder_booked() -> None:
    timeline = Timeline(LAB, [booking(1, 2, 2, holder="a"), booking(3, 4, 2, holder="a"), booking(5, 6, 2)])
    timeline.release("a")
    timeline.release("nobody")
    assert timeline.free_windows(Need(gpus=1), A100, T0, T0 + timedelta(hours=6)) == [hours(0, 5)]


def test_booking_of_another_region_is_refused() -> None:
    with pytest.raises(ValueError, match="does not belong"):
        Timeline(Region("elsewhere"), [booking(0, 1)])


@pytest.mark.parametrize(
    ("need", "pools"),
    [
        (Need(), ("",)),
        (Need(gpus=1), (A100, T4)),
        (Need(gpus=2), (A100,)),
        (Need(gpus=3), ()),
        (Need(gpus=1, gpu_kind="t4"), (T4,)),
        (Need(gpus=1, gpu_kind="h100"), ()),
        (Need(cpus=9), ()),
        (Need(mem_mb=1001), ()),
    ],
)
def test_pools_that_could_ever_hold_a_need(need: Need, pools: tuple[str, ...]) -> None:
    assert Timeline(LAB).pools_for(need) == pools


def test_region_without_memory_limit_holds_any() -> None:
    assert Timeline(Region("lab", cpus=1)).pools_for(Need(mem_mb=10**9)) == ("",)


@pytest.mark.parametrize(
    ("kind", "pool", "fits"),
    [
        ("", "Tesla T4", True),
        ("a100", A100, True),
        ("A100", A100, True),
        ("a10", A100, False),
        ("a100-40gb", A100, True),
        ("a100-80gb", A100, False),
        ("rtx4090", "NVIDIA GeForce RTX 4090", True),
        ("rtx 4090", "NVIDIA GeForce RTX 4090", True),
        ("4090", "NVIDIA GeForce RTX 4090", True),
        ("409", "NVIDIA GeForce RTX 4090", False),
    ],
)
def test_gpu_kind_is_words_of_the_name(kind: str, pool: str, fits: bool) -> None:
    assert names(kind, pool) is fits
