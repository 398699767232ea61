"""The controller of Jobs: makes their one pod, counts how it ends, suspends, and writes the conditions."""

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.kubernetes.objects import Form, Key, Store, stamp

_TWO_STEPS = (1, 31)  # since then a Job says that it has failed or is done before it is over


@dataclass
class Controller:
    """Brings Jobs a step further whenever `turn` is called."""

    store: Store
    pods_made: dict[str, int] = field(default_factory=dict)  # by the Job's name
    asleep: bool = False
    ended: dict[str, list[Form]] = field(default_factory=dict)  # pods that were counted, by their Job's uid

    def turn(self) -> None:
        """One look at all Jobs."""
        if self.asleep:
            return
        for job in self.store.of("jobs"):
            key = Key("jobs", job["metadata"]["namespace"], job["metadata"]["name"])
            with self.store.changed:
                if key in self.store.forms:
                    self._job(key, self.store.forms[key])
        jobs = {job["metadata"]["uid"] for job in self.store.of("jobs")}
        for pod in self.store.of("pods"):
            if not jobs & {each["uid"] for each in pod["metadata"].get("ownerReferences") or ()}:
                pod["metadata"].pop("finalizers", None)  # its Job is gone: nobody counts it

    def _job(self, key: Key, job: Form) -> None:
        if _held(job, "Complete") or _held(job, "Failed"):
            return
        uid, spec = job["metadata"]["uid"], job["spec"]
        pods = [
            pod
            for pod in self.store.of("pods", key.namespace)
            if any(each["uid"] == uid for each in pod["metadata"].get("ownerReferences") or ())
        ]
        left = [pod for pod in pods if _phase(pod) not in ("Succeeded", "Failed")]
        active = [pod for pod in left if "deletionTimestamp" not in pod["metadata"]]
        counted = self._count(uid, [pod for pod in pods if pod not in left])
        failed = [pod for pod in counted if _phase(pod) == "Failed"]
        numbers: Form = {"active": len(active) or None, "terminating": len(left) - len(active) or None}
        started = (job.get("status") or {}).get("startTime")
        if any(_phase(pod) == "Succeeded" for pod in counted):
            self._over(key, job, "Complete", "CompletionsReached", "Reached expected number", left)
        elif failed and (policy := _policy(job, failed[0])):
            self._over(key, job, "Failed", "PodFailurePolicy", policy, left)
        elif len(failed) > spec["backoffLimit"]:
            said = "Job has reached the specified backoff limit"
            self._over(key, job, "Failed", "BackoffLimitExceeded", said, left)
        elif started and _late(spec, started):
            for pod in active:
                self._delete(pod)
            self._over(
                key, job, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline", left
            )
        elif spec["suspend"]:
            for pod in active:
                self._delete(pod)
            conditions: list[Form] | None = _conditions(
                job, "Suspended", "True", "JobSuspended", "Job suspended"
            )
            self.store.update(key, conditions=conditions, startTime=None, **numbers)
        else:
            if not active and not (spec.get("podReplacementPolicy") == "Failed" and left):
                self._make(key, job)
                numbers["active"] = 1
            conditions = (job.get("status") or {}).get("conditions")
            if _held(job, "Suspended"):
                conditions = _conditions(job, "Suspended", "False", "JobResumed", "Job resumed")
            self.store.update(key, conditions=conditions, startTime=started or stamp(), **numbers)

    def _make(self, key: Key, job: Form) -> None:
        count = self.pods_made[key.name] = self.pods_made.get(key.name, 0) + 1
        template = copy.deepcopy(job["spec"]["template"])
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": key.name, "uid": job["metadata"]["uid"]}
        name = f"{key.name}-{job['metadata']['uid'][:4]}{count}"
        metadata = {**template["metadata"], "name": name, "ownerReferences": [owner | {"controller": True}]}
        metadata |= {"generateName": f"{key.name}-", "finalizers": ["batch.kubernetes.io/job-tracking"]}
        form = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        self.store.create(Key("pods", key.namespace, name), form | {"status": {"phase": "Pending"}})

    def _count(self, uid: str, over: list[Form]) -> list[Form]:
        """All pods of a Job that ended and count; their finalizer keeps them until they are counted."""
        counted = self.ended.setdefault(uid, [])
        for pod in over:
            if pod["metadata"].pop("finalizers", None):
                counted.append(pod)
        return counted

    def _delete(self, pod: Form) -> None:
        """A pod that is deleted by its controller does not count as failed."""
        pod["metadata"].pop("finalizers", None)
        key = Key("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.store.mark_deleted(key, pod["spec"].get("terminationGracePeriodSeconds", 30))

    def _over(self, key: Key, job: Form, kind: str, reason: str, said: str, left: list[Form]) -> None:
        release = tuple(int(part) for part in self.store.release.split("."))
        first = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
        if release >= _TWO_STEPS and not _held(job, first):
            self.store.update(key, conditions=_conditions(job, first, "True", reason, said))
            return
        if left:
            return
        conditions = _conditions(job, kind, "True", reason, said)
        done = {"completionTime": stamp(), "succeeded": 1} if kind == "Complete" else {"failed": 1}
        self.store.update(key, conditions=conditions, active=None, terminating=None, **done)


@dataclass
class Queue:
    """Kueue's part: a Workload for each Job with a queue's label, let go once it is admitted."""

    store: Store
    admits: bool = False

    def turn(self) -> None:
        """One look at all Jobs with its label."""
        for job in self.store.of("jobs"):
            if "kueue.x-k8s.io/queue-name" not in (job["metadata"].get("labels") or {}):
                continue
            namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
            key, uid = Key("workloads", namespace, f"job-{name}"), job["metadata"]["uid"]
            with self.store.changed:
                if key not in self.store.forms:
                    metadata: Form = {"name": key.name, "labels": {"kueue.x-k8s.io/job-uid": uid}}
                    version = "kueue.x-k8s.io/v1beta1"
                    form = {
                        "apiVersion": version,
                        "kind": "Workload",
                        "metadata": metadata,
                        "spec": {"active": True},
                    }
                    self.store.create(key, form)
                goes = self.admits and self.store.forms[key]["spec"]["active"]
                changed = copy.deepcopy(self.store.find(Key("jobs", namespace, name)))
                changed["spec"]["suspend"] = not goes
                self.store.replace(Key("jobs", namespace, name), changed)


def _phase(pod: Form) -> str:
    return str(pod.get("status", {}).get("phase"))


def _held(job: Form, kind: str) -> bool:
    found = (job.get("status") or {}).get("conditions") or ()
    return any(each["type"] == kind and each["status"] == "True" for each in found)


def _conditions(job: Form, kind: str, status: str, reason: str, said: str) -> list[Form]:
    rest = [each for each in (job.get("status") or {}).get("conditions") or () if each["type"] != kind]
    before = [each for each in (job.get("status") or {}).get("conditions") or () if each["type"] == kind]
    if before and before[0]["status"] == status:
        return [*rest, *before]
    times = {"lastProbeTime": stamp(), "lastTransitionTime": stamp()}
    return [*rest, {"type": kind, "status": status, "reason": reason, "message": said, **times}]


def _policy(job: Form, pod: Form) -> str:
    """What the failure policy says of a pod that failed, where it says that the Job fails."""
    has = {each["type"] for each in pod["status"].get("conditions") or () if each["status"] == "True"}
    for rule in (job["spec"].get("podFailurePolicy") or {}).get("rules") or ():
        if any(each["type"] in has for each in rule.get("onPodConditions") or ()):
            return f"Pod {pod['metadata']['name']} has condition matching FailJob rule"
    return ""


def _late(spec: Form, started: str) -> bool:
    if "activeDeadlineSeconds" not in spec:
        return False
    since = datetime.fromisoformat(started.replace("Z", "+00:00"))
    return (datetime.now(UTC) - since).total_seconds() > float(spec["activeDeadlineSeconds"])


def disrupt(store: Store, key: Key, reason: str) -> None:
    """Takes a pod away, as an eviction or a lost node does."""
    pod = store.find(key)
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "taken away"}
    store.update(key, conditions=[*(pod["status"].get("conditions") or ()), condition])
    store.mark_deleted(key, pod["spec"].get("terminationGracePeriodSeconds", 30))
