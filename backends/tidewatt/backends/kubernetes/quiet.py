"""What was last seen of attempts that run: while nothing changed, none of their files is read again."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from tidewatt.backends.backend import AttemptStatus, Phase
from tidewatt.backends.kubernetes.facts import PodFacts
from tidewatt.backends.kubernetes.reference import Reference, Wanted

_SETTLED_NS = 1_000_000_000  # a folder that changed just now may change again within its time stamp


@dataclass(frozen=True, slots=True)
class _Seen:
    stamp_ns: int
    ref: Reference
    pod: PodFacts
    status: AttemptStatus


@dataclass(slots=True)
class Quiet:
    """Statuses by folder. Whatever is written in a folder changes the folder's own time."""

    _seen: dict[Path, _Seen] = field(default_factory=dict)

    def reference(self, folder: Path) -> Reference | None:
        """The attempt's reference, None where its files have to be read."""
        found = self._seen.get(folder)
        if found is None or found.stamp_ns != _stamp_ns(folder):
            return None
        return found.ref

    def status(self, folder: Path, pod: PodFacts | None) -> AttemptStatus | None:
        """Its status, None where its files or its pod are not as they were."""
        found = self._seen.get(folder)
        if found is None or found.pod != pod or found.stamp_ns != _stamp_ns(folder):
            return None
        return found.status

    def keep(self, folder: Path, ref: Reference, pod: PodFacts | None, status: AttemptStatus) -> None:
        """Remembers one that simply runs."""
        plain = status.phase is Phase.RUNNING and ref.wanted is Wanted.RUN
        if pod is None or not plain or not pod.runs or pod.deleting:
            return
        stamp_ns = _stamp_ns(folder)
        if time.time_ns() - stamp_ns > _SETTLED_NS:
            self._seen[folder] = _Seen(stamp_ns, ref, pod, status)

    def forget(self, folder: Path) -> None:
        """Its files are read from now on."""
        self._seen.pop(folder, None)


def _stamp_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return -1
