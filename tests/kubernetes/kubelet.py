"""The nodes of a cluster: their pods are processes of this machine, with logs, signals and grace."""

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.kubernetes.objects import Form, Key, Store, stamp

_VARIABLE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass
class Container:
    """A process that stands for a pod's container, and the lines that it has written with their stamps."""

    process: subprocess.Popen[bytes]
    started: datetime
    reader: threading.Thread
    lines: list[tuple[str, bytes]] = field(default_factory=list)
    signalled_s: float | None = None
    ended: bool = False


@dataclass
class Kubelet:
    """Starts, ends and reports pods whenever `turn` is called."""

    store: Store
    folder: Path
    containers: dict[str, Container] = field(default_factory=dict)  # by the pod's uid
    logs: dict[str, Container] = field(default_factory=dict)  # of pods that are kept, likewise
    lost: set[str] = field(default_factory=set)  # nodes that do not answer

    def turn(self) -> None:
        """One look at all pods."""
        for pod in self.store.of("pods"):
            key = Key("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            self._pod(key, pod)
        known = {pod["metadata"]["uid"] for pod in self.store.of("pods")}
        for uid in set(self.logs) - known:
            self.logs.pop(uid)
        for uid in set(self.containers) - known:  # removed by force
            self._kill(self.containers.pop(uid))

    def close(self) -> None:
        """Ends every process that was started here."""
        for container in self.containers.values():
            self._kill(container)
        self.containers.clear()

    def _pod(self, key: Key, pod: Form) -> None:
        uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName")
        if node in self.lost:
            return
        deleted = "deletionTimestamp" in pod["metadata"]
        if uid in self.containers:
            self._running(key, pod, self.containers[uid], deleted)
        elif deleted and not pod["metadata"].get("finalizers"):
            self.store.remove(key)
        elif deleted or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return
        elif node is None:
            self._schedule(key, pod)
        else:
            self._start(key, pod)

    def _schedule(self, key: Key, pod: Form) -> None:
        selector = pod["spec"].get("nodeSelector") or {}
        wants = _requests(pod)
        for node in self.store.of("nodes"):
            labels = node["metadata"].get("labels") or {}
            if node.get("spec", {}).get("unschedulable") or any(
                labels.get(k) != v for k, v in selector.items()
            ):
                continue
            name = node["metadata"]["name"]
            used = [_requests(each) for each in self.store.of("pods") if _on(each, name)]
            if all(
                sum(each.get(what, 0) for each in used) + amount
                <= float(node["status"]["allocatable"].get(what, 0))
                for what, amount in wants.items()
                if what != "memory"
            ):
                with self.store.changed:
                    pod["spec"]["nodeName"] = name
                    self.store.update(
                        key,
                        phase="Pending",
                        startTime=stamp(),
                        conditions=[{"type": "PodScheduled", "status": "True"}],
                    )
                return
        count = len(self.store.of("nodes"))
        said = {"reason": "Unschedulable", "message": f"0/{count} nodes are available: insufficient room."}
        self.store.update(
            key, phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", **said}]
        )

    def _start(self, key: Key, pod: Form) -> None:
        container = pod["spec"]["containers"][0]
        if container["image"].startswith("missing"):
            waits = {
                "reason": "ImagePullBackOff",
                "message": f'Back-off pulling image "{container["image"]}"',
            }
            self._report(key, pod, {"waiting": waits}, "Pending")
            return
        values = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        for source in container.get("envFrom") or ():
            secret = self.store.forms.get(Key("secrets", key.namespace, source["secretRef"]["name"]))
            if secret is None:
                waits = {"reason": "CreateContainerConfigError", "message": "secret not found"}
                self._report(key, pod, {"waiting": waits}, "Pending")
                return
            values |= {name: base64.b64decode(each).decode() for name, each in secret["data"].items()}
        for each in container.get("env") or ():
            values[each["name"]] = _expanded(each["value"], values)
        argv = [_expanded(word, values) for word in container["command"]]
        place = Path(container.get("workingDir") or self.folder)
        try:
            process = subprocess.Popen(
                argv, cwd=place if place.is_dir() else self.folder, env=values, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            said: Form = {"exitCode": 128, "reason": "StartError", "message": str(error)}
            self._report(
                key, pod, {"terminated": said | {"startedAt": stamp(), "finishedAt": stamp()}}, "Failed"
            )
            return
        made = Container(process, datetime.now(UTC), threading.Thread(daemon=True))
        made.reader = threading.Thread(target=_read, args=(made,), daemon=True)
        made.reader.start()
        uid = pod["metadata"]["uid"]
        self.containers[uid] = self.logs[uid] = made
        self._report(key, pod, {"running": {"startedAt": stamp(made.started)}}, "Running")

    def _running(self, key: Key, pod: Form, container: Container, deleted: bool) -> None:
        limit_s = pod["spec"].get("activeDeadlineSeconds")
        since_s = (datetime.now(UTC) - container.started).total_seconds()
        late = limit_s is not None and since_s > limit_s
        if container.process.poll() is None:
            if deleted or late:
                self._end(container, pod["spec"].get("terminationGracePeriodSeconds", 30))
            return
        container.reader.join(0.1)
        if container.reader.is_alive():  # what it started keeps its output open: it ends with its container
            self._kill(container)
            container.reader.join(5)
        container.ended = True
        code = container.process.returncode
        code = 128 - code if code < 0 else code
        times = {"startedAt": stamp(container.started), "finishedAt": stamp()}
        why = "Completed" if code == 0 else "Error"
        more = {"reason": "DeadlineExceeded"} if late else {}
        phase = "Failed" if late or code else "Succeeded"
        self._report(key, pod, {"terminated": {"exitCode": code, "reason": why, **times}}, phase, **more)
        del self.containers[pod["metadata"]["uid"]]

    def _report(self, key: Key, pod: Form, state: Form, phase: str, **more: Any) -> None:
        name = pod["spec"]["containers"][0]["name"]
        running = "running" in state
        each = {"name": name, "image": pod["spec"]["containers"][0]["image"], "imageID": "", "ready": running}
        status = each | {"restartCount": 0, "state": state}
        self.store.update(key, phase=phase, containerStatuses=[status], **more)

    def _end(self, container: Container, grace_s: float) -> None:
        """The first process gets SIGTERM; what is left after the grace period is killed."""
        if container.signalled_s is None:
            container.signalled_s = time.monotonic()
            container.process.send_signal(signal.SIGTERM)
        elif time.monotonic() - container.signalled_s > grace_s:
            self._kill(container)

    @staticmethod
    def _kill(container: Container) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(container.process.pid, signal.SIGKILL)
        container.process.wait()


def _read(container: Container) -> None:
    assert container.process.stdout is not None
    for line in container.process.stdout:
        at = datetime.now(UTC)
        container.lines.append((f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}000Z", line))
    container.process.stdout.close()


def _expanded(word: str, values: dict[str, str]) -> str:
    """$(NAME) is replaced where NAME is known, $$ stands for $."""
    return _VARIABLE.sub(lambda found: "$" if found[0] == "$$" else values.get(found[1], found[0]), word)


def _requests(pod: Form) -> dict[str, float]:
    asked = (pod["spec"]["containers"][0].get("resources") or {}).get("requests") or {}
    return {name: 0.0 if name == "memory" else float(amount) for name, amount in asked.items()}


def _on(pod: Form, node: str) -> bool:
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return pod["spec"].get("nodeName") == node and not ended


def folder() -> Path:
    """A folder for containers without a place of their own; `discard` it."""
    return Path(tempfile.mkdtemp(prefix="tw-node-"))


def discard(place: Path) -> None:
    """Removes it."""
    shutil.rmtree(place, ignore_errors=True)
