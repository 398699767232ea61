"""The CPU's energy where there is no counter."""

from pathlib import Path

import pytest

from tidewatt.backends.meters.cpu_model import CpuModel, tdp_setting
from tidewatt.backends.meters.tdp import Cpu, Tdp, design_power, this_cpu


@pytest.mark.parametrize(
    ("name", "sockets", "watts"),
    [
        ("AMD EPYC 7742 64-Core Processor", 2, 450),
        ("Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz", 1, 150),
        ("Intel(R) Xeon(R) Gold 6248R CPU @ 3.00GHz", 1, 205),
        ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", 2, 240),
        ("Intel(R) Xeon(R) Platinum 8480+", 1, 350),
        ("AMD Ryzen 9 7950X3D 16-Core Processor", 1, 120),
        ("AMD Ryzen 9 7950X 16-Core Processor", 1, 170),
        ("AMD Ryzen Threadripper PRO 5995WX 64-Cores", 1, 280),
        ("12th Gen Intel(R) Core(TM) i9-12900K", 1, 125),
    ],
)
def test_known_cpu_has_its_makers_design_power(name: str, sockets: int, watts: float) -> None:
    tdp = design_power(Cpu(name, 64, sockets, virtual=False))
    assert tdp.watts == watts
    assert "design power" in tdp.source


@pytest.mark.parametrize(
    "name", ["Intel(R) Xeon(R) Processor", "AMD EPYC", "AMD EPYC 77", "Intel Core i9-12900KX", "unknown CPU"]
)
def test_unknown_cpu_is_assumed_by_its_threads_and_says_so(name: str) -> None:
    tdp = design_power(Cpu(name, 8, 1, virtual=False))
    assert tdp.watts == 28
    assert "assumed" in tdp.source


def test_guest_gets_the_share_of_its_threads_whatever_cpu_it_sees() -> None:
    assert design_power(Cpu("AMD EPYC 7742 64-Core Processor", 2, 1, virtual=True)).watts == 7


def test_setting_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWATT_TDP_W", "65")
    assert design_power(Cpu("AMD EPYC 7742", 128, 2, virtual=False), tdp_setting()).source == "65 W (set)"
    for nonsense in ("", "many", "-5", "inf", "nan"):
        monkeypatch.setenv("TIDEWATT_TDP_W", nonsense)
        assert tdp_setting() is None


def test_model_depends_on_uptime_and_busy_time_only() -> None:
    model = CpuModel(Tdp(100, "100 W"), cpus=4)
    idle, busy = model.energy_uj(10_000, 0), model.energy_uj(10_000, 40_000)
    assert idle / 1e6 == pytest.approx(10 * model.idle_w)
    assert busy / 1e6 == pytest.approx(1000)
    assert CpuModel(Tdp(100, "100 W"), cpus=4).energy_uj(10_000, 40_000) == busy


def test_cpuinfo_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    block = "processor\t: {}\nmodel name\t: Some CPU\nphysical id\t: {}\nflags\t\t: fpu hypervisor sse\n\n"
    path.write_text("".join(block.format(number, number // 2) for number in range(4)))
    assert this_cpu(path) == Cpu("Some CPU", 4, 2, virtual=True)
