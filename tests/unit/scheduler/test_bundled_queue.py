"""The queue in a job's bundle: those who came before it, and those who asked nothing of it after all."""

import random
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from tests.integration.scheduler.ledger_day import script, settle, worked
from tidewatt.scheduler.daemon.bundles import Bundles
from tidewatt.scheduler.daemon.settling import Settler
from tidewatt.scheduler.proof.opening import Trust
from tidewatt.scheduler.proof.verify import verify


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_jobs_that_never_ran_are_not_missed_in_the_queue_of_a_later_one(tmp_path: Path, verb: str) -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with worked(tmp_path / "day", random.Random(3), 1) as at:
        at.submit(gpus=2, duration_s=1500.0)
        getattr(at.changes, verb)("2")
        at.shift(60)
        at.submit(gpus=1, duration_s=1500.0)
        while at.job(3).state != "done":
            at.shift(200)
        settle(at)
        (tmp_path / "bundle.zip").write_bytes(Bundles(at.service).job("3", {}))
    outcome = verify(tmp_path / "bundle.zip", Trust(), ())
    assert outcome.sound, [each.found for each in outcome.findings if each.verdict == "broken"]


def test_job_that_ran_counts_in_the_queue_though_it_is_held_before_its_next_try(tmp_path: Path) -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with worked(tmp_path / "day", random.Random(3), 1) as at:
        at.backend.scripts["2.1"] = script(random.Random(1), fails=True)
        at.submit(gpus=1, duration_s=1500.0, retries=3)
        at.round()
        while at.job(2).retried == 0:
            at.wait(timedelta(minutes=1))
            at.watcher.look()
        at.changes.hold("2")
        at.submit(gpus=1, duration_s=1500.0)
        while at.job(3).state != "done":
            at.shift(200)
        settle(at)
        queue = Settler(at.site, at.store).case(at.job(3)).queue
        (tmp_path / "bundle.zip").write_bytes(Bundles(at.service).job("3", {}))
    assert 2 in [job.job_id for job in queue]
    outcome = verify(tmp_path / "bundle.zip", Trust(), ())
    assert outcome.sound, [each.found for each in outcome.findings if each.verdict == "broken"]
