"""The clusters that are reached, each by one client, and what each knows of our attempts at one time."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tidewatt.backends.backend import AttemptStatus
from tidewatt.backends.kubernetes import access
from tidewatt.backends.kubernetes.cluster import Cluster
from tidewatt.backends.kubernetes.facts import JobFacts, PodFacts, job_of, pod_of
from tidewatt.backends.kubernetes.options import KubernetesOptions
from tidewatt.backends.kubernetes.reference import Reach, Reference

Statuses = dict[Path, AttemptStatus]


@dataclass(slots=True)
class Clusters:
    """One client for each cluster and user."""

    read_s: float = 20.0
    _known: dict[Reach, Cluster] = field(default_factory=dict)

    def of(self, reach: Reach) -> Cluster:
        """The client; nothing is asked yet."""
        if reach not in self._known:
            way = (
                access.in_cluster
                if reach.in_cluster
                else partial(access.of_kubeconfig, Path(reach.kubeconfig), reach.context)
            )
            self._known[reach] = Cluster(way, self.read_s)
        return self._known[reach]

    def reach(self, options: KubernetesOptions) -> Reach:
        """Which cluster the options mean, so that it can be found again whatever becomes the current one.

        Raises:
            BackendError: The kubeconfig cannot be read.
        """
        if options.in_cluster:
            return Reach(in_cluster=True)
        path, context = access.chosen(options.kubeconfig, options.context)
        return Reach(context, str(path))


@dataclass(slots=True)
class View:
    """A namespace's pods of one state folder, and its Jobs once one has to be looked at."""

    cluster: Cluster
    ref: Reference  # any attempt's there
    _pods: dict[str, PodFacts] = field(default_factory=dict)
    _jobs: dict[str, JobFacts] | None = None

    def look(self) -> "View":
        """Asks for the pods, of each Job the newest.

        Raises:
            BackendError: The cluster does not answer.
        """
        found = [pod_of(form) for form in self.cluster.listed(self.ref.pods, self.ref.selector)]
        self._pods = {pod.owner: pod for pod in sorted(found, key=lambda pod: pod.created_ms)}
        return self

    def pod(self, ref: Reference) -> PodFacts | None:
        """The attempt's pod."""
        return self._pods.get(ref.uid)

    def job(self, ref: Reference) -> JobFacts | None:
        """The attempt's Job, None where it certainly is not there.

        Raises:
            BackendError: The cluster does not answer.
        """
        if self._jobs is None:
            listed = _by_uid(self.cluster.listed(self.ref.jobs, self.ref.selector))
            self._jobs = listed
        if ref.uid in self._jobs:
            return self._jobs[ref.uid]
        form = self.cluster.find(f"{ref.jobs}/{ref.name}")  # it may be younger than the list
        return job_of(form) if form is not None and form["metadata"]["uid"] == ref.uid else None


def _by_uid(forms: Iterable[dict[str, object]]) -> dict[str, JobFacts]:
    return {job.uid: job for job in map(job_of, forms)}
