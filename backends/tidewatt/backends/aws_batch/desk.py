"""Hands attempts to AWS Batch and asks after them."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tidewatt.backends import environment
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.aws_batch import storage
from tidewatt.backends.aws_batch.clients import asked, client
from tidewatt.backends.aws_batch.options import AwsBatchOptions
from tidewatt.backends.backend import BackendError, Launch, Phase, StopReason
from tidewatt.backends.desk import Fate, NotTakenError, Seen
from tidewatt.backends.orders import inline, order
from tidewatt.backends.reference import Reference

ENDED = ("SUCCEEDED", "FAILED")
_AT_ONCE = 100  # ids in one describe_jobs
_LARGEST = 8192  # characters of the overrides of one job
_SHORTEST_S = 60  # time limit that Batch takes
_STOP_S = 25.0  # of the 30 s between SIGTERM and SIGKILL; the rest is for sending the checkpoint
_RECLAIMED = ("Host EC2", "Spot")  # how the reason of a job begins whose instance was taken away


@dataclass(slots=True)
class BatchDesk:
    """The queues of all regions. `options` are by region."""

    options: Mapping[str, AwsBatchOptions]
    _sure: set[str] = field(default_factory=set)  # object storage that was seen to keep conditions

    def send(self, launch: Launch, place: Mapping[str, Any]) -> str:
        """Submits the attempt, named by its token, where no job of that name is there.

        Batch has no token of its own that makes a repeated request one: the name is looked for first, and an
        earlier attempt of the job that comes to light late is ended before another one is sent.
        """
        batch = client("batch", place)
        family, options = launch.token.rpartition("-")[0] + "-*", self.options[launch.region]
        try:
            if options.checkpoint_uri and options.checkpoint_uri not in self._sure:
                storage.check(options.checkpoint_uri, place)
                self._sure.add(options.checkpoint_uri)
            for found in _named(batch, str(place["job_queue"]), family):
                if found["jobName"] == launch.token:
                    return str(found["jobId"])
                if found["status"] not in ENDED:
                    _terminate(batch, str(found["jobId"]), "tidewatt: another attempt goes on")
                    raise BackendError(
                        f"{found['jobName']} is still there and is ended first", transient=True
                    )
            request = self.request(launch, options, batch)
        except BackendError as error:
            raise NotTakenError(str(error), transient=error.transient) from error
        answer = asked("submit the job", lambda: batch.submit_job(**request))
        return str(answer["jobId"])

    def look(self, place: Mapping[str, Any], wanted: Mapping[str, str]) -> Mapping[str, Seen]:
        """All jobs by their ids, a hundred in a call; those without one by their name."""
        batch = client("batch", place)
        ids = [each for each in wanted.values() if each]
        for token in (token for token, each in wanted.items() if not each):
            named = _named(batch, str(place["job_queue"]), token)
            ids += [str(found["jobId"]) for found in named if found["jobName"] == token]
        jobs = _described(batch, ids)
        return {job["jobName"]: _seen(job) for job in jobs if job["jobName"] in wanted}

    def end(self, found: Reference, launch: Launch, reason: StopReason) -> None:
        """Terminates it: SIGTERM, and SIGKILL after 30 s; one that has not started is cancelled by it."""
        if found.storage and reason is StopReason.PAUSED and storage.asks(found, launch):
            return
        batch = client("batch", found.place)
        ids = [found.id] if found.id else [
            str(each["jobId"]) for each in _named(batch, str(found.place["job_queue"]), launch.token)
        ]  # fmt: skip
        for each in ids:
            _terminate(batch, each, f"tidewatt: {reason}")

    def withdraw(self, found: Reference) -> Fate:
        """Claims it in its storage, so that its escort cannot any more; open without a storage."""
        return storage.withdraw(found)

    def finish(self, folder: Path, found: Reference) -> None:
        """What the manifest of its checkpoint says, where it has sent one."""
        storage.finish(folder, found)

    def output(self, found: Reference, _launch: Launch, offset: int, limit: int) -> bytes:
        """What CloudWatch has of the job, whole lines."""
        jobs = _described(client("batch", found.place), [found.id]) if found.id else []
        stream = jobs[0].get("container", {}).get("logStreamName") if jobs else None
        if stream is None:
            return b""
        logs, text, token = client("logs", found.place), b"", ""
        while len(text) < offset + limit:
            more = {"nextToken": token} if token else {}
            try:
                page = asked(
                    "read the job's log",
                    partial(
                        logs.get_log_events,
                        logGroupName=found.place["log_group"],
                        logStreamName=stream,
                        startFromHead=True,
                        **more,
                    ),
                )
            except NotTakenError as error:
                if "ResourceNotFound" in str(error):  # nothing was written yet
                    return b""
                raise
            text += b"".join(event["message"].encode() + b"\n" for event in page["events"])
            if page["nextForwardToken"] == token:
                break
            token = page["nextForwardToken"]
        return text[offset : offset + limit]

    def request(self, launch: Launch, options: AwsBatchOptions, batch: Any | None) -> dict[str, Any]:
        """The request that submits it; without a client no job definition is looked for or registered."""
        command = [options.python, "-c", inline(), json.dumps(self.told(launch, options, batch is not None))]
        needs = [
            ("VCPU", max(launch.cpus, options.vcpus or 1)),
            ("MEMORY", launch.mem_mb or options.memory_mb),
        ]
        needs += [("GPU", launch.gpus)] if launch.gpus else []
        overrides = {
            "command": command,
            "resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in needs],
        }
        if (size := len(json.dumps(overrides))) > _LARGEST:
            raise BackendError(
                f"the job's command and variables are too long for AWS Batch ({size} characters with what"
                f" goes beside it, {_LARGEST} at most): put them into a file of the image"
            )
        request: dict[str, Any] = {
            "jobName": launch.token,
            "jobQueue": options.job_queue,
            "jobDefinition": options.job_definition or definition(options, batch),
            "containerOverrides": overrides,
            "retryStrategy": {"attempts": 1},
            "tags": {"tidewatt": launch.token, "tidewatt-job": launch.name or launch.attempt_id},
            "propagateTags": True,
        }
        if launch.time_limit_s is not None:
            limit_s = math.ceil(launch.time_limit_s / launch.clock.factor + launch.grace_s)
            request["timeout"] = {"attemptDurationSeconds": max(_SHORTEST_S, limit_s)}
        return request

    def told(self, launch: Launch, options: AwsBatchOptions, warn: bool = False) -> dict[str, Any]:
        """What the escort is told."""
        sent = _sendable(launch, options, warn)
        kept = storage.of(launch, options)
        told = order(launch, False, storage=kept, restore=storage.earlier(launch) if kept else (), sent=sent)
        told |= {"stop_s": _STOP_S, "look_s": options.look_s}
        needed = ("argv", "variables", "grace_s", "clock", "resume_args", "resume_env")
        return {name: value for name, value in told.items() if value or name in needed}


def definition(options: AwsBatchOptions, batch: Any | None) -> str:
    """The name of the job definition of an image, which is registered once; its content makes its name."""
    container: dict[str, Any] = {
        "image": options.image,
        "resourceRequirements": [
            {"type": "VCPU", "value": str(options.vcpus or 1)},
            {"type": "MEMORY", "value": str(options.memory_mb)},
        ],
    }
    container |= {"jobRoleArn": options.job_role} if options.job_role else {}
    container |= {"executionRoleArn": options.execution_role} if options.execution_role else {}
    name = f"tidewatt-{hashlib.sha256(json.dumps(container, sort_keys=True).encode()).hexdigest()[:16]}"
    if batch is not None:
        there = asked(
            "look for its job definition",
            lambda: batch.describe_job_definitions(jobDefinitionName=name, status="ACTIVE"),
        )
        if not there["jobDefinitions"]:
            asked(
                "register its job definition",
                lambda: batch.register_job_definition(
                    jobDefinitionName=name, type="container", containerProperties=container
                ),
            )
    return name


def _sendable(launch: Launch, options: AwsBatchOptions, warn: bool) -> dict[str, str]:
    """What of the job's environment may be seen there; that the rest stays here is told."""
    if launch.environment_file is None:
        return {}
    kept = environment.read(launch.environment_file)
    left = sorted(set(kept) - set(options.environment) - set(environment.BASE))
    if left and warn:
        warning = (
            f"{len(left)} environment variables were not sent to AWS Batch, where whoever may describe jobs"
            " can read them: use `secrets` of the job definition, or name what may be seen in the region's"
            " `environment`"
        )
        Attempt(launch.folder).warn((warning,))
    return {name: kept[name] for name in options.environment if name in kept}


