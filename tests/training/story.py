"""Jobs elsewhere through the real daemon: delayed, run in the cleaner region, paused, cancelled."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.training.weights import COUNTING, weight_of

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
FACTOR = 600  # an hour of the replay takes six seconds
CLEAN_FROM = START + timedelta(hours=1)
ZONES = {"dirty": "WT:SGIP_CAISO_PGE", "clean": "WT:SGIP_CAISO_SCE"}
STEPS = 400


def config(folder: Path, backend: str, options: dict[str, str]) -> str:
    """Two regions, of which `clean` is clean from one hour on; `options` are TOML by region."""
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary,gas"]
    for name, zone in ZONES.items():
        for hour in range(-48, 60):
            start = START + timedelta(hours=hour)
            grams = 50 if name == "clean" and start >= CLEAN_FROM else 400
            rows.append(f"{zone},{start.isoformat()},3600,{grams},marginal,direct,consumption,CO2")
    (folder / "grid.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    regions = "".join(
        f'[[region]]\nname = "{name}"\nbackend = "{backend}"\noptions = {options[name]}\n'
        f'zone = "{zone}"\ncpus = 4\nhome = {str(name == "dirty").lower()}\n'
        for name, zone in ZONES.items()
    )
    return (
        f'zone = "{ZONES["dirty"]}"\nsignal = "marginal"\ngrace_s = 5\n[[source]]\ntype = "file"\n'
        f'path = "{folder / "grid.csv"}"\n{regions}'
    )


def play(house: Any, backend: str, options: dict[str, str]) -> dict[str, Any]:
    """Plays it; returns the jobs by their part."""
    replay = ("--replay-from", START.isoformat(), "--replay-factor", str(FACTOR), "--hindsight")
    house.up(*replay, config=config(house.folder, backend, options))
    flags = ("--finish-by", "24h", "--duration")
    delayed = house.ask("submit", *flags, "20m", "--", "sh", "-c", "echo it ran")["job"]["id"]
    terms = (
        "--pausable", "--pause-by", "checkpoint", "--pause-signal", "TERM", "--pause-grace", "20s",
        "--checkpoint-dir", "checkpoints", "--done-when", "exit:85", "--done-when", "file:weights.json",
        "--resume-arg=--resume", "--max-pauses", "5",
    )  # fmt: skip
    training = (sys.executable, str(COUNTING), str(STEPS), "checkpoints")
    paused = house.ask("submit", *flags, "2h", *terms, "--", *training)["job"]["id"]
    cancelled = house.ask("submit", *flags, "10h", "--", "sleep", "300")["job"]["id"]
    for number in (paused, cancelled):
        house.until(lambda number=number: house.job(number)["state"] == "running", 60)
    house.until(lambda: _running_s(house, paused) > 2, 60)
    assert house.tidewatt("cancel", str(cancelled)).returncode == 0
    assert house.tidewatt("pause", "--checkpoint", str(paused)).returncode == 0
    house.until(lambda: house.job(paused)["state"] == "paused", 60)
    assert house.tidewatt("resume", str(paused)).returncode == 0
    jobs = {
        "delayed": house.ended(delayed, 90),
        "paused": house.ended(paused, 120),
        "cancelled": house.ended(cancelled, 60),
    }
    assert [job["state"] for job in jobs.values()] == ["done", "done", "cancelled"], jobs
    first = jobs["delayed"]["attempts"][0]
    assert first["region"] == "clean"
    assert _moment(first["started"]) >= CLEAN_FROM - timedelta(minutes=5)
    assert len(jobs["paused"]["attempts"]) >= 2
    said = house.tidewatt("logs", str(paused))
    assert f"weight {weight_of(STEPS)}" in said.stdout, (said, jobs["paused"]["attempts"])
    return jobs


def _running_s(house: Any, number: int) -> float:
    """Real seconds since its attempt was seen running."""
    attempts = house.job(number)["attempts"]
    if not attempts or not attempts[-1]["started"]:
        return 0.0
    now = _moment(house.client().status()["now"])
    return (now - _moment(attempts[-1]["started"])).total_seconds() / FACTOR


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
