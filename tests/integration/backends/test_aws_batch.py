"""AWS Batch in two regions, against moto: a stand-in, but its jobs really run."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import House
from tests.aws.account import BUCKET, REGIONS, VARIABLES, Account
from tests.aws.line import AwsLine
from tests.aws.troupe import BatchTroupe
from tests.aws.troupe import options as batch_options
from tests.backends.contract import Contract
from tests.backends.pause_contract import PauseContract
from tests.backends.stage import Stage
from tests.training.story import play
from tests.training.weights import COUNTING, weight_of
from tidewatt.backends import durable, environment, reference
from tidewatt.backends.aws_batch.engine import BatchBackend
from tidewatt.backends.backend import BackendError, Launch, PauseMode, PauseTerms, Phase, StopReason
from tidewatt.backends.escort import REFUSED
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.reading import How


@pytest.fixture(scope="module")
def account(require_engine: Callable[[str], None]) -> Iterator[Account]:
    require_engine("clients")
    account = Account()
    try:
        yield account.up()
    finally:
        account.down()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def stage(account: Account, tmp_path: Path) -> Iterator[Stage]:
    line = AwsLine(account.url)
    yield Stage(BatchTroupe(line, account, root=tmp_path), tmp_path)
    line.close()


class TestAwsBatchContract(Contract, PauseContract):
    """What every backend promises, with jobs that moto really runs."""


TERMS = PauseTerms(
    signal="TERM", grace_s=20, exit_codes=(85,), file="weights.json", unfinished="*.tmp",
    folder="checkpoints", resume_args=("--resume",),
)  # fmt: skip
STEPS = 120


def training(stage: Stage, attempt: str, **more: Any) -> Launch:
    argv = (sys.executable, str(COUNTING), str(STEPS), "checkpoints")
    told = {"UNDER_WAY": str(stage.root / f"{attempt}.under-way")}
    return stage.launch(*argv, attempt_id=attempt, pausing=TERMS, variables=told, **more)


def under_way(stage: Stage, launch: Launch) -> None:
    """Returns once the training has begun to count; its output comes only with its end."""
    stage.wait(Path(launch.variables["UNDER_WAY"]).exists)
    stage.until(launch.folder, Phase.RUNNING)


def test_paused_training_goes_on_in_the_other_region_from_object_storage(stage: Stage) -> None:
    first = training(stage, "7.1", region="north")
    stage.backend.submit(first)
    under_way(stage, first)
    stage.backend.pause(first.folder, PauseMode.CHECKPOINT)
    paused = stage.ended(first.folder)
    assert (paused.stopped, paused.exit_code) == (StopReason.PAUSED, 85)
    assert [move.phase for move in paused.moves] == [Phase.PAUSING]
    kept = durable.read(first.folder / "checkpoint.json")
    assert kept is not None
    assert (kept["whole"], kept["path"]) == (True, f"s3://{BUCKET}/jobs/{first.token}/")
    second = training(stage, "7.2", region="east", resumes=first.folder)
    stage.backend.submit(second)
    assert stage.ended(second.folder).exit_code == 0
    said = stage.backend.logs(second.folder).decode()
    assert f"goes on from {kept['path']}" in said
    assert f"weight {weight_of(STEPS)}" in said
    assert len(jobs_named(stage, "east", second.token)) == 1
    assert jobs_named(stage, "east", first.token) == []


def test_checkpoint_that_was_changed_is_not_taken_and_that_is_said(stage: Stage) -> None:
    first = training(stage, "7.1")
    stage.backend.submit(first)
    under_way(stage, first)
    stage.backend.pause(first.folder, PauseMode.CHECKPOINT)
    stage.ended(first.folder)
    account = troupe(stage).account
    key = f"jobs/{first.token}/weights.json"
    account.client("s3", "us-east-1").put_object(Bucket=BUCKET, Key=key, Body=b'{"weight": 3, "done": 149}')
    second = training(stage, "7.2", resumes=first.folder)
    stage.backend.submit(second)
    assert stage.ended(second.folder).exit_code == 0
    said = stage.backend.logs(second.folder).decode()
    assert "weights.json is not what was saved" in said
    assert "the job begins anew" in said
    assert f"weight {weight_of(STEPS)}" in said


def test_spot_instance_that_is_reclaimed_is_a_preemption_and_saves_its_work(stage: Stage) -> None:
    launch = training(stage, "7.1")
    stage.backend.submit(launch)
    under_way(stage, launch)
    found = reference.read(launch.folder)
    assert found is not None
    batch = troupe(stage).account.client("batch", REGIONS["north"])
    batch.terminate_job(jobId=found.id, reason="reclaim")
    status = stage.ended(launch.folder)
    assert status.stopped is StopReason.PREEMPTED
    assert "Host EC2" in status.reason
    assert (durable.read(launch.folder / "checkpoint.json") or {})["whole"]


def test_attempt_that_comes_to_light_late_is_ended_before_the_next_one_is_sent(stage: Stage) -> None:
    late = stage.job(runs_s=60, attempt_id="7.1")
    line = troupe(stage).line
    line.mutes, line.hides_s = True, 6.0  # longer than the backend waits
    with pytest.raises(BackendError):
        stage.backend.submit(late)
    stage.until(late.folder, Phase.POISONED, Phase.RUNNING, Phase.UNKNOWN)
    assert stage.copies("7.1") <= 1
    following = stage.job(runs_s=0.1, attempt_id="7.2")
    time.sleep(max(0.0, 6.0 - 2.5))
    with contextlib.suppress(BackendError):
        stage.backend.submit(following)
    stage.backend.stop(late.folder, StopReason.CANCELLED)
    stage.see(late.folder, lambda _: statuses(stage, "north", late.token) == ["FAILED"])


def test_attempt_that_was_given_up_cannot_claim_itself_any_more(stage: Stage) -> None:
    launch = stage.job(runs_s=0.1)
    backend = stage.backend
    line = troupe(stage).line
    line.loses = True
    with pytest.raises(BackendError):
        backend.submit(launch)
    assert stage.ended(launch.folder).phase is Phase.POISONED
    options = backend.options["north"]
    batch = troupe(stage).account.client("batch", REGIONS["north"])
    late = batch.submit_job(**backend.queues.request(launch, options, batch))["jobId"]
    job = stage.wait(lambda: _over(batch, late))
    assert job is not None
    assert job["container"]["exitCode"] == REFUSED
    assert stage.copies() == 0


def test_next_attempt_in_the_other_region_never_makes_two_of_one_that_is_shown_late(stage: Stage) -> None:
    """Sent without a place for its claim, as by an earlier version: only its being seen is sure then."""
    line = troupe(stage).line
    regions = {
        name: batch_options(troupe(stage).account, name, endpoint_url=line.address) for name in REGIONS
    }
    regions["north"] = regions["north"].model_copy(update={"checkpoint_uri": ""})
    troupe(stage).backend = BatchBackend(regions, visible_s=0.5, vanished_s=0.5)
    late = stage.job(runs_s=60, attempt_id="7.1")
    line.mutes, line.hides_s = True, 4.0  # much longer than the backend waits
    with pytest.raises(BackendError):
        stage.backend.submit(late)
    given_up = stage.until(late.folder, Phase.POISONED, Phase.UNKNOWN).phase
    if given_up is Phase.POISONED:  # the daemon starts its next attempt elsewhere
        stage.backend.submit(stage.job(runs_s=60, attempt_id="7.2", region="east"))
        stage.wait(lambda: jobs_named(stage, "east", late.token[:-1] + "2"))
    both = jobs_named(stage, "north", late.token) + jobs_named(stage, "east", late.token[:-1] + "2")
    assert len([job for job in both if job["status"] not in ("SUCCEEDED", "FAILED")]) == 1
    assert stage.until(late.folder, Phase.RUNNING, Phase.POISONED).phase is Phase.RUNNING
    stage.backend.stop(late.folder, StopReason.CANCELLED)


def test_one_that_has_claimed_itself_is_waited_for_until_it_is_shown(stage: Stage) -> None:
    launch = stage.job(runs_s=60, attempt_id="7.1")
    line = troupe(stage).line
    line.mutes, line.hides_s = True, 6.0
    with pytest.raises(BackendError):
        stage.backend.submit(launch)
    status = stage.until(launch.folder, Phase.UNKNOWN, Phase.POISONED, Phase.ENDED)
    assert (status.phase, "it has started" in status.reason) == (Phase.UNKNOWN, True)
    stage.until(launch.folder, Phase.RUNNING)
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    assert stage.ended(launch.folder).stopped is StopReason.CANCELLED


def test_region_without_a_place_for_claims_is_refused_with_what_to_write(account: Account) -> None:
    with pytest.raises(ValueError, match=r'checkpoint_uri = "s3://BUCKET/PREFIX"'):
        batch_options(account, "north", checkpoint_uri="")


def test_storage_that_writes_over_claims_gets_no_job(stage: Stage) -> None:
    troupe(stage).line.overwrites = True
    launch = stage.job(runs_s=0.1)
    with pytest.raises(BackendError, match="does not know If-None-Match"):
        stage.backend.submit(launch)
    assert stage.status(launch.folder).phase is Phase.POISONED
    assert jobs_named(stage, "north", launch.token) == []


def test_withdrawal_is_not_believed_in_a_storage_that_writes_over_claims(stage: Stage) -> None:
    launch = stage.job(runs_s=0.1)
    line = troupe(stage).line
    line.loses = True
    with pytest.raises(BackendError):
        stage.backend.submit(launch)
    line.overwrites = True
    assert stage.until(launch.folder, Phase.POISONED, Phase.UNKNOWN).phase is Phase.UNKNOWN


def test_all_jobs_of_a_region_are_looked_at_in_one_call(stage: Stage) -> None:
    launches = [stage.job(runs_s=30, attempt_id=f"{number}.1") for number in range(1, 6)]
    for launch in launches:
        stage.backend.submit(launch)
    calls = troupe(stage).line.calls
    before = dict(calls)
    found = stage.backend.status([launch.folder for launch in launches])
    assert len(found) == len(launches)
    assert calls["/v1/describejobs"] - before.get("/v1/describejobs", 0) == 1
    assert calls["/v1/listjobs"] == before["/v1/listjobs"]
    for launch in launches:
        stage.backend.stop(launch.folder, StopReason.CANCELLED)


def test_energy_is_modelled_by_the_instance_and_says_so(stage: Stage) -> None:
    launch = stage.job(runs_s=1.0, cpus=4, mem_mb=8192)
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    assert stage.backend.collect(launch.folder)
    assert status.started_ms is not None
    assert status.ended_ms is not None
    used = usage(launch.folder / "readings", launch.attempt_id, (), status.started_ms, status.ended_ms)
    lasted_s = (status.ended_ms - status.started_ms) / 1000
    energy_j = sum(span.active_uj + span.idle_uj for span in used.spans) / 1e6
    assert energy_j == pytest.approx(lasted_s * (4 * (0.767 + 3.758) / 2 + 8 * 0.392), rel=0.01)
    assert {span.how for span in used.spans} == {How.MODELLED}
    assert used.sources["cpu"].startswith("modelled, m6i.xlarge: 4 vCPU of Ice Lake")


def test_energy_of_an_instance_without_a_published_power_stays_missing(stage: Stage) -> None:
    options = {"north": batch_options(troupe(stage).account, "north", instance_type="x9z.large")}
    troupe(stage).backend = BatchBackend(options)
    launch = stage.job(runs_s=0.1)
    stage.backend.submit(launch)
    stage.ended(launch.folder)
    assert stage.backend.collect(launch.folder)
    assert not (launch.folder / "readings").exists()


def test_capacity_is_that_of_the_compute_environment_less_what_runs(stage: Stage) -> None:
    before = stage.backend.capacity("east")
    launch = stage.job(runs_s=30, cpus=3, region="east")
    stage.backend.submit(launch)
    stage.until(launch.folder, Phase.RUNNING)
    now = stage.backend.capacity("east")
    assert (before.cpus, before.cpus - before.cpus_free) == (16, 0)
    assert (now.cpus, now.cpus_free) == (16, 13)
    stage.backend.stop(launch.folder, StopReason.CANCELLED)


def test_command_that_is_too_long_for_batch_is_refused_before_anything_is_sent(stage: Stage) -> None:
    launch = stage.launch("echo", "x" * 5000)
    with pytest.raises(BackendError, match="too long for AWS Batch"):
        stage.backend.submit(launch)
    assert stage.status(launch.folder).phase is Phase.POISONED
    assert jobs_named(stage, "north", launch.token) == []


def test_secrets_of_the_environment_are_not_sent_and_that_is_told(stage: Stage, tmp_path: Path) -> None:
    environment.write(tmp_path / "env.json", {"HOME": "/root", "HF_TOKEN": "hf_secret"})
    launch = stage.job(runs_s=0.1, environment_file=tmp_path / "env.json")
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    assert "1 environment variables were not sent to AWS Batch" in status.warnings[0]
    batch = troupe(stage).account.client("batch", REGIONS["north"])
    sent = batch.describe_jobs(jobs=[jobs_named(stage, "north", launch.token)[0]["jobId"]])
    assert "hf_secret" not in str(sent)


@pytest.fixture
def house(own_home: Path) -> Iterator[House]:
    made = House(own_home)
    made.environ |= VARIABLES
    yield made
    made.close()


def test_jobs_of_the_daemon_are_delayed_run_in_the_cleaner_region_paused_and_cancelled(
    house: House, account: Account
) -> None:
    given = {
        name: f'{{ region = "{REGIONS[region]}", job_queue = "train", image = "python:3.11", look_s = 0.3,'
        f' python = "{sys.executable}", endpoint_url = "{account.url}", instance_type = "m6i.xlarge",'
        f' checkpoint_uri = "s3://{BUCKET}/daemon" }}'
        for name, region in {"dirty": "east", "clean": "north"}.items()
    }
    jobs = play(house, "aws-batch", given)
    readings = house.home / "jobs" / str(jobs["delayed"]["id"]) / "1" / "readings"
    house.until(lambda: list(readings.glob("*.jsonl*")), 30)


def troupe(stage: Stage) -> BatchTroupe:
    assert isinstance(stage.troupe, BatchTroupe)
    return stage.troupe


def jobs_named(stage: Stage, region: str, token: str) -> list[dict[str, Any]]:
    batch = troupe(stage).account.client("batch", REGIONS[region])
    filters = [{"name": "JOB_NAME", "values": [token]}]
    found: list[dict[str, Any]] = batch.list_jobs(jobQueue="train", filters=filters)["jobSummaryList"]
    return found


def _over(batch: Any, job: str) -> dict[str, Any] | None:
    found: dict[str, Any] = batch.describe_jobs(jobs=[job])["jobs"][0]
    return found if found["status"] in ("SUCCEEDED", "FAILED") else None


def statuses(stage: Stage, region: str, token: str) -> list[str]:
    return [str(job["status"]) for job in jobs_named(stage, region, token)]
