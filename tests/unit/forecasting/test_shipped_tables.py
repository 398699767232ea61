"""The tables in the package are what their scripts compute, and the profile is worth shipping."""

import runpy
from pathlib import Path

import pytest

from tidewatt.forecasting import marginal_profile, modelled_profile, profile, zones

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "forecasting" / "scripts"
DATA = zones.TABLE.parent


def test_table_of_zones_is_what_its_script_computes(shared_data: Path, tmp_path: Path) -> None:
    runpy.run_path(str(SCRIPTS / "zones_table.py"))["main"](shared_data, tmp_path / "zones.csv")
    assert (tmp_path / "zones.csv").read_text() == zones.TABLE.read_text()


def test_profiles_are_what_their_script_computes(shared_data: Path, tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPTS / "profile_tables.py"))
    script["write_shapes"](shared_data, tmp_path)
    script["write_annual"](shared_data, tmp_path)
    assert (tmp_path / "profiles.csv").read_text() == profile.SHAPED.read_text()
    assert (tmp_path / "annual_means.csv").read_text() == profile.ANNUAL.read_text()


def test_modelled_profiles_stand_on_what_their_script_computes(shared_data: Path, tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPTS / "modelled_profiles.py"))
    script["write_behaviour"](shared_data, tmp_path)
    script["write_generation"](shared_data, tmp_path)
    assert (tmp_path / "behaviour.csv").read_text() == modelled_profile.BEHAVIOUR.read_text()
    assert (tmp_path / "generation.csv").read_text() == modelled_profile.GENERATION.read_text()


def test_marginal_profiles_are_what_their_script_computes(shared_data: Path, tmp_path: Path) -> None:
    runpy.run_path(str(SCRIPTS / "modelled_marginals.py"))["write"](shared_data, tmp_path)
    assert (tmp_path / "marginals.csv").read_text() == marginal_profile.TABLE.read_text()


def test_profile_captures_at_least_its_goals(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "profile_capture.py"))
    assert benchmark["main"](shared_data) == 0
    assert "median captured, 12 h job" in capsys.readouterr().out


def test_no_intensity_of_others_is_in_the_table_of_zones() -> None:
    rows = [line for line in zones.TABLE.read_text().splitlines() if not line.startswith("#")]
    assert rows[0] == "key,name,country,timezone,latitude,longitude,within,aliases,places"
