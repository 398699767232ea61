"""The one way by which a Job comes to run: made suspended, written down, and only then let go.

A request to make the Job that is repeated, or that arrives late, makes at most a Job that nobody lets go:
what lets it go names the uid that was written down before, and holds only while nobody asked for its end.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.kubernetes import manifest
from tidewatt.backends.kubernetes.cluster import Cluster, StatusError
from tidewatt.backends.kubernetes.options import KubernetesOptions
from tidewatt.backends.kubernetes.reference import Reference, Wanted

Step = dict[str, Any]
_WANTED_PATH = "/metadata/annotations/" + manifest.WANTED.replace("/", "~1")
QUEUE_PATH = "/metadata/labels/" + manifest.QUEUE.replace("/", "~1")


def let_go(
    cluster: Cluster, folder: Path, ref: Reference, launch: Launch, options: KubernetesOptions, now_ms: int
) -> Reference:
    """Makes the Job with its Secret and lets it go; safe to repeat from wherever it was left.

    What comes back is not `released` where the Job is there and cannot be seen yet.

    Raises:
        BackendError: transient where it is open how far it came, final where the cluster will not have it.
    """
    values = manifest.kept(launch) if options.environment else {}
    if not ref.uid:
        uid = _made(cluster, ref, manifest.job(launch, options, ref.home, bool(values)))
        if not uid:
            return ref
        ref = replace(ref, uid=uid)
        ref.replace(folder)
    if values:
        _unless_there(cluster, ref.secrets, manifest.secret(launch, options, ref.home, ref.uid))
    ref = replace(ref, released=True, released_ms=now_ms)
    ref.replace(folder)
    return pushed(cluster, folder, ref)


def pushed(cluster: Cluster, folder: Path, ref: Reference) -> Reference:
    """Lets the Job go that was written down, and remembers that it was told."""
    _push(cluster, ref)
    ref = replace(ref, pushed=True)
    ref.replace(folder)
    return ref


def _push(cluster: Cluster, ref: Reference) -> None:
    """Not where its end was asked for; a queue lets it go by itself."""
    go: Step = {"op": "replace", "path": "/spec/suspend", "value": False}
    if ref.queue:  # Kueue owns `suspend` of what carries its label
        go = {"op": "add", "path": QUEUE_PATH, "value": ref.queue}
    try:
        cluster.patch(f"{ref.jobs}/{ref.name}", [*_only(ref, Wanted.RUN), go])
    except StatusError as error:
        if error.code not in (404, 422):  # gone, or not as we left it: its status tells what has become of it
            raise


def ask(cluster: Cluster, ref: Reference) -> dict[str, Any] | None:
    """Writes what is wanted on the Job and has its pod ended; returns the Job, None where it is gone.

    Suspending it is both stop and pause: its pod gets its signal and its grace, and the Job stays as it is
    until it is deleted, so that its name stays taken. In a queue its Workload is put out instead.
    """
    path = f"{ref.jobs}/{ref.name}"
    steps: list[Step] = [
        {"op": "test", "path": "/metadata/uid", "value": ref.uid},
        {"op": "replace", "path": _WANTED_PATH, "value": ref.wanted.value},
    ]
    if not ref.queue:
        steps.append({"op": "replace", "path": "/spec/suspend", "value": True})
    try:
        form = cluster.patch(path, steps)
    except StatusError as error:
        if error.code not in (404, 422):
            raise
        found = cluster.find(path)
        if found is None or found["metadata"]["uid"] != ref.uid:
            return None
        return found  # one that is over cannot be suspended any more
    if ref.queue:
        _put_out(cluster, ref)
    return form


def delete(cluster: Cluster, ref: Reference) -> None:
    """Deletes the Job, with its pod and its Secret, if it is ours."""
    path, uid = f"{ref.jobs}/{ref.name}", ref.uid
    if not uid:
        form = cluster.find(path)
        if form is None or not _ours(form, ref):
            return
        uid = form["metadata"]["uid"]
    try:
        cluster.delete(path, {"propagationPolicy": "Background", "preconditions": {"uid": uid}})
    except StatusError as error:
        if error.code != 409:  # another Job of that name: not ours
            raise


def forget_secret(cluster: Cluster, ref: Reference) -> None:
    """Deletes the job's environment."""
    cluster.delete(f"{ref.secrets}/{ref.name}", {})


def _made(cluster: Cluster, ref: Reference, form: dict[str, Any]) -> str:
    """The uid of the Job, made now or by an earlier request; "" where that one is not seen yet.

    Raises:
        BackendError: A Job of that name is not ours.
    """
    try:
        made = cluster.create(ref.jobs, form)
    except StatusError as error:
        if error.code != 409:
            raise
        found = cluster.find(f"{ref.jobs}/{ref.name}")
        if found is None:
            return ""
        if not _ours(found, ref):
            raise BackendError(
                f"a Job {ref.name} that is not ours is in {ref.namespace}: remove it"
            ) from error
        made = found
    return str(made["metadata"]["uid"])


def _ours(form: dict[str, Any], ref: Reference) -> bool:
    labels = form["metadata"].get("labels") or {}
    return (labels.get("tidewatt/home"), labels.get("tidewatt/attempt")) == (ref.home, ref.name)


def _unless_there(cluster: Cluster, path: str, form: dict[str, Any]) -> None:
    try:
        cluster.create(path, form)
    except StatusError as error:
        if error.code != 409:
            raise


def _put_out(cluster: Cluster, ref: Reference) -> None:
    """Has Kueue take the Job out of its queue; one without a Workload was never admitted, and is deleted."""
    place = f"/apis/kueue.x-k8s.io/v1beta1/namespaces/{ref.namespace}/workloads"
    found = cluster.listed(place, f"kueue.x-k8s.io/job-uid={ref.uid}")
    for each in found:
        step = {"op": "add", "path": "/spec/active", "value": False}
        cluster.patch(f"{place}/{each['metadata']['name']}", [step])
    if not found:
        delete(cluster, ref)


def _only(ref: Reference, wanted: Wanted) -> list[Step]:
    return [
        {"op": "test", "path": "/metadata/uid", "value": ref.uid},
        {"op": "test", "path": _WANTED_PATH, "value": wanted.value},
    ]
