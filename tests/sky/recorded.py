"""The client of SkyPilot 0.14 as far as we call it, with the signatures it has; its clouds are this host.

Each call gives a request, and only `get` what it comes to. A launch takes a moment to show its cluster; a job
is one process of this host below `folder`. `tail_logs` answers at once where it does not follow.
"""

import io
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any


class ClusterStatus(Enum):
    INIT = "INIT"
    UP = "UP"
    STOPPED = "STOPPED"


class JobStatus(Enum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ClusterDoesNotExist(ValueError):  # noqa: N818 - its name there
    pass


@dataclass
class Resources:
    infra: str | None = None
    use_spot: bool | None = None
    cpus: str | None = None
    memory: str | None = None
    accelerators: dict[str, int] | None = None
    instance_type: str | None = None


@dataclass
class RequestPayload:
    request_id: str
    name: str
    status: str


@dataclass
class Task:
    name: str | None = None
    setup: str | None = None
    run: str | None = None
    envs: dict[str, str] | None = None
    workdir: str | None = None
    resources: Resources | None = None

    def set_resources(self, resources: Resources) -> None:
        self.resources = resources


_TASK, _RESOURCES = Task, Resources


@dataclass
class Cluster:
    task: Task
    process: subprocess.Popen[bytes]
    log: Path
    start_at: float
    end_at: float | None = None
    status: ClusterStatus = ClusterStatus.UP
    launches: int = 1

    def job(self) -> dict[str, Any]:
        code = self.process.poll()
        if code is not None and self.end_at is None:
            self.end_at = time.time()
        status = JobStatus.RUNNING if code is None else JobStatus.FAILED if code else JobStatus.SUCCEEDED
        return {"job_id": 1, "start_at": self.start_at, "end_at": self.end_at, "status": status}


@dataclass
class Sky:
    """In the place of the module."""

    folder: Path
    mutes: bool = False
    loses: bool = False
    down_now: bool = False
    calls: list[str] = field(default_factory=list)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)  # of requests, by their ids
    launching: dict[str, str] = field(default_factory=dict)  # states of launches, by their requests' ids
    refuses: str = ""  # how the next launch ends, without a cluster

    @property
    def Task(self) -> type["Task"]:  # noqa: N802 - its name there
        return _TASK

    @property
    def Resources(self) -> type["Resources"]:  # noqa: N802
        return _RESOURCES

    def launch(
        self,
        task: Any,
        cluster_name: str | None = None,
        retry_until_up: bool = False,
        idle_minutes_to_autostop: int | None = None,
        dryrun: bool = False,
        down: bool = False,
        backend: Any = None,
        no_setup: bool = False,
        fast: bool = False,
    ) -> Any:
        assert cluster_name is not None
        assert task.run is not None
        if self.loses:
            self.loses = False
            raise ConnectionError("no answer")
        if self.refuses:
            request = self._request("launch", None)
            self.launching[request], self.refuses = self.refuses, ""
            return request
        if cluster_name in self.clusters:
            self.clusters[cluster_name].launches += 1  # there it would run a second time
        else:
            log = self.folder / f"{cluster_name}.log"
            with open(log, "wb") as out:
                process = subprocess.Popen(
                    ["bash", "-c", f"exec {task.run}"], cwd=task.workdir or self.folder,
                    stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            self.clusters[cluster_name] = Cluster(task, process, log, time.time())
        if self.mutes:
            self.mutes = False
            raise ConnectionError("no answer")
        request = self._request("launch", None)
        self.launching[request] = "SUCCEEDED"
        return request

    def api_status(
        self,
        request_ids: list[str] | None = None,
        all_status: bool = False,
        limit: int | None = None,
        fields: list[str] | None = None,
        cluster_name: str | None = None,
    ) -> list[RequestPayload]:
        if self.down_now:
            raise ConnectionError("the API server does not answer")
        found = [each for each in request_ids or self.launching if each in self.launching]
        return [RequestPayload(each, "sky.launch", self.launching[each]) for each in found]

    def status(
        self, cluster_names: list[str] | None = None, refresh: Any = None, all_users: bool = False
    ) -> Any:
        found = [name for name in self.clusters if cluster_names is None or name in cluster_names]
        return self._request(
            "status", [{"name": name, "status": self.clusters[name].status} for name in found]
        )

    def queue(self, cluster_name: str, skip_finished: bool = False, all_users: bool = False) -> Any:
        return self._request("queue", [self._cluster(cluster_name).job()])

    def tail_logs(
        self,
        cluster_name: str,
        job_id: int | None,
        follow: bool,
        tail: int = 0,
        output_stream: io.TextIOBase | None = None,
    ) -> int:
        assert not follow
        assert output_stream is not None
        lines = self._cluster(cluster_name).log.read_text(errors="replace").splitlines(True)
        output_stream.write("".join(lines[-tail:] if tail else lines))
        return 0

    def down(self, cluster_name: str, purge: bool = False) -> Any:
        self._cluster(cluster_name)
        self._kill(cluster_name)
        return self._request("down", None)

    def get(self, request_id: Any) -> Any:
        if self.down_now:
            raise ConnectionError("the API server does not answer")
        return self.answers[request_id]

    def close(self) -> None:
        for name in tuple(self.clusters):
            self._kill(name)

    def vanish(self, name: str) -> None:
        self._kill(name)

    def _kill(self, name: str) -> None:
        cluster = self.clusters.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(cluster.process.pid, signal.SIGKILL)
        cluster.process.wait()

    def _cluster(self, name: str) -> Cluster:
        if name not in self.clusters:
            raise ClusterDoesNotExist(f"Cluster {name} does not exist.")
        return self.clusters[name]

    def _request(self, name: str, answer: Any) -> Any:
        self.calls.append(name)
        request = f"{name}-{len(self.answers)}"
        self.answers[request] = answer
        return request
