"""A daemon that was down: the delay is told, makes no verified saving, and `verify` comes to the same."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.integration.scheduler.ledger_day import KINDS, settle, worked
from tests.integration.scheduler.office import Office
from tests.property.scheduler.test_bundle_mutations import signed_by
from tests.unit.scheduler.test_verify import by_verdict, checked, unzipped
from tidewatt.backends.backend import Phase
from tidewatt.backends.fake import Leg, Script
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.scheduler.accounting.report_schema import SignalTotal
from tidewatt.scheduler.daemon.bundles import Bundles
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.reporting import ended_since
from tidewatt.scheduler.proof import bundle
from tidewatt.scheduler.proof.archive import packed
from tidewatt.scheduler.proof.canonical import canonical
from tidewatt.scheduler.proof.keys import signing_key
from tidewatt.scheduler.proof.opening import Trust

GRID = "EIA"  # observed, by its name
NOTE = "after its plan said: that delay was nobody's plan, and is in the saving"


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())


@contextmanager
def evening(folder: Path, down: timedelta, slack: timedelta = timedelta()) -> Iterator[Office]:
    """A job of a dirty noon and a clean evening; the daemon is `down` right after it was submitted."""
    with worked(folder, random.Random(1), 0) as at:
        noon = at.site.clock.now()
        (folder / "evening.csv").write_text(grid(noon), encoding="utf-8")
        provider = FileProvider(folder / "evening.csv", hindsight=True)
        provider.name = GRID
        at.site = replace(at.site, chain=PatientChain(Chain((provider,))))
        reopened(at, timedelta())
        at.backend.scripts |= {"1.1": Script(course=(Leg(Phase.RUNNING, 1800, 300, 1),))}
        at.submit(gpus=1, duration_s=1800.0, **({"finish_by": noon + slack} if slack else {}))
        reopened(at, down)
        for _ in range(400):
            at.shift(150)
            if at.job(1).state == "done":
                break
        settle(at)
        yield at
        at.store.close()


def grid(noon: datetime) -> str:
    """Three days, from midnight on: clean from three to four hours after noon on."""
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for hour in range(72):
        start = noon.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=hour)
        value = 500 if start < noon + timedelta(hours=3) else 100
        rows += [f"DE,{start:%Y-%m-%dT%H:%MZ},3600,{value},{kind}" for kind in KINDS]
    return "\n".join(rows) + "\n"


def reopened(at: Office, down: timedelta) -> None:
    """The daemon ends, and starts again that much later."""
    ledger = at.service.ledger
    at.store.close()
    at.wait(down)
    at.open()
    at.service.ledger = ledger


def average(at: Office) -> SignalTotal:
    made = ended_since(at.site, at.store, None, "none", "feasible")
    return next(each for each in made.total.signals if each.signal == "average")


def account(at: Office) -> dict[str, Any]:
    found = at.job(1).settlement
    assert found is not None
    return found


def test_five_hours_of_a_daemon_that_was_down_are_no_verified_saving(tmp_path: Path) -> None:
    with evening(tmp_path / "day", timedelta(hours=5)) as at:
        total = average(at)
        assert total.saved_feasible_g is not None
        assert total.saved_feasible_g > 10
        assert total.grade == "estimated"
        assert timedelta(hours=5) <= timedelta(milliseconds=account(at)["overdue_ms"]) < timedelta(hours=5.2)
        assert [note for note in account(at)["notes"] if note.endswith(NOTE)]
        contents = Bundles(at.service).job("1", {}), Bundles(at.service).report(None, "job", "feasible")
        key = signing_key(at.paths.keys)
    for content in contents:
        assert by_verdict(checked(tmp_path, content, Trust(key.public)))["broken"] == []

    files = forged(contents[0])
    signed_by(key, files, chain=True)
    assert "account" in by_verdict(checked(tmp_path, packed(files), Trust(key.public)))["broken"]


def forged(content: bytes) -> dict[str, bytes]:
    """The bundle's files; its owner leaves the delay out."""
    files = unzipped(content)
    rows = [json.loads(line) for line in files[bundle.CHAIN].splitlines()]
    for row in rows:
        if str(row.get("kind", "")).startswith("settlement.") and "payload" in row:
            told = row["payload"]
            told.pop("overdue_ms")
            told["notes"] = [note for note in told["notes"] if not note.endswith(NOTE)]
            if bundle.RECEIPT in files:
                files[bundle.RECEIPT] = canonical(told)
    files[bundle.CHAIN] = b"".join(canonical(row) + b"\n" for row in rows)
    return files


def test_the_same_wait_by_plan_is_a_verified_saving(tmp_path: Path) -> None:
    with evening(tmp_path / "day", timedelta(), slack=timedelta(hours=10)) as at:
        assert account(at)["waited_ms"] > timedelta(hours=2) / timedelta(milliseconds=1)
        assert "overdue_ms" not in account(at)
        assert average(at).grade == "verified"