def _named(batch: Any, queue: str, name: str) -> Iterator[Mapping[str, Any]]:
    """The jobs of the queue with this name; a star at its end stands for anything."""
    token = ""
    while True:
        more = {"nextToken": token} if token else {}
        page = asked(
            "look for the job",
            partial(
                batch.list_jobs, jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}], **more
            ),
        )
        yield from page["jobSummaryList"]
        token = page.get("nextToken") or ""
        if not token:
            return


def _described(batch: Any, ids: list[str]) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    for first in range(0, len(ids), _AT_ONCE):
        some = ids[first : first + _AT_ONCE]
        jobs += asked("look at the jobs", partial(batch.describe_jobs, jobs=some))["jobs"]
    return jobs


def _terminate(batch: Any, job: str, reason: str) -> None:
    asked("end the job", lambda: batch.terminate_job(jobId=job, reason=reason))


def _seen(job: Mapping[str, Any]) -> Seen:
    """A job as Batch describes it. A container's exit code above 128 is a signal, as shells say it."""
    status, name, said = str(job["status"]), str(job["jobId"]), str(job.get("statusReason") or "")
    if status not in ENDED:
        if status == "RUNNING":
            return Seen(name, Phase.RUNNING, started_ms=job.get("startedAt"))
        return Seen(name, Phase.LAUNCHING, reason=f"pending: {status.lower()}{f', {said}' if said else ''}")
    attempts = job.get("attempts") or []
    container = job.get("container") or (attempts[-1].get("container") if attempts else None) or {}
    code = container.get("exitCode", 0 if status == "SUCCEEDED" else None)
    number = code - 128 if code is not None and 128 < code <= 192 else None
    return Seen(
        name,
        Phase.ENDED,
        started_ms=job.get("startedAt") or None,
        ended_ms=job.get("stoppedAt"),
        exit_code=None if number else code,
        signal=number,
        reason="" if status == "SUCCEEDED" or said.startswith("Essential container") else said,
        preempted=said.startswith(_RECLAIMED),
    )
