"""Kubernetes, as the stories of all backends play on it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.backends.stage import PATIENCE_S, RealJobs
from tests.kubernetes.objects import Key
from tests.kubernetes.server import Fault, StandIn
from tidewatt.backends import durable
from tidewatt.backends.clock import Clock
from tidewatt.backends.engines import Setting
from tidewatt.backends.kubernetes.backend import KubernetesBackend
from tidewatt.backends.kubernetes.clusters import Clusters
from tidewatt.backends.kubernetes.options import KubernetesOptions

MARK = "tw-0000feed"
JOBS = "/jobs"


@dataclass
class KubernetesTroupe(RealJobs):
    """A stand-in cluster, whose pods are processes of this machine."""

    cluster: StandIn
    root: Path
    region: str = "eu"
    patience_s: float = PATIENCE_S
    lacks: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kubeconfig = self.cluster.kubeconfig(self.root / "kubeconfig")
        self.backend = self._made()

    def _made(self) -> KubernetesBackend:
        options = KubernetesOptions.model_validate(
            {"image": "python:3.11", "kubeconfig": self.kubeconfig, "working_dir": str(self.root)}
            | dict(self.options)
        )
        setting = Setting(self.root, Clock(), MARK)
        return KubernetesBackend({self.region: options}, setting, Clusters(read_s=5), give_up_s=1.0)

    def ready(self, attempt_id: str, _output: Path) -> bool:
        folder = self.root / "jobs" / attempt_id.replace(".", "/")
        return b"ready" in self.backend.logs(folder)

    def pass_time(self) -> None:
        time.sleep(0.03)

    def mute(self) -> None:
        self.cluster.faults.append(Fault("POST", JOBS, mute=True))

    def lose(self) -> None:
        self.cluster.faults.append(Fault("POST", JOBS, times=10**6, lose=True))

    def hide(self) -> None:
        self.cluster.hide(0.5)

    def vanish(self, folder: Path) -> None:
        name = str((durable.read(folder / "engine.json") or {})["name"])
        self.cluster.store.remove(Key("jobs", "default", name))
        for pod in self.cluster.store.of("pods"):
            self.cluster.store.remove(Key("pods", "default", pod["metadata"]["name"]))

    def reuse(self, folder: Path) -> None:
        name = str((durable.read(folder / "engine.json") or {})["name"])
        self.vanish(folder)
        container = {"name": "theirs", "image": "theirs", "command": ["sleep", "60"]}
        pod = {"restartPolicy": "Never", "containers": [container]}
        form = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}}}
        metadata = {"name": name, "namespace": "default", "labels": {"team": "theirs"}}
        self.cluster.store.create(Key("jobs", "default", name), form | {"metadata": metadata})

    def restart(self) -> None:
        self.cluster.deafen()
        self.cluster.listen()
        self.backend = self._made()

    def down(self, *, yes: bool) -> None:
        self.cluster.down = yes
