"""A strict stand-in for a Kubernetes cluster: its API over HTTP, its Job controller and its nodes.

Run as a module it serves until it is ended: python -m tests.kubernetes.server --release 1.33 --port 8001
"""

import argparse
import errno
import json
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.kubernetes import kubelet
from tests.kubernetes.authority import Authority
from tests.kubernetes.calls import DAEMON, TURN_S, Handler
from tests.kubernetes.controller import Controller, Queue
from tests.kubernetes.kubelet import Kubelet
from tests.kubernetes.objects import Key, Store, stamp
from tests.kubernetes.rights import Rights


@dataclass
class Fault:
    """What goes wrong with the next requests that fit: it is used up `times` times.

    `mute`: carried out, and then the line breaks. `lose`: the line breaks before. `code`: refused so.
    """

    method: str = ""
    path: str = ""
    times: int = 1
    mute: bool = False
    lose: bool = False
    code: int = 0

    def takes(self, method: str, path: str) -> bool:
        """Whether it happens to this request."""
        if self.times and self.method in ("", method) and self.path in path:
            self.times -= 1
            return True
        return False


@dataclass
class StandIn:
    """One cluster. `rights` bind the daemon's token; without any it may do everything."""

    release: str = "1.33"
    cpus: int = 8
    gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    rights: Rights | None = None
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    authority: Authority | None = None  # with one it speaks TLS, and asks for a certificate
    hidden_until_s: float = 0.0
    hidden_names: set[str] = field(default_factory=set)
    down: bool = False
    port: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.release)
        self.folder = kubelet.folder()
        self.kubelet = Kubelet(self.store, self.folder)
        self.controller = Controller(self.store)
        self.queue = Queue(self.store)
        self._ends = threading.Event()
        ready = {
            "type": "Ready",
            "status": "True",
            "lastHeartbeatTime": stamp(),
            "lastTransitionTime": stamp(),
        }
        has = {"cpu": str(self.cpus), "memory": "16Gi"} | (
            {"nvidia.com/gpu": str(self.gpus)} if self.gpus else {}
        )
        status = {"allocatable": has, "capacity": has, "conditions": [ready]}
        metadata = {"name": "node-1", "labels": dict(self.labels)}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}
        self.store.create(Key("nodes", "", "node-1"), node)

    def __enter__(self) -> Self:
        self.listen()
        self._turns = threading.Thread(target=self._turn, daemon=True)
        self._turns.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._turns.join()
        self.deafen()
        self.kubelet.close()
        kubelet.discard(self.folder)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http{'s' if self.authority else ''}://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Begins to answer, at the same port as before."""
        cluster = self

        class Bound(Handler):
            stand_in = cluster

        self._server = self._bound(Bound)
        self._server.daemon_threads = True
        if self.authority is not None:
            tls = self.authority.server()
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._answers = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._answers.start()

    def _bound(self, handler: type[Handler]) -> ThreadingHTTPServer:
        """A client that called while nobody listened may hold the port itself for a moment."""
        ends = time.monotonic() + 20
        while True:
            try:
                return ThreadingHTTPServer(("127.0.0.1", self.port), handler)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > ends:
                    raise
            time.sleep(0.05)

    def deafen(self) -> None:
        """Stops answering; controller and nodes go on."""
        self._server.shutdown()
        self._server.server_close()
        self._answers.join()

    def kubeconfig(self, path: Path, **contexts: "StandIn") -> Path:
        """A kubeconfig with a context for each of these clusters, or for this one as `here`."""
        clusters = contexts or {"here": self}
        form: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": next(iter(clusters))}
        form |= {"clusters": [], "users": [], "contexts": []}
        for name, each in clusters.items():
            cluster, user = each.authority.parts() if each.authority is not None else ({}, {})
            form["clusters"].append({"name": name, "cluster": {"server": each.url, **cluster}})
            form["users"].append({"name": f"daemon-{name}", "user": {"token": DAEMON, **user}})
            form["contexts"].append({"name": name, "context": {"cluster": name, "user": f"daemon-{name}"}})
        path.write_text(json.dumps(form))  # JSON is YAML
        path.chmod(0o600)
        return path

    def hide(self, seconds: float) -> None:
        """What is made from now on is found by nobody for so long."""
        self.hidden_until_s = time.monotonic() + seconds
        self.hidden_names = {key.name for key in self.store.forms}

    def sees(self, name: str) -> bool:
        """Whether an object can be found now."""
        return time.monotonic() > self.hidden_until_s or name in self.hidden_names

    def _turn(self) -> None:
        while not self._ends.wait(TURN_S):
            self.queue.turn()
            self.controller.turn()
            self.kubelet.turn()


def main() -> None:
    """Serves one cluster until it is told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", default="1.33")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cpus", type=int, default=8)
    asked = parser.parse_args()
    ends = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.set())
    with StandIn(asked.release, asked.cpus, port=asked.port) as cluster:
        print(cluster.url, flush=True)
        ends.wait()


if __name__ == "__main__":
    main()
