"""Hands attempts to SkyPilot: a cluster under the attempt's token, with one job, ended after it.

Written against the client of SkyPilot 0.14 (`sky.launch`, `status`, `queue`, `tail_logs`, `down`, each of
which gives a request that `sky.get` waits for, and `api_status`, which tells what became of a request), and
tested against a record of it only.
"""

import io
import json
import re
import shlex
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tidewatt.backends import environment
from tidewatt.backends.backend import BackendError, Launch, Phase, StopReason
from tidewatt.backends.desk import Fate, NotTakenError, Seen
from tidewatt.backends.orders import inline, order
from tidewatt.backends.reference import Reference
from tidewatt.backends.skypilot.options import SkyPilotOptions

OUTPUT = "output.log"
_OVER = ("SUCCEEDED", "FAILED", "CANCELLED")  # of requests
_ENDED = ("SUCCEEDED", "FAILED", "FAILED_SETUP", "FAILED_DRIVER", "CANCELLED")
_EXIT = re.compile(rb"tidewatt: exit (-?\d+)\s*$", re.MULTILINE)


@dataclass(slots=True)
class SkyDesk:
    """SkyPilot's client. `options` are by region; `sky` is its module."""

    options: Mapping[str, SkyPilotOptions]
    sky: Any

    def send(self, launch: Launch, place: Mapping[str, Any]) -> str:
        """Launches a cluster of the attempt's name, where none of that name is there.

        A second launch on a cluster would run the job a second time: so one is never sent where a cluster is.
        """
        try:
            if self._clusters(place, [launch.token]):
                return launch.token
            task = self._task(self.described(launch, self.options[launch.region]))
        except BackendError as error:
            raise NotTakenError(str(error), transient=error.transient) from error
        idle = self.options[launch.region].idle_minutes
        ends = {"idle_minutes_to_autostop": idle, "down": True, "retry_until_up": False}
        request = self._asked(
            "launch the job", place,
            lambda: self.sky.launch(task, cluster_name=launch.token, **ends),
        )  # fmt: skip
        return str(request)

    def look(self, place: Mapping[str, Any], wanted: Mapping[str, str]) -> Mapping[str, Seen]:
        """All clusters in one call, then the one job of each that is up."""
        found = {}
        for cluster in self._clusters(place, list(wanted)):
            name, state = str(cluster["name"]), _word(cluster["status"])
            request = wanted[name] or name
            if state == "UP":
                jobs = self._got("look at the job", place, partial(self.sky.queue, name))
                found[name] = replace(self._seen(place, name, jobs[-1] if jobs else None), id=request)
            elif state == "STOPPED":
                reason = "its cluster was stopped"
                found[name] = Seen(request, Phase.ENDED, reason=reason, preempted=bool(place.get("spot")))
            else:
                found[name] = Seen(request, Phase.LAUNCHING, reason="pending: its cluster comes up")
        return found

    def end(self, found: Reference, _launch: Launch, _reason: StopReason) -> None:
        """Ends the cluster, and the job with it: nothing of it can run on."""
        self._end(found)

    def withdraw(self, found: Reference) -> Fate:
        """By the request that launched it: once that has failed, and no cluster is there, none comes up.

        A request without an answer may still be on its way to SkyPilot, or wait there: that stays open.
        """
        if not found.id:
            return Fate.OPEN
        told = self._asked(
            "tell what became of the launch", found.place,
            lambda: self.sky.api_status(request_ids=[found.id], all_status=True),
        )  # fmt: skip
        states = [_word(each.status) for each in told or [] if str(each.request_id) == found.id]
        if not states or states[0] not in _OVER or self._clusters(found.place, [found.token]):
            return Fate.OPEN
        return Fate.STARTED if states[0] == "SUCCEEDED" else Fate.NEVER

    def finish(self, folder: Path, found: Reference) -> None:
        """Keeps the output, then ends the cluster, which costs money as long as it is there."""
        if not (folder / OUTPUT).exists():
            (folder / OUTPUT).write_bytes(self._tail(found.place, found.token, 0))
        self._end(found)

    def output(self, found: Reference, launch: Launch, offset: int, limit: int) -> bytes:
        """Of an ended job as it was kept, else as SkyPilot has it."""
        kept = launch.folder / OUTPUT
        text = kept.read_bytes() if kept.exists() else self._tail(found.place, found.token, 0)
        return text[offset : offset + limit]

    def described(self, launch: Launch, options: SkyPilotOptions) -> dict[str, Any]:
        """The task, in the words of SkyPilot's task files."""
        kept = {} if launch.environment_file is None else environment.read(launch.environment_file)
        sent = {name: kept[name] for name in options.environment if name in kept}
        told = order(launch, False, sent=sent) | {"tells": True}
        resources: dict[str, Any] = {
            "infra": options.infra,
            "use_spot": options.spot,
            "cpus": f"{launch.cpus}+",
        }
        if launch.mem_mb:
            resources["memory"] = f"{-(-launch.mem_mb // 1024)}+"
        if launch.gpus:
            kind = options.kinds.get(launch.gpu_kind, launch.gpu_kind)
            resources["accelerators"] = {kind: launch.gpus}
        if options.instance_type:
            resources |= {"instance_type": options.instance_type}
        return {
            "name": launch.token,
            "resources": resources,
            **({"workdir": str(launch.snapshot or launch.cwd)} if options.workdir else {}),
            **({"setup": options.setup} if options.setup else {}),
            "run": shlex.join([options.python, "-c", inline(), json.dumps(told)]),
        }

    def _task(self, described: Mapping[str, Any]) -> Any:
        content = dict(described)
        resources = content.pop("resources")
        task = self.sky.Task(**content)
        task.set_resources(self.sky.Resources(**resources))
        return task

    def _clusters(self, place: Mapping[str, Any], names: list[str]) -> list[Mapping[str, Any]]:
        found = self._got("look for the cluster", place, lambda: self.sky.status(cluster_names=names))
        return [each for each in found or [] if each["name"] in names]

    def _seen(self, place: Mapping[str, Any], name: str, job: Mapping[str, Any] | None) -> Seen:
        if job is None:
            return Seen(name, Phase.LAUNCHING, reason="pending: its cluster is up, its job not yet there")
        status = _word(job["status"])
        if status == "RUNNING":
            return Seen(name, Phase.RUNNING, started_ms=_ms(job.get("start_at")))
        if status not in _ENDED:
            return Seen(name, Phase.LAUNCHING, reason=f"pending: {status.lower()}")
        code = 0 if status == "SUCCEEDED" else self._code(place, name) if status == "FAILED" else None
        reason = "" if code is not None else f"SkyPilot says {status.lower()}, and no exit code"
        return Seen(
            name, Phase.ENDED, started_ms=_ms(job.get("start_at")), ended_ms=_ms(job.get("end_at")),
            exit_code=code if code is None or code >= 0 else None,
            signal=-code if code is not None and code < 0 else None, reason=reason,
        )  # fmt: skip

    def _code(self, place: Mapping[str, Any], name: str) -> int | None:
        """SkyPilot tells no exit codes: the escort writes it as the job's last line."""
        found = _EXIT.findall(self._tail(place, name, 20))
        return int(found[-1]) if found else None

    def _tail(self, place: Mapping[str, Any], name: str, lines: int) -> bytes:
        out = io.StringIO()
        self._asked(
            "read the job's output", place,
            lambda: self.sky.tail_logs(name, None, follow=False, tail=lines, output_stream=out),
        )  # fmt: skip
        return out.getvalue().encode()

    def _end(self, found: Reference) -> None:
        if self._clusters(found.place, [found.token]):
            self._got("end the cluster", found.place, lambda: self.sky.down(found.token))

    def _got(self, what: str, place: Mapping[str, Any], call: Callable[[], Any]) -> Any:
        """What a request comes to."""
        return self._asked(what, place, lambda: self.sky.get(call()))

    def _asked(self, what: str, place: Mapping[str, Any], call: Callable[[], Any]) -> Any:
        """What a call answers, within the time that it has: SkyPilot's own waits have no end.

        Raises:
            BackendError: It failed, or took too long; whether it has happened is open.
        """
        answer: list[Any] = []
        fault: list[Exception] = []

        def run() -> None:
            try:
                answer.append(call())
            except Exception as error:  # an exception of any of its clouds' clients
                fault.append(error)

        worker = threading.Thread(target=run, daemon=True)
        worker.start()
        worker.join(float(place.get("timeout_s", 60.0)))
        if fault:
            raise BackendError(f"SkyPilot could not {what}: {fault[0]}", transient=True) from fault[0]
        if not answer:
            raise BackendError(f"SkyPilot did not {what} in time", transient=True)
        return answer[0]


def _word(status: Any) -> str:
    """An enum's name, however it is given."""
    return str(getattr(status, "value", status)).rpartition(".")[2]


def _ms(moment_s: Any) -> int | None:
    with suppress(TypeError, ValueError):
        return round(float(moment_s) * 1000) or None
    return None
