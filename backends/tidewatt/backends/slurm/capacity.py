"""What a cluster's nodes have and what is free, and how long its queue makes jobs wait."""

import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from tidewatt.backends.backend import BackendError, Capacity
from tidewatt.backends.slurm import replies
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.script import instant

if TYPE_CHECKING:
    from tidewatt.backends.slurm.options import SlurmOptions

_GPUS = re.compile(r"gpu(?::(?P<kind>[^:,()]+))??:(?P<count>\d+)(?=[,(]|$)")
_DOWN = ("DOWN", "DRAIN", "FAIL", "MAINT", "NOT_RESPONDING", "POWERED_DOWN", "UNKNOWN")
_WEEK_S = 7 * 86_400
_KEPT_S = 300.0  # figures of the past are asked for so seldom
_HOUR_S, _MINUTE_S, _BRIEF_S = 3600.0, 60.0, 5.0
_FEWEST = 5  # waits of which a percentile is taken


@dataclass(slots=True)
class Figures:
    """Of one region; its waits are remembered for some minutes."""

    reach: Reach
    options: "SlurmOptions"
    _waits: tuple[float, float | None] | None = field(default=None)  # monotonic, seconds

    def now(self) -> Capacity:
        """Raises BackendError where the cluster does not answer."""
        said = self.reach.call("scontrol", "-d", "-o", "show", "node")
        nodes = [replies.pairs(line) for line in said.splitlines()]
        ours = [node for node in nodes if self._in_partition(node)]
        up = [node for node in ours if not any(word in node.get("State", "") for word in _DOWN)]
        waits_s = self._waited()
        late = "jobs gain no age before they may begin" if not _accrues(self.reach) else ""
        down = f"{len(ours) - len(up)} of {len(ours)} nodes are not up" if len(up) < len(ours) else ""
        return Capacity(
            gpus=_gpus(node.get("Gres", "") for node in up),
            gpus_free=_free(up),
            cpus=sum(_cpus(node) for node in up),
            cpus_free=sum(max(0, _cpus(node) - _integer(node, "CPUAlloc")) for node in up),
            note="; ".join(filter(None, (down, late))),
            waits_s=waits_s,
        )

    def _in_partition(self, node: dict[str, str]) -> bool:
        name = self.options.partition
        return not name or name in node.get("Partitions", "").split(",")

    def _waited(self) -> float | None:
        """Seconds from being eligible to the start: 95th percentile of the last week; None without any."""
        if self._waits is not None and time.monotonic() - self._waits[0] < _KEPT_S:
            return self._waits[1]
        since = instant(round((time.time() - _WEEK_S) * 1000))
        chosen = ["-r", self.options.partition] if self.options.partition else []
        argv = ["sacct", "-a", "-X", "-n", "-P", "-S", since, *chosen, "-o", ",".join(replies.ACCOUNT)]
        try:
            waits_s = percentile_95(replies.accounts(self.reach.call(*argv)))
        except BackendError:  # no accounting: not known
            waits_s = None
        self._waits = (time.monotonic(), waits_s)
        return waits_s


@dataclass(slots=True)
class Aging:
    """Whether delayed jobs gain age, by cluster; an answer is kept for an hour, its lack for a minute."""

    _known: dict[Reach, tuple[float, bool | None]] = field(default_factory=dict)

    def of(self, reach: Reach) -> bool:
        """Raises BackendError where the cluster does not tell."""
        until, ages = self._known.get(reach, (0.0, None))
        if time.monotonic() >= until:
            try:
                ages = _accrues(replace(reach, timeout_s=min(reach.timeout_s, _BRIEF_S)))
                until = time.monotonic() + _HOUR_S
            except BackendError:
                until = time.monotonic() + _MINUTE_S  # what was known stays so
            self._known[reach] = (until, ages)
        if ages is None:
            raise BackendError(f"{reach.place} does not tell its PriorityFlags", transient=True)
        return ages


def percentile_95(rows: Iterable[replies.Row]) -> float | None:
    """How long jobs waited after they were eligible, at the 95th percentile; None of fewer than a few."""
    waits = sorted(
        float(row.started_s - row.eligible_s)
        for row in rows
        if row.started_s is not None and row.eligible_s is not None and row.started_s >= row.eligible_s
    )
    return waits[math.ceil(0.95 * len(waits)) - 1] if len(waits) >= _FEWEST else None


def config(reach: Reach) -> dict[str, str]:
    """The cluster's configuration; raises BackendError where it does not answer."""
    return _config(reach, int(time.monotonic() // _KEPT_S))


@lru_cache(maxsize=64)
def _config(reach: Reach, _period: int) -> dict[str, str]:
    found = {}
    for line in reach.call("scontrol", "show", "config").splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


def _accrues(reach: Reach) -> bool:
    return "ACCRUE_ALWAYS" in config(reach).get("PriorityFlags", "")


def _gpus(texts: Iterable[str]) -> dict[str, int]:
    """GPUs by kind from `gpu:h200:4(S:0-1),gpu:2`; "gpu" stands for those without a type."""
    found: dict[str, int] = {}
    for text in texts:
        for match in _GPUS.finditer(text):
            kind = match["kind"] or "gpu"
            found[kind] = found.get(kind, 0) + int(match["count"])
    return found


def _free(nodes: Iterable[dict[str, str]]) -> dict[str, int]:
    free: dict[str, int] = {}
    for node in nodes:
        used = _gpus([node.get("GresUsed", "")])
        for kind, count in _gpus([node.get("Gres", "")]).items():
            free[kind] = free.get(kind, 0) + max(0, count - used.get(kind, 0))
    return free


def _cpus(node: dict[str, str]) -> int:
    return _integer(node, "CPUEfctv", "CPUTot")


def _integer(node: dict[str, str], *names: str) -> int:
    found = next((node[name] for name in names if node.get(name, "").isdecimal()), "0")
    return int(found)
