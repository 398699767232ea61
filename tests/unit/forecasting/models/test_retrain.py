"""The process that trains the models of an archive anew."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.unit.forecasting.models.pasts import DAY_H, QUANTITY, START_MS, ZONE, values
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.feeds.feed import Fetched, Observed
from tidewatt.forecasting.models.forecaster import HOUR_MS
from tidewatt.forecasting.models.retrain import reports
from tidewatt.forecasting.models.stored import load, path_of
from tidewatt.forecasting.series import Steps, instant

DAYS = 20


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "grid.db")
    for zone, days in ((ZONE, DAYS), ("DE", 3)):
        start_ms = START_MS + HOUR_MS * np.arange(days * DAY_H)
        steps = Steps(start_ms, start_ms + HOUR_MS, values(days * DAY_H))
        archive.add("one", zone, Fetched((Observed(QUANTITY, steps),)), _now())
    return archive


def _now(days: int = DAYS) -> datetime:
    return instant(START_MS + days * DAY_H * HOUR_MS)


def test_each_zone_is_trained_or_it_is_said_why_not(archive: Archive, tmp_path: Path) -> None:
    told = {report["zone"]: report for report in reports(archive, tmp_path / "models", _now())}
    assert set(told) == {ZONE, "DE"}
    assert told["DE"]["skipped"] == "less than a week was observed"
    assert told[ZONE]["trained_to"] == _now().isoformat()
    assert instant(load(path_of(tmp_path / "models", ZONE, QUANTITY)).to_ms) == _now()


def test_a_model_of_the_last_hours_is_left_alone_unless_forced(archive: Archive, tmp_path: Path) -> None:
    def once(now: datetime, *, force: bool = False) -> dict[str, object]:
        (report,) = reports(archive, tmp_path, now, [ZONE], force)
        return report

    assert "captured" in once(_now(DAYS - 2))
    assert "captured" in once(_now())
    assert once(_now() + timedelta(hours=1))["skipped"] == "the model is of the last hours"
    assert "captured" in once(_now(), force=True)


def test_one_zone_that_fails_does_not_stop_the_others(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    path_of(folder, ZONE, QUANTITY).mkdir(parents=True)  # cannot be replaced by a file
    told = list(reports(archive, folder, _now(), [ZONE, "DE"]))
    assert "failed" in told[0]
    assert "skipped" in told[1]


def test_as_a_process_it_steps_back_and_writes_a_line_for_each_zone(archive: Archive, tmp_path: Path) -> None:
    archive.close()
    command = [sys.executable, "-m", "tidewatt.forecasting.models.retrain"]
    paths = ["--archive", str(archive.path), "--models", str(tmp_path / "models")]
    asked = [*paths, "--niceness", "0", "--now", _now().isoformat(), "--zone", ZONE, "--zone", "FR"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *asked], capture_output=True, text=True, env=environment, check=True)
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    assert (report["zone"], report["quantity"]) == (ZONE, QUANTITY)
    assert report["peak_mb"] < 1024
    refused = subprocess.run(
        [*command, *paths, "--now", "2026-01-01"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "has no time zone" in refused.stderr
