"""How an attempt comes into its cluster: gone on with from wherever its submit was left, or poisoned."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends import claim
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, Phase
from tidewatt.backends.kubernetes import closing, reference, release
from tidewatt.backends.kubernetes.clusters import Clusters
from tidewatt.backends.kubernetes.manifest import token
from tidewatt.backends.kubernetes.options import KubernetesOptions
from tidewatt.backends.kubernetes.reference import Reference


@dataclass(frozen=True, slots=True)
class Entry:
    """Attempts on their way in. `home` marks what is ours in a cluster."""

    regions: Mapping[str, KubernetesOptions]
    home: str
    clusters: Clusters
    give_up_s: float

    def hand_over(self, attempt: Attempt, launch: Launch) -> Reference:
        """Goes on with the submit from wherever it was left. Poisons where that is of no use.

        Raises:
            BackendError: It was not handed over; transient where it is open how far that came.
        """
        ref = None
        try:
            ref = self._reference(launch)
            if ref.released:
                return ref
            if (reason := attempt.stop_request()) is not None:
                self.poison(attempt.folder, ref, f"{reason} before it started")
                return ref
            options = self.options(launch.region)
            return release.let_go(self.clusters.of(ref.reach), attempt.folder, ref, launch, options, now_ms())
        except BackendError as error:
            ref = reference.read(attempt.folder)
            waited_s = 0.0 if ref is None else (now_ms() - ref.made_ms) / 1000
            if (ref is None or not ref.released) and (not error.transient or waited_s > self.give_up_s):
                self.poison(attempt.folder, ref, str(error))
            raise

    def known(self, folder: Path) -> AttemptStatus | Reference:
        """Its status where no cluster has to be asked; else the reference by which to ask."""
        attempt = Attempt(folder)
        ref = reference.read(folder)
        taken = claim.read(folder)
        if taken is not None:
            return AttemptStatus(Phase.POISONED, reason=taken.reason)
        launch = attempt.launch()
        if launch is None:
            return AttemptStatus(Phase.LAUNCHING, reason="not submitted yet")
        if ref is not None and (outcome := attempt.read(attempt.exit)) is not None:
            return closing.over(attempt, ref, launch, outcome)
        if ref is None or not ref.released:
            try:
                ref = self.hand_over(attempt, launch)
            except BackendError as error:
                if claim.read(folder) is None:
                    return AttemptStatus(Phase.LAUNCHING, reason=f"pending: not handed over yet: {error}")
            taken = claim.read(folder)
            if taken is not None:
                return AttemptStatus(Phase.POISONED, reason=taken.reason)
            if ref is None or not ref.released:
                return AttemptStatus(Phase.LAUNCHING, reason="pending: its Job cannot be seen yet")
        return ref

    def poison(self, folder: Path, ref: Reference | None, reason: str) -> None:
        """Makes sure that it never starts; what is left of it in the cluster is deleted if that can be."""
        claim.poison(folder, reason)
        if ref is not None:
            with suppress(BackendError):  # what is left there is suspended, and nobody lets it go
                release.delete(self.clusters.of(ref.reach), ref)

    def options(self, region: str) -> KubernetesOptions:
        """Of a region. Raises BackendError where there is none of that name any more."""
        if region not in self.regions:
            raise BackendError(f"the region {region!r} is not configured any more")
        return self.regions[region]

    def _reference(self, launch: Launch) -> Reference:
        """What stands in `engine.json`, written now where it is not there."""
        found = reference.read(launch.folder)
        if found is not None:
            return found
        options = self.options(launch.region)
        prometheus = options.prometheus
        made = Reference(
            reach=self.clusters.reach(options),
            namespace=options.namespace,
            name=token(launch),
            home=self.home,
            queue=options.queue,
            pull_patience_s=options.pull_patience_s,
            prometheus=None if prometheus is None else prometheus.model_dump(mode="json"),
            made_ms=now_ms(),
        )
        made.create(launch.folder)
        return made


def now_ms() -> int:
    """Real Unix milliseconds."""
    return time.time_ns() // 1_000_000
