"""What `doctor` finds of the engines of regions elsewhere."""

from pathlib import Path

from tidewatt.scheduler.cli.checks import Verdict
from tidewatt.scheduler.cli.engine_checks import engines
from tidewatt.scheduler.paths import paths
from tidewatt.scheduler.settings import RegionTable


def test_engine_that_cannot_be_used_fails_with_its_reason_and_this_host_is_not_asked(tmp_path: Path) -> None:
    far = {"address": "http://127.0.0.1:9", "token_file": str(tmp_path / "none")}
    tables = [RegionTable(name="here"), RegionTable(name="far", backend="ray", options=far)]
    [finding] = engines(tables, paths({"TIDEWATT_HOME": str(tmp_path)}))
    assert (finding.verdict, finding.subject) == (Verdict.FAIL, "region far (ray)")
    assert "cannot be read" in finding.found
    assert "`tidewatt regions`" in finding.advice


def test_package_that_is_missing_is_named(tmp_path: Path) -> None:
    tables = [RegionTable.model_construct(name="moon", backend="moonshot", options={})]
    [finding] = engines(tables, paths({"TIDEWATT_HOME": str(tmp_path)}))
    assert finding.verdict is Verdict.FAIL
    assert "moonshot" in finding.found
