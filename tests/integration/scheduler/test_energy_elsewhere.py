"""What jobs elsewhere used comes home after their end, is settled, and its bundle verifies."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.scheduler.outpost import Outpost, outpost
from tests.unit.scheduler.test_verify import by_verdict, checked
from tidewatt.backends.backend import BackendError
from tidewatt.backends.fake import Script
from tidewatt.backends.fake_engine import FakeEngine
from tidewatt.scheduler.daemon.bundles import Bundles
from tidewatt.scheduler.daemon.ledger import Ledger
from tidewatt.scheduler.jobs import JobState, SettlementState
from tidewatt.scheduler.proof.keys import verifying_key
from tidewatt.scheduler.proof.opening import Trust


class Late(FakeEngine):
    """Its accounting is not there at once."""

    ready = False

    def collect(self, folder: Path) -> bool:
        if not type(self).ready:
            raise BackendError("sacct: no record yet", transient=True)
        return super().collect(folder)


def settle(at: Outpost) -> None:
    at.wait(timedelta(hours=4))
    at.settler._read = lambda: None  # type: ignore[method-assign] # there is no meter to ask
    at.settler.collect()
    at.settler.look()


def done(at: Outpost) -> None:
    """A job of an hour that draws 300 W has ended."""
    at.engine.draws_w = 300.0
    at.cluster.script = Script(runs_s=3600)
    at.submit(duration_s=3600.0)
    at.round()
    at.shift(3600)
    assert at.job(1).state is JobState.DONE


def test_engines_figure_is_the_jobs_energy_and_says_of_what_it_is(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        done(at)
        settle(at)
        settlement = at.job(1).settlement
        assert settlement is not None
        [part] = settlement["components"]
        assert (part["component"], part["energy_uj"]) == ("node", 300 * 3600 * 10**6)
        assert part["source"] == "fake cluster, node charged whole"
        assert any("idle draw is not known" in note for note in settlement["notes"])


def test_account_waits_for_figures_that_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with outpost(tmp_path, Late) as at:
        done(at)
        settle(at)
        assert at.job(1).settlement_state is SettlementState.NONE
        assert at.job(1).settlement is None
        monkeypatch.setattr(Late, "ready", True)
        monkeypatch.setattr("tidewatt.scheduler.daemon.collecting.time", _Later())
        settle(at)
        assert at.job(1).settlement_state is not SettlementState.NONE


def test_figures_that_never_come_are_missing_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with outpost(tmp_path, Late) as at:
        done(at)
        settle(at)
        at.wait(timedelta(hours=21))
        monkeypatch.setattr("tidewatt.scheduler.daemon.collecting.time", _Later())
        settle(at)
        settlement = at.job(1).settlement
        assert settlement is not None
        assert all("energy_uj" not in part for part in settlement["components"])


def test_bundle_of_a_job_elsewhere_verifies(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.service.ledger = Ledger(at.site, at.store)
        at.service.ledger.begin()
        done(at)
        settle(at)
        at.service.ledger.turn()
        content = Bundles(at.service).job("1", {})
        outcome = checked(tmp_path, content, Trust(verifying_key(at.paths.keys / "ledger.pub.pem")))
        found = by_verdict(outcome)
        assert found["broken"] == []
        assert {"readings", "energy"} <= set(found["holds"])
        assert "idle draw" not in found["open"]  # it is not known, rather than declared


class _Later:
    """A monotonic clock an hour on."""

    @staticmethod
    def monotonic() -> float:
        return time.monotonic() + 3600
