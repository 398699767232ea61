"""AWS Batch as one kind of backend among others."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from tidewatt.backends import instances
from tidewatt.backends.aws_batch import storage
from tidewatt.backends.aws_batch.clients import asked, client
from tidewatt.backends.aws_batch.desk import BatchDesk
from tidewatt.backends.aws_batch.options import AwsBatchOptions
from tidewatt.backends.backend import BackendError, Capacity, Launch
from tidewatt.backends.engines import Setting
from tidewatt.backends.handover import Handover

_VISIBLE_S = 120.0
_VANISHED_S = 300.0
_RUNS = ("STARTING", "RUNNING")


class BatchBackend(Handover):
    """Attempts as jobs of AWS Batch, named by their tokens."""

    def __init__(
        self,
        options: Mapping[str, AwsBatchOptions],
        visible_s: float = _VISIBLE_S,
        vanished_s: float = _VANISHED_S,
    ) -> None:
        self.options = dict(options)
        self.queues = BatchDesk(self.options)
        places = {name: each.place() for name, each in options.items()}
        super().__init__("AWS Batch", self.queues, places, visible_s, vanished_s)

    def collect(self, folder: Path) -> bool:
        """The energy of the instance's share that it had, by a published model; missing for other types."""
        return instances.report(folder)

    def capacity(self, region: str) -> Capacity:
        """What the queue's compute environments may grow to, less what runs in the queue."""
        options = self._options(region)
        batch = client("batch", options.place())
        queues = asked("look at the queue", lambda: batch.describe_job_queues(jobQueues=[options.job_queue]))
        if not queues["jobQueues"]:
            raise BackendError(f"there is no job queue {options.job_queue} in {options.region}")
        names = [each["computeEnvironment"] for each in queues["jobQueues"][0]["computeEnvironmentOrder"]]
        found = asked(
            "look at its compute environments",
            lambda: batch.describe_compute_environments(computeEnvironments=names),
        )["computeEnvironments"]
        usable = [each for each in found if each.get("state") == "ENABLED"]
        most = sum(int((each.get("computeResources") or {}).get("maxvCpus", 0)) for each in usable)
        used = self._used(batch, options)
        gpus, gpus_free, note = _gpus(options.instance_type, most, used)
        return Capacity(gpus, gpus_free, most, max(0, most - used["VCPU"]), note)

    def rehearse(self, launch: Launch) -> str:
        """The call, with all that it would send."""
        options = self._options(launch.region)
        body = self.queues.request(launch, options, None)
        told = self.queues.told(launch, options)
        where = f"in {options.region}" + (f" at {options.endpoint_url}" if options.endpoint_url else "")
        return (
            f"batch.submit_job {where}\n{json.dumps(body, indent=2)}\norder\n{json.dumps(told, indent=2)}\n"
        )

    def _storage(self, launch: Launch) -> str:
        return storage.of(launch, self._options(launch.region))

    def _used(self, batch: Any, options: AwsBatchOptions) -> dict[str, int]:
        """What the jobs that have a place now have of it."""
        used = {"VCPU": 0, "GPU": 0}
        for status in _RUNS:
            listed = asked(
                "look at its jobs",
                partial(batch.list_jobs, jobQueue=options.job_queue, jobStatus=status),
            )
            ids = [each["jobId"] for each in listed["jobSummaryList"]][:100]
            jobs = asked("look at the jobs", partial(batch.describe_jobs, jobs=ids))["jobs"] if ids else []
            for job in jobs:
                container = job.get("container") or {}
                needs = {
                    each["type"]: int(each["value"]) for each in container.get("resourceRequirements", [])
                }
                used["VCPU"] += needs.get("VCPU", int(container.get("vcpus") or 1))
                used["GPU"] += needs.get("GPU", 0)
        return used

    def _options(self, region: str) -> AwsBatchOptions:
        try:
            return self.options[region]
        except KeyError:
            raise BackendError(f"there is no region {region!r} in AWS Batch") from None


class AwsBatchEngine:
    """Runs jobs in AWS Batch."""

    Options = AwsBatchOptions
    experimental: ClassVar[bool] = True

    @staticmethod
    def made(regions: Mapping[str, BaseModel], _setting: Setting) -> BatchBackend:
        """One backend for all regions; needs boto3.

        Raises:
            BackendError: boto3 is not installed.
        """
        try:
            import boto3  # noqa: F401 - only whether it is there
        except ImportError:
            raise BackendError("boto3 is not installed: pip install 'tidewatt[aws]'") from None
        return BatchBackend(
            {name: each for name, each in regions.items() if isinstance(each, AwsBatchOptions)}
        )


def _gpus(kind: str, most_vcpus: int, used: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int], str]:
    found = instances.instance(kind)
    if found is None or not found.gpus:
        note = "" if found else "GPUs cannot be told: give the region's instance_type"
        return {}, {}, note
    count = most_vcpus // found.vcpus * found.gpus
    note = f"GPUs as many as {kind} instances fit into the queue's vCPUs; others may use the same instances"
    return {found.gpu: count}, {found.gpu: max(0, count - used["GPU"])}, note
