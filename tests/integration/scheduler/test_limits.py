"""Limits of users and projects, at submit and at each start; who may go before others."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.scheduler.office import office
from tidewatt.scheduler.daemon import limiting
from tidewatt.scheduler.daemon.callers import Caller, asking
from tidewatt.scheduler.errors import Refused
from tidewatt.scheduler.request_schema import SubmitRequest, UpdateRequest
from tidewatt.scheduler.server_tables import LimitsTable

ALICE = Caller(61001, 61001, frozenset({61001}), "alice", operator=False)
OPERATOR = Caller(61004, 61004, frozenset({61004}), "olga", operator=True)


def test_jobs_beyond_the_running_limit_wait_for_those_before(tmp_path: Path) -> None:
    with office(tmp_path, limits={"running": 1}) as at:
        for _ in range(3):
            at.submit(duration_s=60)
        at.round()
        assert at.states() == "rww"
        at.shift(61)
        at.round()
        assert at.states() == "drw"


def test_jobs_without_gpus_start_while_the_gpus_of_their_user_are_used_up(tmp_path: Path) -> None:
    with office(tmp_path, "A100", "A100", limits={"gpus": 1}) as at:
        for gpus in (1, 1, 0):
            at.submit(gpus=gpus, duration_s=60)
        at.round()
        assert at.states() == "rwr"


def test_a_projects_limit_is_of_all_its_jobs_together(tmp_path: Path) -> None:
    with office(tmp_path, limits={"projects": {"vision": {"running": 1}}}) as at:
        for project in ("vision", "vision", "speech"):
            at.submit(duration_s=60, project=project)
        at.round()
        assert at.states() == "rwr"


@pytest.mark.parametrize(
    ("limits", "asked", "sentence"),
    [
        ({"waiting": 1}, {"hold": True}, "1 job waiting, may have 1"),
        ({"gpus": 1}, {"gpus": 2}, "it asks for 2 GPUs"),
        ({"priority": -1}, {"priority": 0}, "above -1"),
        ({"projects": {"p": {"waiting": 0}}}, {"project": "p"}, "the project p has 0 jobs waiting"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_with_the_present_use(
    tmp_path: Path, limits: dict[str, Any], asked: dict[str, Any], sentence: str
) -> None:
    with office(tmp_path, "A100", "A100", limits=limits) as at:
        if "waiting" in limits:
            at.submit(hold=True)
        with pytest.raises(Refused, match=sentence):
            at.submit(**asked)


def test_a_users_own_limits_stand_before_everybodys() -> None:
    limits = LimitsTable.model_validate({"running": 2, "gpus": 4, "users": {"alice": {"gpus": 8}}})
    assert (limits.of_user("alice").running, limits.of_user("alice").gpus) == (2, 8)
    assert (limits.of_user("bob").running, limits.of_user("bob").gpus) == (2, 4)
    assert limits.of_project("vision").running is None


def test_only_operators_let_a_job_go_before_others(tmp_path: Path) -> None:
    urgent = SubmitRequest(argv=("true",), cwd="/", priority=1)
    with asking(ALICE), pytest.raises(Refused, match="only operators"):
        limiting.check(urgent, LimitsTable(), [])
    with office(tmp_path) as at:
        job = at.submit(hold=True).job.id
        with asking(OPERATOR):
            view = at.changes.update(str(job), UpdateRequest(priority=5))
        assert view.model_dump()["priority"] == 5


def test_a_limit_may_let_a_user_go_before_others() -> None:
    urgent = SubmitRequest(argv=("true",), cwd="/", priority=1)
    with asking(ALICE):
        limiting.check(urgent, LimitsTable.model_validate({"users": {"alice": {"priority": 1}}}), [])
