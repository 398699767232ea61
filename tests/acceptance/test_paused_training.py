"""A real training that is paused and resumed again and again, in two regions, ends with the same weights."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "configs" / "examples" / "train_pausable.py"
PAUSES = int(os.environ.get("TIDEWATT_SOAK_PAUSES", "4"))  # `make soak`: 20
EPOCHS = 16 * PAUSES
PACE_S = 0.15
START = datetime(2022, 6, 15, 6, tzinfo=UTC)
FACTOR = 60  # replayed seconds in a real one: a step of the grid is over in five seconds
GRID = {"DE": 100, "US-CAL-CISO": 400}
CONFIG = """
zone = "DE"
meter_interval_s = 1.0
[[source]]
type = "file"
path = "grid.csv"
[[region]]
name = "eu"
zone = "DE"
cpus = 1
pue = 1.2
home = true
checkpoints = "{folder}/eu"
[[region]]
name = "us"
zone = "US-CAL-CISO"
cpus = 1
pue = 1.4
checkpoints = "{folder}/us"
"""


@pytest.fixture
def straight(tmp_path: Path) -> Path:
    """The weights of the same training without a pause."""
    out = tmp_path / "straight.npz"
    command = [sys.executable, str(SCRIPT), "--epochs", str(EPOCHS), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=120)
    return out


def test_training_paused_in_two_regions_ends_with_the_weights_of_one_that_was_not(
    house: Any, straight: Path
) -> None:
    for region in ("eu", "us"):
        (house.folder / region).mkdir()
    shutil.copy(SCRIPT, house.work)
    (house.folder / "grid.csv").write_text(grid(), encoding="utf-8")
    replay = ("--replay-from", START.isoformat(), "--replay-factor", str(FACTOR))
    house.up(*replay, config=CONFIG.format(folder=house.folder))
    job_id, output = submitted(house)
    for number in range(PAUSES):
        house.until(lambda: begun(output) > number)  # noqa: B023 - called at once
        house.ask("pause", str(job_id))
        house.until(lambda: house.job(job_id)["state"] == "paused")
        house.ask("update", str(job_id), "--region", ("us", "eu")[number % 2])
        house.ask("resume", str(job_id))
    job = house.ended(job_id, 120)
    assert job["state"] == "done", job
    began = [each for each in job["attempts"] if each["started"]]
    assert [each["region"] for each in began] == [("eu", "us")[at % 2] for at in range(PAUSES + 1)]
    same(straight, house.work / "paused.npz")
    told(house.until(lambda: account(house, job_id), 60), began)
    verified(house, job_id)


def grid() -> str:
    """What both zones emit, the same at all times."""
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for at in range(3 * 288):
        start = (START - timedelta(days=1) + at * timedelta(minutes=5)).isoformat()
        rows += [f"{zone},{start},300,{value},average,lifecycle,production" for zone, value in GRID.items()]
    return "\n".join(rows) + "\n"


def submitted(house: Any, *more: str, duration: str = "60m", epochs: int = EPOCHS) -> tuple[int, Path]:
    """The job, and where its output goes."""
    command = (
        sys.executable,
        SCRIPT.name,
        "--epochs",
        str(epochs),
        "--pace",
        str(PACE_S),
        "--out",
        "paused.npz",
    )
    pausing = (
        *("--pausable", "--moves", "--checkpoint-dir", "checkpoints", "--checkpoint-time", "1m"),
        *("--restart-time", "1m", "--done-when", "exit:85", "--done-when", "file:*.npz"),
    )
    job = house.ask("submit", "--duration", duration, *more, *pausing, "--", *command)["job"]
    return job["id"], Path(job["stdout"])


@pytest.mark.skipif("TIDEWATT_SOAK_PAUSES" not in os.environ, reason="`make soak` takes the time for it")
def test_plan_pauses_a_training_in_dirty_hours(house: Any, tmp_path: Path) -> None:
    """An hour of the grid takes 24 seconds, the training 27; the first and the fourth hour are clean."""
    swing = [100, 600, 600, 100, *[600] * 60]
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for at, value in enumerate([600] * 24 + swing):
        start = (START + (at - 24) * timedelta(hours=1)).isoformat()
        rows.append(f"DE,{start},3600,{value},average,lifecycle,production")
    (house.folder / "grid.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    shutil.copy(SCRIPT, house.work)
    replay = ("--replay-from", START.isoformat(), "--replay-factor", "150", "--hindsight")
    house.up(*replay, config=CONFIG.partition("[[region]]")[0])
    job_id, output = submitted(house, "--finish-by", "6h", duration="75m", epochs=180)
    job = house.ended(job_id, 240)
    assert job["state"] == "done", job
    began = [each for each in job["attempts"] if each["started"]]
    assert len(began) == 2, output.read_text()
    pause = datetime.fromisoformat(began[1]["started"]) - datetime.fromisoformat(began[0]["ended"])
    assert pause > timedelta(hours=1)
    kinds = [each["kind"] for each in job["events"]]
    assert kinds.count("job.paused") == kinds.count("progress") == 1
    out = tmp_path / "straight.npz"
    command = [sys.executable, str(SCRIPT), "--epochs", "180", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=120)
    assert output.read_text().count("begins at epoch 0") == 1
    same(out, house.work / "paused.npz")


def begun(output: Path) -> int:
    """How many attempts have begun to train: a pause before that would be of nothing."""
    return output.read_text().count("begins at epoch") if output.exists() else 0


def same(one: Path, two: Path) -> None:
    """To the last bit."""
    with np.load(one) as straight, np.load(two) as paused:
        assert set(straight.files) == set(paused.files)
        for name in straight.files:
            assert straight[name].tobytes() == paused[name].tobytes(), name


def account(house: Any, job_id: int) -> Any:
    job = house.job(job_id)
    settlement = job["settlement"]
    return job if settlement and settlement["state"] in {"provisional", "final", "unverified"} else None


def verified(house: Any, job_id: int) -> None:
    """Anybody can reckon it again from the bundle."""
    bundle = house.work / "job.zip"
    done = house.tidewatt("receipt", str(job_id), "--bundle", str(bundle))
    assert done.returncode == 0, done.stderr
    checked = house.tidewatt("verify", str(bundle))
    assert checked.returncode == 0, (checked.stdout, checked.stderr)


def told(job: Any, attempts: Any) -> None:
    """The receipt has every attempt, and what pausing cost."""
    assert len(attempts) == PAUSES + 1
    phases = {(each["phase"], each["lost"]): each for each in job["settlement"]["phases"]}
    assert phases["pausing", False]["seconds"] > 0
    assert ("running", True) not in phases
    assert job["progress_s"] > 0
    pauses = job["settlement"]["pauses"]
    assert [each["attempt_id"] for each in pauses] == [each["attempt_id"] for each in attempts[:-1]]
    assert [(each["region"], each["next_region"]) for each in pauses] == [
        (one["region"], two["region"]) for one, two in pairwise(attempts)
    ]
    for each in pauses:
        assert each["saving_s"] > 0
        assert each["saving_j"] > 0
        assert each["coming_back_s"] > 0
        assert each["lost_s"] == 0
    [ledger] = job["settlement"]["ledgers"]
    assert ledger["levers"]["pauses_g"] < 0  # what they emitted is a loss
