"""Hands attempts to Ray clusters and asks after them."""

import json
import math
import shlex
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidewatt.backends import durable, environment, resumption
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import BackendError, Launch, Phase, StopReason
from tidewatt.backends.desk import Fate, NotTakenError, Seen
from tidewatt.backends.orders import inline, order, source
from tidewatt.backends.ray.client import Client, plain
from tidewatt.backends.ray.options import RayOptions
from tidewatt.backends.ray.package import package
from tidewatt.backends.reference import Reference

ORDER = "order.json"
WITHDRAWN = "tidewatt-withdrawn"  # in the metadata of a job that only takes an id
_PART = 0.0001  # of a region's resource, which only says where: Ray's smallest
_LAG_S = 12.0  # cluster_status is this old at most: the monitor writes it every 5 s
_PHASES = {"PENDING": Phase.LAUNCHING, "RUNNING": Phase.RUNNING}
_NODE_LOST = "JOB_SUPERVISOR_ACTOR_DIED"


@dataclass(slots=True)
class RayDesk:
    """The clusters of all regions. `options` are by region."""

    options: Mapping[str, RayOptions]
    _sent: list[tuple[float, str, int, int]] = field(default_factory=list)  # not in the usage yet
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def send(self, launch: Launch, place: Mapping[str, Any]) -> str:
        """Submits the attempt under its token, unless it would have to wait in Ray's own queue."""
        client, options = Client(place), self.options[launch.region]
        try:
            if client.job(launch.token) is not None:
                return launch.token
            self._room(client, launch, options)
            body = self.body(launch, options, client)
        except BackendError as error:
            raise NotTakenError(str(error), transient=error.transient) from error
        with self._guard:
            self._sent.append((time.monotonic(), launch.region, launch.cpus, launch.gpus))
        return client.submit(body)

    def look(self, place: Mapping[str, Any], wanted: Mapping[str, str]) -> Mapping[str, Seen]:
        """All jobs of the cluster in one call; a token is the id there."""
        found = Client(place).jobs()
        return {job["submission_id"]: _seen(job) for job in found if job.get("submission_id") in wanted}

    def end(self, found: Reference, launch: Launch, reason: StopReason) -> None:
        """Asks Ray to stop it; beside a shared folder the escort does it, and Ray only if that fails."""
        asked = launch.folder / "stop.json"
        if found.shared and asked.exists() and (launch.folder / "alive").exists():
            pausing = reason is StopReason.PAUSED and launch.pausing
            grace_s = pausing.grace_s if pausing else launch.grace_s
            if time.time() < asked.stat().st_mtime + grace_s + 10:
                return
        Client(found.place).stop(found.token)

    def withdraw(self, found: Reference) -> Fate:
        """A shared folder has the claim itself; else a job that does nothing takes the id.

        Ray has an id once. Open until a job is seen under it: that one, or the real one where it came first.
        A cluster that had it and has forgotten it does not tell whether it has started.
        """
        if found.shared:
            return Fate.NEVER
        if found.id:
            return Fate.STARTED
        body = {"submission_id": found.token, "entrypoint": "true", "metadata": {WITHDRAWN: "yes"}}
        Client(found.place).submit(body)
        return Fate.OPEN

    def finish(self, _folder: Path, _found: Reference) -> None:
        """A shared folder has everything already."""

    def output(self, found: Reference, _launch: Launch, offset: int, limit: int) -> bytes:
        """Ray keeps what the job wrote; the line with its command is left out."""
        text = Client(found.place).logs(found.token)
        lines = [line for line in text.splitlines(True) if not line.startswith("Running entrypoint for job")]
        return "".join(lines).encode()[offset : offset + limit]

    def body(self, launch: Launch, options: RayOptions, client: Client | None) -> dict[str, Any]:
        """The request that submits it; without a client nothing is uploaded or written."""
        if (
            options.shared and client is not None
        ):  # the checkpoint that it goes on from is brought to its place
            going_on = resumption.prepare(launch)
            if going_on.warnings:
                Attempt(launch.folder).warn(going_on.warnings)
            launch = going_on.applied(launch)
        told = self.told(launch, options, client is not None)
        grace_s = max(launch.grace_s, 0 if launch.pausing is None else launch.pausing.grace_s)
        runtime = dict(options.runtime_env)
        values = dict(runtime.get("env_vars") or {}) | {
            "RAY_JOB_STOP_WAIT_TIME_S": str(math.ceil(grace_s) + 2)
        }
        runtime["env_vars"] = values
        if not options.shared and "working_dir" not in runtime:
            runtime["working_dir"] = package(launch, client)
        resources = {options.resource: _PART} if options.resource else {}
        if launch.gpus and launch.gpu_kind in options.kinds:
            resources[options.kinds[launch.gpu_kind]] = _PART
        return {
            "submission_id": launch.token,
            "entrypoint": self._entrypoint(launch, options, told, client is not None),
            "entrypoint_num_cpus": launch.cpus,
            "entrypoint_num_gpus": launch.gpus,
            **({"entrypoint_memory": launch.mem_mb * 2**20} if launch.mem_mb else {}),
            "entrypoint_resources": resources,
            "runtime_env": runtime,
            "metadata": {"tidewatt": launch.token, "name": launch.name or launch.attempt_id},
        }

    def told(self, launch: Launch, options: RayOptions, warn: bool = False) -> dict[str, Any]:
        """What the escort is told."""
        shared = options.shared
        meter = [options.meter, "-P", "-m", "tidewatt.backends.ray.meter"] if options.meter and shared else []
        sent = {} if shared else self._sendable(launch, options, warn)
        return order(launch, shared, told_all=True, meter=meter, sent=sent)

    def nodes(self, region: str, client: Client) -> list[dict[str, tuple[float, float]]]:
        """Used and total of each resource of each of the region's nodes.

        Raises:
            BackendError: Ray's monitor has not told yet.
        """
        usage = client.usage()
        if not usage:
            raise BackendError("Ray's monitor does not tell yet what is free", transient=True)
        resource = plain(self.options[region].resource)
        return [node for node in usage.values() if not resource or resource in node]

    def _room(self, client: Client, launch: Launch, options: RayOptions) -> None:
        """Raises where no node of the region has room now: Ray must never queue it."""
        with self._guard:
            self._sent = [each for each in self._sent if time.monotonic() - each[0] < _LAG_S]
            recent = [each for each in self._sent if each[1] == launch.region]
        cpus = launch.cpus + sum(each[2] for each in recent)
        gpus = launch.gpus + sum(each[3] for each in recent)
        nodes = self.nodes(launch.region, client)
        kind = plain(options.kinds.get(launch.gpu_kind, "")) if launch.gpus else ""
        fits = [
            node for node in nodes
            if _free(node, "cpu") >= cpus and _free(node, "gpu") >= gpus and (not kind or kind in node)
        ]  # fmt: skip
        if not fits:
            wish = f"{launch.cpus} cores" + (f" and {launch.gpus} GPUs" if launch.gpus else "")
            raise BackendError(
                f"not free: no node of {launch.region} has {wish} now; Ray is not asked to queue it",
                transient=True,
            )

    def _entrypoint(self, launch: Launch, options: RayOptions, told: dict[str, Any], write: bool) -> str:
        """A line for Ray's shell: `exec`, so that no shell stands between Ray and the escort."""
        if not options.shared:
            return "exec " + shlex.join([options.python, "-c", inline(), json.dumps(told)])
        path, script = launch.folder / ORDER, launch.folder / "escort.py"
        if write:
            durable.replace(path, told)
            script.write_bytes(source().read_bytes())
        return "exec " + shlex.join([options.python, str(script), str(path)])

    def _sendable(self, launch: Launch, options: RayOptions, warn: bool) -> dict[str, str]:
        """What of the job's environment may be seen in the dashboard; that the rest stays here is told."""
        if launch.environment_file is None:
            return {}
        kept = environment.read(launch.environment_file)
        left = sorted(set(kept) - set(options.environment) - set(environment.BASE))
        if left and warn:
            some = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
            warning = (
                f"{len(left)} environment variables ({some}) were not sent to Ray, where everybody who sees"
                " the dashboard can read them: share the jobs' folders with the cluster, or name what may be"
                " seen in the region's `environment`"
            )
            Attempt(launch.folder).warn((warning,))
        return {name: kept[name] for name in options.environment if name in kept}


