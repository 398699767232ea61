"""Slurm beyond the contract: pauses, energy, login nodes, scripts of its users, answers that get lost."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import NODE_W, Clusters, running
from tests.slurm.site import Site
from tests.slurm.troupe import Door
from tidewatt.backends import checkpoint
from tidewatt.backends.backend import BackendError, PauseMode, PauseTerms, Phase, StopReason
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.slurm.options import SlurmOptions
from tidewatt.backends.slurm.reference import Reference

COUNT = str(Path(__file__).parents[2] / "slurm" / "count.py")
AMBIGUOUS = int(os.environ.get("TIDEWATT_SOAK_AMBIGUOUS", "9"))
TERMS = PauseTerms(grace_s=10, exit_codes=(85,), file="count", resume_args=())


@pytest.fixture(scope="module")
def clusters(require_engine: Callable[[str], None]) -> Iterator[Clusters]:
    """Both clusters, as long as this module's tests run."""
    require_engine("slurm")
    with tempfile.TemporaryDirectory(prefix="tw-slurm-") as folder, running(Path(folder)) as clusters:
        yield clusters


@pytest.fixture
def site(clusters: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Whatever a test leaves is cancelled."""
    monkeypatch.setenv("PATH", os.environ["PATH"])
    yield Site(clusters, tmp_path)
    clusters.cancel_all()


def _count(site: Site, attempt_id: str, last: int, **more: object) -> Path:
    argv = (sys.executable, COUNT, str(last), str(site.root / "count"))
    return site.submit(attempt_id, *argv, pausing=TERMS, **more)


def _paused(site: Site, folder: Path, after: str) -> None:
    site.until(folder, Phase.RUNNING)
    site.wait(lambda: after in site.backend.logs(folder).decode())
    _ask_to_pause(site, folder)
    status = site.ended(folder)
    assert (status.stopped, status.reason) == (StopReason.PAUSED, "paused")


def _ask_to_pause(site: Site, folder: Path) -> None:
    """Asks again where Slurm did not answer, as the daemon does."""
    for _ in range(3):
        try:
            site.backend.pause(folder, PauseMode.CHECKPOINT)
            return
        except BackendError as error:
            if not error.transient:
                raise
    raise AssertionError("Slurm never answered")


def _number(folder: Path) -> str:
    reference = Reference.read(folder)
    assert reference is not None
    return reference.number


def test_job_paused_by_checkpoint_goes_on_in_the_same_slurm_job(site: Site) -> None:
    first = _count(site, "1.1", 30)
    _paused(site, first, "count 3\n")
    kept = checkpoint.read(first)
    assert kept is not None
    assert kept.whole
    second = _count(site, "1.2", 30, resumes=first)
    _paused(site, second, "count 9\n")
    last = _count(site, "1.3", 12, resumes=second)
    assert site.ended(last).exit_code == 0
    assert _number(first) == _number(second) == _number(last)
    counts = [line for line in (site.root / "1.out").read_text().splitlines() if line.startswith("count")]
    assert counts == sorted(set(counts), key=lambda line: int(line.split()[1]))


def test_job_resumed_on_another_cluster_leaves_nothing_behind(site: Site) -> None:
    first = _count(site, "1.1", 30)
    _paused(site, first, "count 2\n")
    second = _count(site, "1.2", 5, resumes=first, region="us")
    assert site.ended(second).exit_code == 0
    held = site.clusters.run("squeue", "-h", "-M", "eu", "-j", _number(first), "-o", "%T")
    assert "PENDING" not in held


def test_cancelled_paused_job_leaves_the_queue(site: Site) -> None:
    first = _count(site, "1.1", 30)
    _paused(site, first, "count 2\n")
    site.wait(lambda: "PENDING" in _state(site, first))
    site.backend.stop(first, StopReason.CANCELLED)
    site.wait(lambda: "PENDING" not in _state(site, first))
    assert site.status(first).stopped is StopReason.PAUSED


def test_job_that_saves_nothing_has_no_whole_checkpoint(site: Site) -> None:
    folder = site.submit("1.1", "sleep", "60", pausing=PauseTerms(grace_s=1, exit_codes=(85,)))
    site.until(folder, Phase.RUNNING)
    _ask_to_pause(site, folder)
    status = site.ended(folder)
    assert status.stopped is StopReason.PAUSED
    assert "no whole checkpoint" in status.reason
    kept = checkpoint.read(folder)
    assert kept is not None
    assert not kept.whole


def test_suspended_job_stands_still_and_goes_on(site: Site) -> None:
    folder = _count(site, "1.1", 10)
    site.until(folder, Phase.RUNNING)
    site.backend.pause(folder, PauseMode.STOP)
    assert site.until(folder, Phase.SUSPENDED).moves[-1].phase is Phase.SUSPENDED
    site.backend.resume(folder)
    status = site.ended(folder)
    assert status.exit_code == 0
    assert [move.phase for move in status.moves] == [Phase.SUSPENDED, Phase.RUNNING]


def test_signal_reaches_the_job(site: Site) -> None:
    folder = site.submit("1.1", "bash", "-c", "trap 'exit 7' USR1; echo ready; sleep 60 & wait")
    site.wait(lambda: b"ready" in site.backend.logs(folder))
    site.backend.signal(folder, "USR1")
    assert site.ended(folder).exit_code == 7
    with pytest.raises(BackendError, match="can be sent"):
        site.backend.signal(folder, "KILL")


def test_job_that_slurm_queues_again_has_lost_its_place_and_runs_once(site: Site) -> None:
    folder = site.submit("1.1", "bash", "-c", "echo begun; sleep 60")
    site.wait(lambda: b"begun" in site.backend.logs(folder))
    site.until(folder, Phase.RUNNING)
    site.clusters.run("scontrol", "-M", "eu", "requeue", _number(folder))
    assert site.ended(folder).stopped is StopReason.PREEMPTED
    assert site.backend.logs(folder).count(b"begun") == 1


def test_energy_of_the_node_is_what_its_counter_says(site: Site) -> None:
    site.backend.regions = {"eu": SlurmOptions(cluster="eu")}  # no meter of ours: Slurm's own figures
    folder = site.submit("1.1", "sleep", "8")
    status = site.ended(folder)
    site.wait(lambda: site.backend.collect(folder))
    assert status.started_ms is not None
    assert status.ended_ms is not None
    used = usage(folder / "readings", "1.1", (), status.started_ms, status.ended_ms)
    true_j = NODE_W * (status.ended_ms - status.started_ms) / 1000
    told_j = sum(span.active_uj + span.idle_uj for span in used.spans) / 1e6
    assert told_j == pytest.approx(true_j, rel=0.05)
    assert used.sources["node"].startswith(
        "Slurm ConsumedEnergy (rapl): node charged whole, GPUs not included"
    )


def test_our_meter_runs_beside_the_job(site: Site) -> None:
    folder = site.submit("1.1", "sleep", "2", readings=site.root / "readings", meter_interval_s=0.5)
    status = site.ended(folder)
    assert site.backend.collect(folder)
    assert status.started_ms is not None
    assert status.ended_ms is not None
    used = usage(folder / "readings", "1.1", (), status.started_ms, status.ended_ms)
    assert "cpu" in used.components


def test_job_behind_a_login_node(site: Site) -> None:
    there = site.root / "there"
    options = SlurmOptions(
        cluster="us", ssh="127.0.0.1", ssh_options=tuple(site.clusters.ssh_options), folder=str(there)
    )
    site = Site(site.clusters, site.root, {"far": options})
    first = site.submit(
        "1.1", "bash", "-c", "trap 'exit 9' TERM; echo it\\'s here; sleep 60 & wait", region="far"
    )
    site.wait(lambda: b"it's here" in site.backend.logs(first))
    assert site.until(first, Phase.RUNNING).started_ms
    site.backend.stop(first, StopReason.CANCELLED)
    assert site.ended(first).stopped is StopReason.CANCELLED
    second = site.submit("2.1", "sleep", "3", region="far", not_before_ms=_in_ms(3600))
    assert site.until(second, Phase.LAUNCHING).reason == "pending: BeginTime"
    site.backend.reschedule(second, 0)
    assert site.ended(second).exit_code == 0
    site.wait(lambda: site.backend.collect(second))
    assert any((second / "readings").glob("*.jsonl"))
    third = site.submit("3.1", "true", region="far", not_before_ms=_in_ms(3600))
    site.backend.stop(third, StopReason.CANCELLED)
    assert site.ended(third).phase is Phase.POISONED


def test_lines_of_the_users_own_script_are_kept(site: Site) -> None:
    script = site.root / "train.sh"
    script.write_text(
        "#!/bin/bash\n#SBATCH --cpus-per-task=3 -J theirs\n#SBATCH --begin=now+1hour\n"
        "#SBATCH --partition=nowhere\n#SBATCH --output=elsewhere.txt\n"
        "echo $SLURM_CPUS_PER_TASK $SLURM_JOB_NAME\n"
    )
    script.chmod(0o755)
    site.backend.regions = {"eu": SlurmOptions(cluster="eu", partition="train")}
    launch = site.launch("1.1", str(script), cpus=1)
    site.backend.submit(launch)
    assert site.ended(launch.folder).exit_code == 0
    assert site.backend.logs(launch.folder) == b"3 theirs\n"
    told = " ".join(site.backend.told(launch))
    assert "--begin=now+1hour is left out: Tidewatt sets this itself" in told
    assert "--partition=nowhere is left out: the region decides this" in told


def test_environment_comes_along_and_none_of_it_stays(site: Site) -> None:
    secret = site.root / "environment"
    secret.touch(mode=0o600)
    secret.write_text('{"SECRET": "a \\"b\\" $c\\nd"}')
    folder = site.submit("1.1", "bash", "-c", 'printf %s "$SECRET"', environment_file=secret, gpus=2)
    assert site.ended(folder).exit_code == 0
    assert site.backend.logs(folder) == b'a "b" $c\nd'
    left = [path for path in folder.rglob("*") if path.is_file() and b'"b" $c' in path.read_bytes()]
    assert left == []


def test_what_the_region_has_and_how_long_it_makes_wait(site: Site) -> None:
    folder = site.submit("1.1", "sleep", "60", gpus=1, cpus=2)
    site.until(folder, Phase.RUNNING)
    found = site.backend.capacity("eu")
    assert (dict(found.gpus), dict(found.gpus_free)) == ({"h200": 4}, {"h200": 3})
    assert (found.cpus, found.cpus_free) == (16, 14)
    assert "no age" in found.note
    assert not site.backend.ages_while_delayed("eu")


def test_refused_submit_is_final_and_says_why(site: Site) -> None:
    launch = site.launch("1.1", "true", gpus=99)
    with pytest.raises(BackendError, match="node configuration is not available") as told:
        site.backend.submit(launch)
    assert not told.value.transient
    assert site.status(launch.folder).phase is Phase.POISONED


def test_all_jobs_of_a_cluster_are_polled_by_one_call(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [
        site.submit(f"{number}.1", "sleep", "60", not_before_ms=_in_ms(3600)) for number in range(1, 6)
    ]
    log = site.root / "calls"
    spy = site.root / "spy" / "squeue"
    spy.parent.mkdir()
    real = site.clusters.run("which", "squeue").strip()
    spy.write_text(f'#!/bin/bash\necho "$@" >> {log}\nexec {real} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    found = site.backend.status(folders)
    assert {status.phase for status in found.values()} == {Phase.LAUNCHING}
    assert len(log.read_text().splitlines()) == 1


def test_submits_whose_answers_get_lost_run_once(site: Site) -> None:
    """Accepted, and then: an error, no answer, or a client that is killed."""
    door = Door(site.root / "bin")
    os.environ["PATH"] = f"{door.folder}:{os.environ['PATH']}"
    site.backend.regions = {
        name: SlurmOptions(cluster=name, timeout_s=1.5, visible_within_s=5) for name in ("eu", "us")
    }
    launches = []
    for number in range(1, AMBIGUOUS + 1):
        door.fails(("mute", "hang", "kill")[number % 3])
        evidence = site.root / f"{number}.begun"
        launch = site.launch(
            f"{number}.1", "sh", "-c", f"echo x >> {evidence}; sleep 0.2", region=("eu", "us")[number % 2]
        )
        with pytest.raises(BackendError) as told:
            site.backend.submit(launch)
        assert told.value.transient
        site.backend.submit(launch)  # safe to repeat
        launches.append((launch, evidence))
    deadline = time.monotonic() + 60 + AMBIGUOUS
    while True:
        found = site.backend.status([launch.folder for launch, _ in launches])
        if all(status.phase is Phase.ENDED for status in found.values()):
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    assert {status.exit_code for status in found.values()} == {0}
    assert {evidence.read_text() for _, evidence in launches} == {"x\n"}


def _state(site: Site, folder: Path) -> str:
    return site.clusters.run("squeue", "-h", "-M", "eu", "-t", "all", "-j", _number(folder), "-o", "%T")


def _in_ms(seconds: float) -> int:
    return time.time_ns() // 1_000_000 + round(seconds * 1000)
