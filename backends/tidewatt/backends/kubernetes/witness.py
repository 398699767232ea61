"""The last moments of a pod that is being ended: what it still writes, and how its container ends.

A pod whose Job is suspended is deleted as soon as its container has ended: whoever asks now and then finds
neither its last lines nor its exit code. So both are followed from when its end is asked for. What cannot be
seen (the daemon was killed, the cluster does not allow `watch`) stays unknown.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tidewatt.backends import durable
from tidewatt.backends.backend import BackendError
from tidewatt.backends.kubernetes import output
from tidewatt.backends.kubernetes.cluster import Cluster, Form
from tidewatt.backends.kubernetes.facts import PodFacts, pod_of
from tidewatt.backends.kubernetes.reference import Reference

_MORE_S = 30.0  # beyond the grace period


def watch(
    cluster: Cluster, folder: Path, ref: Reference, grace_s: float, seen: Callable[[PodFacts], None]
) -> threading.Thread:
    """Starts to follow the pod; `seen` gets its facts whenever they change."""
    thread = threading.Thread(
        target=_follow, args=(cluster, folder, ref, grace_s, seen), name=f"witness {ref.name}", daemon=True
    )
    thread.start()
    return thread


def _follow(
    cluster: Cluster, folder: Path, ref: Reference, grace_s: float, seen: Callable[[PodFacts], None]
) -> None:
    with suppress(BackendError, OSError, durable.CorruptError):
        limit_s = grace_s + _MORE_S
        events = _events(cluster, ref, limit_s)
        first = next(events, None)
        if first is None:
            return
        seen(first)
        with suppress(BackendError):
            output.follow(cluster, folder, ref, limit_s)
        for pod in events:  # all since it was first looked at: how it ended is among them
            seen(pod)
            if pod.exit_code is not None:
                return


def _events(cluster: Cluster, ref: Reference, limit_s: float) -> Iterator[PodFacts]:
    """The pod as it is, and after each change until it is deleted; nothing of one that is gone."""
    selector = f"tidewatt/attempt={ref.name}"
    forms, version = cluster.version(ref.pods, selector)
    there = [pod for pod in map(pod_of, forms) if pod.owner == ref.uid]
    if not there:
        return
    query = {
        "watch": "true",
        "labelSelector": selector,
        "resourceVersion": version,
        "timeoutSeconds": str(round(limit_s)),
    }
    yield there[-1]
    for line in cluster.stream(ref.pods, query, limit_s + 5):
        event: Form = json.loads(line)
        if event.get("type") == "ERROR":
            return
        pod = pod_of(event["object"])
        if pod.owner == ref.uid:
            yield pod
        if event["type"] == "DELETED":
            return
