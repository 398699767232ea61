"""Jobs that have run and are not over: reports say that there are some, and bundles prove how many."""

import json
import random
from pathlib import Path

import pytest

from tests.integration.scheduler.ledger_day import worked
from tests.integration.scheduler.office import Office, office
from tests.property.scheduler.test_bundle_mutations import signed_by
from tests.unit.scheduler.test_verify import by_verdict, checked, unzipped
from tidewatt.backends.fake import Script
from tidewatt.scheduler.accounting.report_schema import NotOver
from tidewatt.scheduler.accounting.report_text import lines
from tidewatt.scheduler.daemon.bundles import Bundles
from tidewatt.scheduler.daemon.reporting import ended_since
from tidewatt.scheduler.proof import bundle
from tidewatt.scheduler.proof.archive import packed
from tidewatt.scheduler.proof.keys import signing_key
from tidewatt.scheduler.proof.opening import Trust


def not_over(at: Office, since_s: float | None = None) -> tuple[int, int]:
    """Jobs and ended attempts, as a report over these seconds tells them."""
    found = ended_since(at.site, at.store, since_s, "project", "feasible").not_over
    assert found is not None
    assert found.of == ""
    return found.jobs, found.attempts


def fail_and_hold(at: Office) -> int:
    """A job that fails, and that its owner holds before it is tried again."""
    number = at.submit(retries=3).job.id
    at.backend.scripts[f"{number}.1"] = Script(runs_s=60, exit_code=1)
    at.shift(0)
    at.shift(61)
    at.changes.hold(str(number))
    return number


def test_job_that_is_held_after_a_failure_is_told_until_it_is_over(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        assert not_over(at) == (0, 0)
        number = fail_and_hold(at)
        assert at.states() == "h"
        assert not_over(at) == (1, 1)
        [first, second] = lines(ended_since(at.site, at.store, None, "none", "feasible"))
        assert first == "No job ran and ended in this time."
        assert second == "1 job has run and is not over: in no number yet (of its attempts 1 ended)."
        at.changes.cancel(str(number))
        assert not_over(at) == (0, 0)
        assert ended_since(at.site, at.store, None, "none", "feasible").total.jobs == 1


def test_jobs_that_run_are_told_and_those_that_never_ran_are_not(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit(hold=True)
        at.submit(duration_s=600.0)
        at.submit()
        at.round()
        assert not_over(at) == (2, 0)
        at.shift(61)
        assert not_over(at) == (0, 0)


def test_job_that_waits_to_be_tried_again_is_told(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.backend.scripts |= {"1.1": Script(runs_s=60, exit_code=1), "1.2": Script(runs_s=60)}
        at.submit(retries=1)
        at.round()
        at.shift(61)
        assert (at.states(), not_over(at)) == ("w", (1, 1))
        at.shift(3600)
        assert (at.states(), not_over(at)) == ("r", (1, 1))
        at.shift(61)
        assert (at.states(), not_over(at)) == ("d", (0, 0))


def test_report_tells_of_those_that_ran_in_its_time(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        fail_and_hold(at)
        at.shift(3600)
        assert not_over(at, 3700.0) == (1, 1)
        assert not_over(at, 1800.0) == (0, 0)


@pytest.mark.parametrize("since_s", [None, 900.0, 86_400.0])
def test_bundle_proves_how_many_jobs_are_not_over(tmp_path: Path, since_s: float | None) -> None:
    with worked(tmp_path / "day", random.Random(5), 2) as at:
        assert at.service.ledger is not None
        fail_and_hold(at)
        at.shift(1800)
        number = at.submit(retries=2, duration_s=600.0).job.id
        at.backend.scripts[f"{number}.1"] = Script(runs_s=60, exit_code=1)
        at.backend.scripts[f"{number}.2"] = Script(runs_s=86_400)
        at.shift(0)
        at.shift(61)
        at.shift(600)
        at.submit()
        at.shift(0)
        at.shift(61)
        at.service.ledger.turn()
        assert at.states()[-3:] == "hrd"
        shown = ended_since(at.site, at.store, since_s, "none", "feasible")
        content = Bundles(at.service).report(since_s, "none", "feasible")
    assert shown.not_over == (NotOver(jobs=1, attempts=1) if since_s == 900 else NotOver(jobs=2, attempts=2))
    assert json.loads(unzipped(content)[bundle.PUBLISHED]) == json.loads(shown.model_dump_json())
    outcome = checked(tmp_path, content, Trust())
    assert by_verdict(outcome)["broken"] == []
    counted = "1 job has" if since_s == 900 else "2 jobs have"
    assert any(
        each.subject == "jobs" and each.found.startswith(f"{counted} run and")
        for each in outcome.findings
        if each.verdict == "open"
    )


@pytest.mark.parametrize("told", [None, {"jobs": 0, "attempts": 0, "of": ""}])
def test_report_that_keeps_a_job_back_that_is_not_over_is_seen(
    tmp_path: Path, told: dict[str, object] | None
) -> None:
    with worked(tmp_path / "day", random.Random(5), 1) as at:
        fail_and_hold(at)
        content = Bundles(at.service).report(None, "none", "feasible")
    key = signing_key(tmp_path / "day" / "home" / "keys")
    files = unzipped(content)
    files[bundle.PUBLISHED] = json.dumps(json.loads(files[bundle.PUBLISHED]) | {"not_over": told}).encode()
    signed_by(key, files, chain=True)
    outcome = checked(tmp_path, packed(files), Trust(key.public))
    assert any(
        each.subject == "report" and "not_over" in each.found
        for each in outcome.findings
        if each.verdict == "broken"
    )
