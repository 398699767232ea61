"""Jobs on a stand-in for a Kubernetes cluster: what a cluster does to them, and what they leave."""

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.stage import Stage
from tests.kubernetes.controller import disrupt
from tests.kubernetes.metrics import Metrics, served
from tests.kubernetes.objects import Key
from tests.kubernetes.rights import Rights
from tests.kubernetes.server import Fault, StandIn
from tests.kubernetes.troupe import KubernetesTroupe
from tidewatt.backends import checkpoint, environment
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import BackendError, Launch, PauseMode, PauseTerms, Phase, StopReason
from tidewatt.backends.kubernetes.reference import Reference
from tidewatt.backends.meters.journal import readings_of

RBAC = Path(__file__).parents[3] / "configs" / "kubernetes" / "rbac.yaml"
Play = Callable[..., Stage]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """A stage on a cluster as described; `options` are the region's."""
    clusters: list[StandIn] = []

    def made(options: dict[str, Any] | None = None, **cluster: Any) -> Stage:
        clusters.append(StandIn(**cluster).__enter__())
        return Stage(KubernetesTroupe(clusters[0], tmp_path, options=options or {}), tmp_path)

    yield made
    for each in clusters:
        each.__exit__()


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    with served() as found:
        yield found


def cluster_of(stage: Stage) -> StandIn:
    troupe = stage.troupe
    assert isinstance(troupe, KubernetesTroupe)
    return troupe.cluster


