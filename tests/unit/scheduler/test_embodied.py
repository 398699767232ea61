"""A job's share of what making its hardware emitted, against a pocket calculator, and kept from decisions."""

import ast
from pathlib import Path
from typing import Any

import pytest

from tidewatt.scheduler.account_tables import EmbodiedTable
from tidewatt.scheduler.accounting.embodied import ANY_GPU, Held, embodied, gpu_figure, hardware_of

SCHEDULER = Path(__file__).parents[3] / "scheduler" / "tidewatt" / "scheduler"
YEAR_MS = 8760 * 3_600_000


def held(
    model: str = "NVIDIA A100-SXM4-40GB", gpus: int = 1, cpus: int = 4, years: float = 1, **own: Any
) -> Held:
    hardware = hardware_of(EmbodiedTable.model_validate(own), host_gpus=8, host_cpus=64)
    return Held(model, gpus, cpus, round(years * YEAR_MS), hardware)


def kilograms(*attempts: Held) -> tuple[float, ...]:
    found = embodied(attempts)
    assert found is not None
    return tuple(ug / 1e9 for ug in (found.low_ug, found.central_ug, found.high_ug))


def test_gpu_for_one_of_its_four_years_is_a_quarter_of_it_and_of_its_eighth_of_the_server() -> None:
    # (181 | 319 | 322 + 1000 / 8) x 1/4
    assert kilograms(held()) == pytest.approx((76.5, 111.0, 111.75))


def test_job_without_gpus_has_the_share_of_its_cpus_in_the_server() -> None:
    assert kilograms(held(gpus=0, cpus=16)) == pytest.approx((62.5,) * 3)  # 1000 x 16/64 x 1/4


def test_two_gpus_count_twice_and_so_does_their_share_of_the_server() -> None:
    assert kilograms(held(gpus=2)) == pytest.approx(tuple(2 * each for each in kilograms(held())))


def test_virtual_machine_says_that_its_server_is_larger_unless_that_is_stated() -> None:
    whole = hardware_of(EmbodiedTable(), host_gpus=0, host_cpus=2, guest=True)
    found = embodied([Held("", 0, 1, YEAR_MS, whole)])
    assert found is not None
    assert found.sources[0].endswith(
        "; shared by the 2 CPUs of this virtual machine, for want of its server's, so it is at most this"
        " (server_cpus states them)"
    )
    stated = hardware_of(EmbodiedTable(server_cpus=128), host_gpus=0, host_cpus=2, guest=True)
    assert stated["server_cpus"] == 128
    assert "guest" not in stated


def test_attempts_add_up_whatever_became_of_them() -> None:
    assert kilograms(held(years=0.5), held(years=0.5)) == pytest.approx(kilograms(held()))


def test_operators_own_figures_stand_for_the_published_ones_and_are_named() -> None:
    own = held(gpu_kg=200, server_kg=2000, server_gpus=4, lifetime_years=5, source="vendor's PCF 2025")
    assert kilograms(own) == pytest.approx(((200 + 500) / 5,) * 3)
    found = embodied([own])
    assert found is not None
    assert found.sources == (
        "gpu: 200 kg (vendor's PCF 2025)",
        "server: 2,000 kg (vendor's PCF 2025); shared by its 4 GPUs",
        "lifetime 5 years: stated",
    )


@pytest.mark.parametrize(
    ("name", "central_kg"),
    [
        ("NVIDIA A100-SXM4-80GB", 319),
        ("NVIDIA H100 80GB HBM3", 370),
        ("NVIDIA GH200 480GB", 319),
        ("NVIDIA GeForce RTX 3090", 319),
        ("", 319),
    ],
)
def test_models_without_a_published_figure_get_the_range_over_all_that_are(
    name: str, central_kg: int
) -> None:
    assert gpu_figure(name).central_kg == central_kg
    if not {"A100", "H100"} & set(name.replace("-", " ").split()):
        assert gpu_figure(name) == ANY_GPU


def test_what_ran_on_unknown_hardware_has_no_share_rather_than_none() -> None:
    assert embodied([]) is None
    assert embodied([held(), Held("", 1, 1, 1000, {})]) is None


def test_no_plan_ever_sees_it() -> None:
    rooms = [SCHEDULER / "planning", SCHEDULER / "simulation"]
    modules = [path for room in rooms for path in room.glob("*.py")]
    deciding = ("admission", "replanning", "launching", "rounds", "polishing", "occupancy", "drafting")
    modules += [SCHEDULER / "daemon" / f"{name}.py" for name in deciding] + [SCHEDULER / "plan.py"]
    assert len(modules) > 30
    for path in modules:
        assert "tidewatt.scheduler.accounting.embodied" not in set(_imports(path)), path


def _imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