def _free(node: Mapping[str, tuple[float, float]], resource: str) -> float:
    used, total = node.get(resource, (0.0, 0.0))
    return total - used


def _seen(job: Mapping[str, Any]) -> Seen:
    """A job as Ray lists it. Its `start_time` is that of its submission, so it is not taken for the start."""
    status, name, message = str(job["status"]), str(job["submission_id"]), str(job.get("message") or "")
    if WITHDRAWN in (job.get("metadata") or {}):
        return Seen(name, Phase.ENDED, reason="Ray did not take it in time, and its id is taken now")
    if status in _PHASES:
        reason = f"pending: {message}" if status == "PENDING" else ""
        return Seen(name, _PHASES[status], reason=reason)
    code = job.get("driver_exit_code")
    began = job.get("start_time") if code is not None or status in ("SUCCEEDED", "STOPPED") else None
    lost = job.get("error_type") == _NODE_LOST
    return Seen(
        name,
        Phase.ENDED,
        started_ms=job.get("start_time") if lost else began,
        ended_ms=job.get("end_time"),
        exit_code=0 if status == "SUCCEEDED" else code if code is not None and code >= 0 else None,
        signal=-code
        if code is not None and code < 0
        else 15
        if status == "STOPPED" and code is None
        else None,
        reason="" if status == "SUCCEEDED" or code is not None else _first(message) or status.lower(),
        preempted=lost,
    )


def _first(message: str) -> str:
    """The first line of what Ray says, without its traceback."""
    with suppress(IndexError):
        return message.strip().splitlines()[0][:300]
    return ""
