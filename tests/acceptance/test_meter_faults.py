"""Every fault that meters are known to meet: energy within 1 % of the truth, or classed, with its coverage.

The cases run on the production bench, journal and accounting, with time passed in. What needs real processes
(kills, ranks, drivers that hang) is in tests/integration/backends/meters.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.meters import fault_table
from tests.meters.fault_case import Case
from tests.meters.fault_cases import CASES
from tests.meters.verdict import Verdict
from tests.nvml.fake_nvml import HERE, build, load_here

FOUND: dict[str, dict[str, Verdict]] = {}  # by case, what the tests before have seen
REAL_DRIVER = Path("/proc/driver/nvidia")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, require_engine: Callable[[str], None]) -> Path | None:
    """The fake library, loaded here; None where a real driver may be loaded already: then the stub serves."""
    if REAL_DRIVER.exists():
        return None
    require_engine("gcc")
    made = build(tmp_path_factory.mktemp("nvml"))
    load_here(made)
    return made


@pytest.fixture
def folder(tmp_path: Path, library: Path | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a case keeps its state; `pynvml` is NVIDIA's own module, or the stub."""
    monkeypatch.setenv("FAKE_NVML", str(tmp_path / "fake_nvml.state"))
    if library is None:
        monkeypatch.syspath_prepend(HERE / "stub")
    sys.modules.pop("pynvml", None)
    yield tmp_path
    sys.modules.pop("pynvml", None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_energy_is_true_or_classed(
    case: Case, folder: Path, library: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in case.environ.items():
        monkeypatch.setenv(name, value)
    found = FOUND[case.name] = fault_table.run_apart(case, folder, library)
    wrong = {part: verdict.fails(case.expect[part]) for part, verdict in found.items()}
    assert not any(wrong.values()), (wrong, found)
    notes = [note for verdict in found.values() for note in verdict.notes]
    assert not case.told or any(case.told in note for note in notes), notes


def test_table_in_the_documents_is_what_comes_out(folder: Path, library: Path | None) -> None:
    def look(case: Case) -> dict[str, Verdict]:
        return FOUND.get(case.name) or fault_table.run_apart(case, folder, library)

    assert fault_table.shown() == fault_table.table(look)


def test_names_of_cases_are_unlike() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_without_a_zone_energy_is_told_and_no_carbon(house: Any) -> None:
    house.environ |= {"TIDEWATT_TDP_W": "100", "TIDEWATT_POWERCAP": str(house.folder / "none")}
    house.up()
    job = house.ended(house.ask("submit", "--", "python", "-c", "import time; time.sleep(0.2)")["job"]["id"])
    settled = house.until(lambda: house.job(job["id"])["settlement"])
    [cpu] = [each for each in settled["components"] if each["component"] == "cpu"]
    assert cpu["how"] == "modelled"
    assert cpu["energy_j"] > 0
    assert settled["ledgers"] == []
    carbon = [name for name in _numbers(settled) if "gco2" in name or name.endswith(("_g", "_kg"))]
    assert not [name for name in carbon if "embodied" not in name]  # making the machine needs no zone
    shown: subprocess.CompletedProcess[str] = house.tidewatt("show", str(job["id"]))
    assert "zone" in shown.stdout
    assert "gCO2" not in shown.stdout


def _numbers(form: Any, path: str = "") -> list[str]:
    """The paths of all numbers in a JSON form."""
    if isinstance(form, dict):
        return [found for key, value in form.items() for found in _numbers(value, f"{path}.{key}")]
    if isinstance(form, list):
        return [found for value in form for found in _numbers(value, path)]
    return [path] if isinstance(form, int | float) and not isinstance(form, bool) else []
