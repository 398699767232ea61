"""How an attempt stands, from what its Job and its pod say."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tidewatt.backends.backend import Launch, PauseTerms, Phase, StopReason
from tidewatt.backends.kubernetes import manifest
from tidewatt.backends.kubernetes.facts import job_of, pod_of
from tidewatt.backends.kubernetes.options import KubernetesOptions
from tidewatt.backends.kubernetes.reference import Reach, Reference, Wanted
from tidewatt.backends.kubernetes.rehearsal import rehearsed
from tidewatt.backends.kubernetes.room import quantity
from tidewatt.backends.kubernetes.standing import remembered, standing

NOW = 1_780_000_000_000
AT = "2026-05-28T20:00:00Z"
LATER = "2026-05-28T20:00:09Z"
REF = Reference(Reach(), "default", "tw-1", "tw", uid="u1", released=True, pushed=True)
RAN = replace(REF, started_ms=NOW - 60_000)
STOPPED = replace(RAN, wanted=Wanted.STOP, asked_ms=NOW - 10_000)


def job(*conditions: tuple[str, str], suspend: bool = False, **status: Any) -> dict[str, Any]:
    held = [{"type": kind, "status": "True", "reason": reason} for kind, reason in conditions]
    metadata = {"uid": "u1", "annotations": {manifest.WANTED: "run"}}
    return {"metadata": metadata, "spec": {"suspend": suspend}, "status": {"conditions": held, **status}}


def pod(phase: str, state: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    owner = {"uid": "u1", "controller": True}
    metadata = {"name": "p", "ownerReferences": [owner], "creationTimestamp": AT} | more.pop("metadata", {})
    statuses = [] if state is None else [{"name": "job", "state": state}]
    return {
        "metadata": metadata,
        "spec": {},
        "status": {"phase": phase, "containerStatuses": statuses, **more},
    }


def ended(code: int, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "startedAt": AT, "finishedAt": LATER, **more}}


DELETING = {"deletionTimestamp": "2026-05-28T20:00:30Z", "deletionGracePeriodSeconds": 30}
TAKEN = [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]
Case = tuple[Reference, dict[str, Any] | None, dict[str, Any] | None, tuple[Any, ...]]
CASES: dict[str, Case] = {
    "done": (RAN, None, pod("Succeeded", ended(0)), (Phase.ENDED, 0, None, None)),
    "done, its pod is gone": (RAN, job(("Complete", "CompletionsReached")), None,
                              (Phase.ENDED, 0, None, None)),
    "nearly done": (RAN, job(("SuccessCriteriaMet", "CompletionsReached")), None,
                    (Phase.RUNNING, None, None, None)),
    "failed": (RAN, None, pod("Failed", ended(3)), (Phase.ENDED, 3, None, None)),
    "killed": (RAN, None, pod("Failed", ended(137)), (Phase.ENDED, None, 9, None)),
    "exit code that is no signal": (RAN, None, pod("Failed", ended(255)), (Phase.ENDED, 255, None, None)),
    "too late": (RAN, None, pod("Failed", ended(143), reason="DeadlineExceeded"),
                 (Phase.ENDED, None, 15, StopReason.TIME_LIMIT)),
    "too late, by a limit of the Job": (RAN, job(("Failed", "DeadlineExceeded")), None,
                                        (Phase.ENDED, None, None, StopReason.TIME_LIMIT)),
    "preempted": (RAN, None, pod("Failed", ended(143), conditions=TAKEN, metadata=DELETING),
                  (Phase.ENDED, None, 15, StopReason.PREEMPTED)),
    "preempted, its pod is gone": (RAN, job(("Failed", "PodFailurePolicy")), None,
                                   (Phase.ENDED, None, None, StopReason.PREEMPTED)),
    "evicted": (RAN, None, pod("Failed", reason="Evicted"), (Phase.ENDED, None, None, StopReason.PREEMPTED)),
    "deleted by hand": (RAN, None, pod("Succeeded", ended(0), metadata=DELETING),
                        (Phase.ENDED, 0, None, StopReason.SIGNALLED)),
    "stopped, and ended with 0": (STOPPED, None, pod("Succeeded", ended(0), metadata=DELETING),
                                  (Phase.ENDED, 0, None, StopReason.CANCELLED)),
    "ended before the stop reached it": (STOPPED, None, pod("Succeeded", ended(0)),
                                         (Phase.ENDED, 0, None, None)),
    "stopping": (STOPPED, job(suspend=True, terminating=1), pod("Running", {"running": {"startedAt": AT}}),
                 (Phase.RUNNING, None, None, None)),
    "stopped, its pod is gone": (STOPPED, job(("Suspended", "JobSuspended"), suspend=True), None,
                                 (Phase.ENDED, None, None, StopReason.CANCELLED)),
    "stopped, its Job is gone": (STOPPED, None, None, (Phase.ENDED, None, None, StopReason.CANCELLED)),
    "paused": (replace(STOPPED, wanted=Wanted.PAUSE), None, pod("Failed", ended(85), metadata=DELETING),
               (Phase.ENDED, 85, None, StopReason.PAUSED)),
    "pausing": (replace(STOPPED, wanted=Wanted.PAUSE), job(suspend=True, active=1), None,
                (Phase.PAUSING, None, None, None)),
    "withdrawn": (replace(STOPPED, started_ms=0), job(("Suspended", "JobSuspended"), suspend=True), None,
                  (Phase.POISONED, None, None, None)),
    "withdrawn, and not settled yet": (replace(STOPPED, started_ms=0, asked_ms=NOW - 10),
                                       job(("Suspended", "JobSuspended"), suspend=True), None,
                                       (Phase.LAUNCHING, None, None, None)),
    "vanished": (RAN, None, None, (Phase.ENDED, None, None, None)),
    "its node is silent": (RAN, job(active=1), pod("Unknown"), (Phase.UNKNOWN, None, None, None)),
    "no pod yet": (REF, job(), None, (Phase.LAUNCHING, None, None, None)),
    "not let go yet": (REF, job(suspend=True), None, (Phase.LAUNCHING, None, None, None)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_attempt_stands_as_its_job_and_pod_say(case: Case) -> None:
    ref, about_job, about_pod, expected = case
    facts = None if about_pod is None else pod_of(about_pod)
    ref = ref if facts is None else remembered(ref, facts, NOW)
    stop = StopReason.CANCELLED if ref.wanted is Wanted.STOP else None
    found = standing(ref, None if about_job is None else job_of(about_job), facts, stop, NOW)
    assert (found.phase, found.exit_code, found.signal, found.stopped) == expected


def test_vanished_job_says_that_its_exit_status_is_lost() -> None:
    assert standing(RAN, None, None, None, NOW).reason.startswith("exit status lost")


def test_job_that_was_killed_for_its_memory_says_so() -> None:
    facts = pod_of(pod("Failed", ended(137, reason="OOMKilled")))
    assert "memory" in standing(remembered(RAN, facts, NOW), None, facts, None, NOW).reason


def test_job_that_somebody_suspended_is_given_up() -> None:
    found = standing(RAN, job_of(job(suspend=True)), None, None, NOW)
    assert found.give_up == "somebody suspended its Job"


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", "0.5"), ("2", "2"), ("1e3", "1000"), ("2Ki", "2048"), ("1.5Gi", "1610612736"), ("3k", "3000")],
)
def test_quantity_is_read_as_clusters_write_it(text: str, number: str) -> None:
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "one", "1X", "Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity(text)


def launch(folder: Path, *argv: str, **more: Any) -> Launch:
    out = folder / "out"
    return Launch("7.2", folder, argv, folder, None, out, out, token="tw-1f8e2a9c-7-2", region="eu", **more)


def test_nothing_of_a_command_is_expanded_by_the_cluster(tmp_path: Path) -> None:
    form = manifest.job(launch(tmp_path, "echo", "$(HOME) $$ $HOME"), options(), "tw", secret=False)
    assert form["spec"]["template"]["spec"]["containers"][0]["command"] == ["echo", "$$(HOME) $$$$ $$HOME"]


def test_grace_is_the_longer_of_stop_and_checkpoint_and_limits_count_from_the_start(tmp_path: Path) -> None:
    terms = PauseTerms(grace_s=90.5)
    form = manifest.job(
        launch(tmp_path, "true", pausing=terms, time_limit_s=59.5), options(), "tw", secret=False
    )
    pod = form["spec"]["template"]["spec"]
    assert (pod["terminationGracePeriodSeconds"], pod["activeDeadlineSeconds"]) == (91, 60)
    assert "activeDeadlineSeconds" not in form["spec"]


def test_rehearsal_shows_names_of_the_environment_and_no_values(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    path.write_text('{"SEED": "hidden", "PATH": "/x"}')
    path.chmod(0o600)
    text = rehearsed(replace(launch(tmp_path, "true"), environment_file=path), options(queue="q"), "tw")
    assert "SEED" in text
    assert "hidden" not in text
    assert "kueue.x-k8s.io~1queue-name" in text


def options(**more: Any) -> KubernetesOptions:
    return KubernetesOptions.model_validate({"image": "python:3.11"} | more)
