"""A real Ray cluster of two nodes on loopback, each a region of its own; started and ended by pid."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

RAY = Path(__file__).resolve().parents[2] / ".engines" / "bin" / "ray"
REGIONS = {"eu": ("127.0.0.2", 4, 2), "us": ("127.0.0.3", 4, 1)}  # address, cores, GPUs that Ray believes in
START_S = 90.0


@dataclass
class RayCluster:
    """Head and node. `address` is the dashboard's."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="twray-")))
    gcs_port: int = field(default_factory=lambda: free_port())
    dashboard_port: int = field(default_factory=lambda: free_port())
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where its Jobs API answers."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    def up(self) -> "RayCluster":
        """Starts both nodes; returns once both are known."""
        self.head()
        _until(lambda: self.get("/api/version") is not None)
        self.node("us")
        _until(lambda: len(self.usage()) == len(REGIONS))
        return self

    def head(self) -> None:
        """Starts the head, with the region eu."""
        more = ["--head", f"--port={self.gcs_port}", "--dashboard-host=127.0.0.1"]
        more += [f"--dashboard-port={self.dashboard_port}", f"--ray-client-server-port={free_port()}"]
        more += [f"--temp-dir={self.folder}"]
        self._start("eu", more)

    def node(self, region: str) -> None:
        """Starts another node."""
        self._start(region, [f"--address={REGIONS['eu'][0]}:{self.gcs_port}"])

    def down(self) -> None:
        """Ends all of it, workers too, by their pids."""
        for region in tuple(self.processes):
            self.kill(region)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, region: str) -> None:
        """Ends one node and whatever it has started."""
        process = self.processes.pop(region)
        family = []
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, timeout=5)

    def usage(self) -> dict[str, object]:
        """What its monitor tells of its nodes."""
        status = ((self.get("/api/cluster_status") or {}).get("data") or {}).get("clusterStatus") or {}
        found: dict[str, object] = (status.get("loadMetricsReport") or {}).get("usageByNode") or {}
        return found

    def get(self, path: str) -> dict[str, Any] | None:
        """What the API answers; None where it does not."""
        with suppress(requests.RequestException, ValueError):
            answer: dict[str, Any] = requests.get(self.address + path, timeout=5).json()
            return answer
        return None

    def log(self) -> str:
        """What the starters have said."""
        return "\n".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))

    def _start(self, region: str, more: list[str]) -> None:
        host, cpus, gpus = REGIONS[region]
        command = [str(RAY), "start", "--block", f"--node-ip-address={host}", f"--num-cpus={cpus}"]
        command += [f"--num-gpus={gpus}", f'--resources={{"region_{region}": 100}}', "--disable-usage-stats"]
        command += ["--object-store-memory=80000000", f"--dashboard-agent-listen-port={free_port()}", *more]
        names = ("PATH", "HOME", "LANG", "USER", "LOGNAME")
        values = {name: os.environ[name] for name in names if name in os.environ}
        values |= {"RAY_DISABLE_METRICS_COLLECTION": "1", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
        with open(self.folder / f"{region}.log", "ab") as log:
            self.processes[region] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=values, start_new_session=True
            )


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until(look: object) -> None:
    deadline = time.monotonic() + START_S
    assert callable(look)
    while not look():
        assert time.monotonic() < deadline, "Ray did not come up"
        time.sleep(0.1)