def pod_of(stage: Stage) -> Key:
    (pod,) = cluster_of(stage).store.of("pods")
    return Key("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])


def kept(stage: Stage, **values: str) -> Path:
    path = stage.root / "environment.json"
    environment.write(path, values)
    return path


@pytest.mark.parametrize("release", ["1.30", "1.33", "1.37"])
def test_job_with_all_options_is_what_the_release_takes_and_runs(play: Play, release: str) -> None:
    options = {
        "node_selector": {"zone": "a"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "priority_class": "batch",
        "runtime_class": "nvidia",
        "service_account": "trainer",
        "image_pull_secrets": ["registry"],
        "run_as_user": 1000,
        "volumes": [
            {"claim": "training", "path": "/data"},
            {"claim": "training", "path": "/cache", "sub_path": "c"},
        ],
        "gpu_products": {"a100": "NVIDIA-A100"},
    }
    labels = {"zone": "a", "nvidia.com/gpu.product": "NVIDIA-A100"}
    stage = play(options, release=release, gpus=2, labels=labels)
    more: dict[str, Any] = {"gpus": 2, "gpu_kind": "a100", "mem_mb": 512, "time_limit_s": 60.0}
    launch = stage.job(runs_s=0.1, environment_file=kept(stage, SEED="7"), **more)
    stage.backend.submit(launch)
    assert stage.ended(launch.folder).exit_code == 0


def test_manifest_of_the_rights_is_enough_and_no_more(play: Play) -> None:
    rights = Rights.of(RBAC)
    options = {"namespace": "tidewatt-jobs"}
    stage = play(options, rights=rights)
    done = stage.job(runs_s=0.1, environment_file=kept(stage, SEED="7"))
    stopped = stage.job(runs_s=60, attempt_id="2.1")
    for launch in (done, stopped):
        stage.backend.submit(launch)
    stage.backend.submit(done)
    stage.until(stopped.folder, Phase.RUNNING)
    stage.backend.stop(stopped.folder, StopReason.CANCELLED)
    for launch in (done, stopped):
        stage.ended(launch.folder)
        stage.wait(lambda launch=launch: stage.backend.collect(launch.folder))  # type: ignore[misc]
    stage.backend.capacity("eu")
    troupe = stage.troupe
    assert isinstance(troupe, KubernetesTroupe)
    troupe.options = options | {"queue": "training"}
    troupe.restart()
    queued = stage.job(runs_s=60, attempt_id="3.1")
    stage.backend.submit(queued)
    stage.see(queued.folder, lambda status: "training" in status.reason)
    stage.backend.submit(queued)
    stage.wait(lambda: cluster_of(stage).store.of("workloads"))
    stage.backend.stop(queued.folder, StopReason.CANCELLED)
    stage.ended(queued.folder)
    asked_again = rights.granted.keys() - rights.used
    assert rights.refused == []
    assert asked_again <= {("batch", "jobs", "get")}  # only after an answer was lost


def test_job_sees_what_was_kept_of_the_environment_and_the_cluster_forgets_it(play: Play) -> None:
    stage = play()
    launch = stage.launch(
        "sh", "-c", 'echo "$SECRET_WORD/$HOST_ONLY/$(echo shell) $TIDEWATT_ATTEMPT" $$HOME',
        environment_file=kept(stage, SECRET_WORD="sesame", PATH="/nowhere", VIRTUAL_ENV="/nowhere"),
    )  # fmt: skip
    stage.backend.submit(launch)
    assert stage.ended(launch.folder).exit_code == 0
    output = stage.wait(lambda: stage.backend.logs(launch.folder))
    assert output.startswith(b"sesame//shell 1.1 ")
    files = [
        path.read_bytes() for path in launch.folder.rglob("*") if path.is_file() and path.name != "output"
    ]
    assert not any(b"sesame" in content for content in files)
    stage.wait(lambda: stage.backend.collect(launch.folder))
    store = cluster_of(stage).store
    assert (store.of("secrets"), store.of("jobs")) == ([], [])
    stage.wait(lambda: not store.of("pods"))
    assert stage.backend.logs(launch.folder) == output


def test_evicted_job_is_preempted(play: Play) -> None:
    stage = play()
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    disrupt(cluster_of(stage).store, pod_of(stage), "EvictionByEvictionAPI")
    status = stage.ended(launch.folder)
    assert status.stopped is StopReason.PREEMPTED
    assert "EvictionByEvictionAPI" in status.reason


def test_job_whose_pod_somebody_deleted_is_neither_done_nor_preempted(play: Play) -> None:
    stage = play()
    launch = stage.launch("sh", "-c", "trap 'sleep 0.5; exit 0' TERM; echo ready; sleep 60 & wait $!")
    stage.backend.submit(launch)
    stage.running(launch.folder)
    cluster_of(stage).store.mark_deleted(pod_of(stage), 5)
    assert stage.ended(launch.folder).stopped is StopReason.SIGNALLED


def test_job_on_a_lost_node_is_unknown_until_the_cluster_gives_it_up(play: Play) -> None:
    stage = play()
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    cluster = cluster_of(stage)
    cluster.kubelet.lost.add("node-1")
    cluster.store.update(pod_of(stage), phase="Unknown", containerStatuses=None)
    assert "node-1" in stage.until(launch.folder, Phase.UNKNOWN).reason
    store, key = cluster.store, pod_of(stage)
    disrupt(store, key, "DeletionByTaintManager")
    store.update(key, phase="Failed")
    status = stage.ended(launch.folder)
    assert (status.stopped, status.exit_code) == (StopReason.PREEMPTED, None)


def test_job_for_which_no_node_has_room_waits_and_says_why(play: Play) -> None:
    stage = play(cpus=2)
    launch = stage.job(runs_s=0.1, cpus=3)
    stage.backend.submit(launch)
    status = stage.see(launch.folder, lambda status: "Unschedulable" in status.reason)
    assert status.phase is Phase.LAUNCHING
    assert status.reason.startswith("pending: ")
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    assert stage.ended(launch.folder).phase is Phase.POISONED


def test_job_whose_image_is_nowhere_is_given_up(play: Play) -> None:
    stage = play({"image": "missing:1", "pull_patience_s": 0.2})
    launch = stage.job()
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    assert status.phase is Phase.POISONED
    assert "ImagePullBackOff" in status.reason
    assert stage.copies() == 0


def test_request_that_the_cluster_refuses_poisons_with_its_reason(play: Play) -> None:
    stage = play(rights=Rights())
    launch = stage.job()
    with pytest.raises(BackendError, match=r"rbac\.yaml") as told:
        stage.backend.submit(launch)
    assert not told.value.transient
    assert stage.status(launch.folder).phase is Phase.POISONED


@pytest.mark.parametrize("code", [429, 500, 503])
def test_cluster_that_is_too_busy_leaves_jobs_unknown_for_a_round(play: Play, code: int) -> None:
    stage = play()
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    cluster_of(stage).faults.append(Fault("GET", "/pods", code=code))
    assert stage.status(launch.folder).phase is Phase.UNKNOWN
    assert stage.status(launch.folder).phase is Phase.RUNNING


PARTS = [("POST", "/jobs"), ("POST", "/secrets"), ("PATCH", "/jobs")]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("kind", ["mute", "lose"])
@pytest.mark.parametrize(("method", "path"), PARTS)
def test_submit_that_breaks_off_anywhere_runs_once(
    play: Play, method: str, path: str, kind: str, restarted: bool
) -> None:
    stage = play()
    launch = stage.job(runs_s=0.1, environment_file=kept(stage, SEED="7"))
    cluster_of(stage).faults.append(Fault(method, path, **{kind: True}))
    with pytest.raises(BackendError):
        stage.backend.submit(launch)
    if restarted:
        stage.troupe.restart()
    assert stage.ended(launch.folder).exit_code == 0
    assert stage.copies() == 1


def test_request_that_arrives_after_its_job_was_stopped_starts_nothing(play: Play) -> None:
    stage = play()
    cluster = cluster_of(stage)
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    late = [
        (line.split()[1], body)
        for line, body in zip(cluster.requests, cluster.bodies, strict=True)
        if line.startswith(("POST", "PATCH"))
    ]
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    stage.ended(launch.folder)
    stage.wait(lambda: stage.backend.collect(launch.folder))
    client = stage.backend.clusters.of(stage.backend.clusters.reach(stage.backend.regions["eu"]))
    (jobs, form), (job, steps) = late
    client.create(jobs, json.loads(form))  # it was made anew, with a uid that nobody wrote down
    with pytest.raises(BackendError):
        client.patch(job, json.loads(steps))
    stage.troupe.pass_time()
    assert cluster.store.of("pods") == []
    assert stage.copies() == 1


def test_stop_that_the_cluster_did_not_hear_is_told_again(play: Play) -> None:
    stage = play()
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    cluster_of(stage).faults.append(Fault("PATCH", "/jobs", lose=True))
    with pytest.raises(BackendError):
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
    assert stage.ended(launch.folder).stopped is StopReason.CANCELLED


def test_paused_job_keeps_its_work_and_another_attempt_goes_on(play: Play) -> None:
    stage = play()
    terms = PauseTerms(
        exit_codes=(85,),
        log_line="saved",
        folder="kept",
        resume_args=("--resume",),
        resume_env={"FROM": "best"},
    )
    work = "trap 'echo saved; exit 85' TERM; echo ready $@ $FROM $TIDEWATT_RESUME; sleep 60 & wait $!"
    first = stage.launch("sh", "-c", work, "sh", pausing=terms)
    stage.backend.submit(first)
    stage.running(first.folder)
    stage.backend.pause(first.folder, PauseMode.CHECKPOINT)
    stage.backend.pause(first.folder, PauseMode.CHECKPOINT)
    status = stage.ended(first.folder)
    assert (status.stopped, status.exit_code) == (StopReason.PAUSED, 85)
    assert [move.phase for move in status.moves] == [Phase.PAUSING]
    found = checkpoint.read(first.folder)
    assert found is not None
    assert found.whole, found.reason
    second = stage.launch("sh", "-c", work, "sh", pausing=terms, resumes=first.folder, attempt_id="1.2")
    stage.backend.submit(second)
    stage.running(second.folder)
    assert stage.backend.logs(second.folder) == b"ready --resume best 1\n"


def test_job_that_saved_nothing_says_so(play: Play) -> None:
    stage = play()
    launch = stage.job(runs_s=60, stop_code=3, pausing=PauseTerms(exit_codes=(85,)))
    stage.backend.submit(launch)
    stage.running(launch.folder)
    stage.backend.pause(launch.folder, PauseMode.CHECKPOINT)
    status = stage.ended(launch.folder)
    assert status.stopped is StopReason.PAUSED
    assert "no whole checkpoint" in status.reason


@pytest.mark.parametrize(
    ("terms", "mode", "words"),
    [
        (None, PauseMode.CHECKPOINT, "not submitted as a job that can be paused"),
        (PauseTerms(signal="USR1"), PauseMode.CHECKPOINT, "SIGTERM"),
        (PauseTerms(), PauseMode.STOP, "by checkpoint"),
    ],
)
def test_pause_that_is_not_possible_is_refused_with_a_word(
    play: Play, terms: PauseTerms | None, mode: PauseMode, words: str
) -> None:
    stage = play()
    launch = stage.job(runs_s=60, pausing=terms)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    with pytest.raises(BackendError, match=words):
        stage.backend.pause(launch.folder, mode)
    assert stage.status(launch.folder).phase is Phase.RUNNING


def test_queue_decides_when_a_job_is_let_go_and_its_suspend_is_never_touched(play: Play) -> None:
    stage = play({"queue": "training"})
    cluster = cluster_of(stage)
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    status = stage.see(launch.folder, lambda status: "queue training" in status.reason)
    assert status.phase is Phase.LAUNCHING
    cluster.queue.admits = True
    stage.running(launch.folder)
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    assert stage.ended(launch.folder).stopped is StopReason.CANCELLED
    patches = [
        body
        for line, body in zip(cluster.requests, cluster.bodies, strict=True)
        if line.startswith("PATCH") and "/jobs/" in line
    ]
    assert patches
    assert not any(b"suspend" in body for body in patches)


def test_job_that_its_queue_puts_out_is_preempted_and_does_not_run_again(play: Play) -> None:
    stage = play({"queue": "training"})
    cluster = cluster_of(stage)
    cluster.queue.admits = True
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    cluster.queue.admits = False
    stage.wait(lambda: not cluster.store.of("pods"))
    assert stage.ended(launch.folder).stopped is StopReason.PREEMPTED
    cluster.queue.admits = True
    stage.troupe.pass_time()
    assert stage.copies() == 1


def test_capacity_is_what_pods_have_not_asked_for(play: Play) -> None:
    stage = play(
        {"gpu_products": {"a100": "NVIDIA-A100"}}, gpus=4, labels={"nvidia.com/gpu.product": "NVIDIA-A100"}
    )
    launch = stage.job(runs_s=60, cpus=3, gpus=1)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    found = stage.backend.capacity("eu")
    assert (found.cpus, found.cpus_free) == (8, 5)
    assert (found.gpus, found.gpus_free) == ({"a100": 4}, {"a100": 3})


def test_attempt_in_a_region_that_is_gone_is_still_followed(play: Play) -> None:
    stage = play()
    launch = stage.job(runs_s=60)
    stage.backend.submit(launch)
    stage.running(launch.folder)
    stage.backend.regions = {}
    assert stage.status(launch.folder).phase is Phase.RUNNING
    stage.backend.stop(launch.folder, StopReason.CANCELLED)
    assert stage.ended(launch.folder).stopped is StopReason.CANCELLED


def test_many_that_stop_at_once_leave_no_thread_behind(play: Play) -> None:
    stage = play(cpus=100)
    before = threading.active_count()
    launches = [stage.job(runs_s=60, attempt_id=f"{number}.1") for number in range(1, 9)]
    for launch in launches:
        stage.backend.submit(launch)
    for launch in launches:
        stage.running(launch.folder)
        stage.backend.stop(launch.folder, StopReason.CANCELLED)
    for launch in launches:
        assert stage.ended(launch.folder).signal == 15
    stage.wait(lambda: not [each for each in threading.enumerate() if each.name.startswith("witness")])
    assert threading.active_count() < before + 40


def running_pod(launch: Launch, home: str, uid: str) -> dict[str, Any]:
    """A pod on a node that does not answer: nobody here touches it."""
    owner = {"uid": uid, "controller": True, "kind": "Job", "name": launch.token}
    labels = {"tidewatt/home": home, "tidewatt/attempt": launch.token}
    metadata = {"name": launch.token, "namespace": "default", "labels": labels, "ownerReferences": [owner]}
    metadata |= {"uid": f"pod-{uid}", "creationTimestamp": "2026-11-22T18:00:00Z"}
    started = {"state": {"running": {"startedAt": "2026-11-22T18:00:00Z"}}, "name": "job"}
    spec = {"nodeName": "lost", "containers": [{"name": "job", "image": "i"}]}
    return {
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": "Running", "containerStatuses": [started]},
    }


def test_thousand_running_jobs_cost_one_request_a_round(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _fd: None)  # their files are made by thousands
    stage = play()
    cluster, home = cluster_of(stage), stage.backend.setting.mark
    cluster.kubelet.lost.add("lost")
    reach = stage.backend.clusters.reach(stage.backend.regions["eu"])
    launches = [stage.launch("true", attempt_id=f"{number}.1") for number in range(1000)]
    for number, launch in enumerate(launches):
        Attempt(launch.folder).write_launch(launch)
        uid = f"u{number}"
        ref = Reference(reach, "default", launch.token, home, uid=uid, released=True, pushed=True)
        ref.create(launch.folder)
        with cluster.store.changed:
            cluster.store.forms[Key("pods", "default", launch.token)] = running_pod(launch, home, uid)
    folders = [launch.folder for launch in launches]
    first = stage.backend.status(folders)
    assert {status.phase for status in first.values()} == {Phase.RUNNING}
    for folder in folders:
        os.utime(folder, (0, 0))  # nothing happened there for long
    assert stage.backend.status(folders) == first
    before, cpu_s = len(cluster.requests), time.thread_time()
    assert stage.backend.status(folders) == first
    print(f"1,000 attempts: {time.thread_time() - cpu_s:.3f} s of CPU a round")
    assert len(cluster.requests) - before == 1


SUBMITS = int(os.environ.get("TIDEWATT_SOAK_KUBERNETES_SUBMITS", "12"))


def test_submits_over_a_line_that_breaks_at_random_run_at_most_once(play: Play) -> None:
    stage = play(cpus=10**4)
    stage.troupe.patience_s = max(stage.troupe.patience_s, SUBMITS)  # for the stand-in's controller
    chance = random.Random(7)
    cluster = cluster_of(stage)
    launches = [stage.job(attempt_id=f"{number}.1") for number in range(1, SUBMITS + 1)]
    for launch in launches:
        for method, path in (("POST", "/jobs"), ("PATCH", "/jobs"), ("GET", "/")):
            mute = chance.random() < 0.5
            fault = Fault(method, path, times=chance.randrange(3), mute=mute, lose=not mute)
            cluster.faults.append(fault)
        for _ in range(chance.randrange(1, 4)):
            with contextlib.suppress(BackendError):
                stage.backend.submit(launch)
        if chance.random() < 0.3:
            stage.troupe.restart()
    for launch in launches:
        status = stage.ended(launch.folder)
        copies = stage.copies(launch.attempt_id)
        assert copies == (status.phase is Phase.ENDED), (launch.attempt_id, status)
    print(f"{SUBMITS} submits, {len(cluster.requests)} requests: none twice")


def test_energy_that_prometheus_knows_is_kept_as_readings(play: Play, metrics: Metrics) -> None:
    series = {
        "component": "cpu",
        "query": 'e{pod="$pod"}',
        "unit": "J",
        "source": "Kepler, a share of the node",
    }
    stage = play({"prometheus": {"url": metrics.url, "step_s": 1, "series": [series]}})
    launch = stage.job(runs_s=1.2)
    stage.backend.submit(launch)
    status = stage.ended(launch.folder)
    assert status.started_ms is not None
    first_s = status.started_ms / 1000
    metrics.result = [{"values": [[first_s, "100"], [first_s + 1, "160"]]}]
    stage.wait(lambda: stage.backend.collect(launch.folder))
    [path] = (launch.folder / "readings").glob("*.jsonl")
    found = list(readings_of(path))
    assert found[-1].energy_uj["attempt:cpu"] - found[0].energy_uj["attempt:cpu"] == 60_000_000
    assert "Prometheus: Kepler" in path.read_text()
    assert all("e{pod=" in asked["query"][0] for asked in metrics.asked)


def test_energy_that_prometheus_does_not_know_stays_missing(play: Play, metrics: Metrics) -> None:
    series = {"component": "gpu", "query": "e", "unit": "mJ", "source": "DCGM"}
    stage = play({"prometheus": {"url": metrics.url, "step_s": 1, "series": [series]}})
    launch = stage.job(runs_s=0.1)
    stage.backend.submit(launch)
    stage.ended(launch.folder)
    stage.troupe.pass_time()
    assert not stage.backend.collect(launch.folder)  # scrapes may be late
    assert not (launch.folder / "readings").exists()
