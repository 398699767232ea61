"""A claim leaves the machine, is checked elsewhere, and a ledger that was changed afterwards is told."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import COMMAND

START = datetime(2022, 6, 15, 6, tzinfo=UTC)
CONFIG = """
zone = "DE"
meter_interval_s = 1.0
[[source]]
type = "file"
path = "grid.csv"
"""


def grid() -> str:
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for hour in range(72):
        at = START + timedelta(hours=hour - 24)
        lines.append(f"DE,{at:%Y-%m-%dT%H:%MZ},3600,{300 + 7 * hour},average,lifecycle,production")
    return "\n".join(lines) + "\n"


def elsewhere(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command on another machine: without this one's state folder and daemon."""
    environ = {**os.environ, "TIDEWATT_HOME": str(folder / "nowhere"), "NO_COLOR": "1"}
    return subprocess.run(
        [str(COMMAND), *arguments], capture_output=True, text=True, cwd=folder, env=environ, timeout=60
    )


def test_claims_are_checked_elsewhere_and_a_changed_ledger_is_told(house: Any, tmp_path: Path) -> None:
    (house.folder / "grid.csv").write_text(grid(), encoding="utf-8")
    house.up("--replay-from", START.isoformat(), "--replay-factor", "600", config=CONFIG)
    job = house.ask("submit", "--duration", "10m", "--", "python", "-c", "sum(range(10**7))")["job"]["id"]
    house.ended(job)
    house.until(lambda: (house.job(job)["settlement"] or {"state": "none"})["state"] != "none", 60)
    receipt, report, key = (tmp_path / name for name in ("receipt.zip", "report.zip", "key.pem"))
    model = house.work / "model.pt"
    model.write_bytes(b"weights")
    made = house.tidewatt("receipt", str(job), "--bundle", str(receipt), "--output", str(model))
    assert made.returncode == 0, made.stderr
    (tmp_path / "model.pt").write_bytes(b"other weights")
    both = "--output", str(model), "--output", str(tmp_path / "model.pt")
    doubled = house.tidewatt("receipt", str(job), "--bundle", str(tmp_path / "two.zip"), *both)
    assert (doubled.returncode, "two outputs are called model.pt" in doubled.stderr) == (2, True)
    assert house.tidewatt("report", "--bundle", str(report)).returncode == 0
    key.write_text(house.tidewatt("ledger", "key").stdout, encoding="utf-8")
    head = house.ask("ledger", "head")
    house.tidewatt("down")

    for bundle in (receipt, report):
        done = elsewhere(tmp_path, "verify", str(bundle), "--key", str(key), "--json")
        answer = json.loads(done.stdout)
        assert (done.returncode, answer["sound"]) == (0, True), answer
        assert answer["signed_by"] == head["fingerprint"]
    stranger = elsewhere(tmp_path, "verify", str(receipt))
    assert "nobody here vouches for that key" in stranger.stdout
    assert "output: model.pt is bound, no file was given to compare" in stranger.stdout
    for path, code, told in ((model, 0, "the file given is it"), (tmp_path / "model.pt", 1, "WRONG  output")):
        compared = elsewhere(tmp_path, "verify", str(receipt), "--output", str(path))
        assert (compared.returncode, told in compared.stdout) == (code, True), compared.stdout

    assert house.tidewatt("ledger", "check").returncode == 0
    with closing(sqlite3.connect(house.home / "tidewatt.db")) as store:
        store.execute("update event set time_ms = time_ms - 1000 where kind = 'submitted'")
        store.commit()
    checked = house.tidewatt("ledger", "check")
    assert checked.returncode == 1
    assert "broken at event 2" in checked.stdout
    house.up()
    house.until(lambda: [each for each in house.client().status()["warnings"] if "broken at event 2" in each])
