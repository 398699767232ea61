"""The objects of a cluster: kept by name, checked by the release's own schemas, each change with a number."""

import base64
import copy
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import kubernetes_validate

Form = dict[str, Any]
_LABEL = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
KINDS = {  # plural: (group and version, kind, namespaced)
    "jobs": ("batch/v1", "Job", True),
    "pods": ("v1", "Pod", True),
    "secrets": ("v1", "Secret", True),
    "nodes": ("v1", "Node", False),
    "namespaces": ("v1", "Namespace", False),
    "workloads": ("kueue.x-k8s.io/v1beta1", "Workload", True),
    "localqueues": ("kueue.x-k8s.io/v1beta1", "LocalQueue", True),
}


class RefusedError(Exception):
    """A request that is answered with a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Key:
    """Where an object is kept; the namespace of one without any is ""."""

    plural: str
    namespace: str
    name: str


@dataclass
class Store:
    """All objects of one cluster of one release. Every change wakes those who wait for one."""

    release: str = "1.33"
    forms: dict[Key, Form] = field(default_factory=dict)
    version: int = 1000
    changes: list[tuple[int, str, Key, Form]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def of(self, plural: str, namespace: str = "") -> list[Form]:
        """All of a kind, in one namespace or in all."""
        with self.changed:
            return [
                form
                for key, form in self.forms.items()
                if key.plural == plural and namespace in ("", key.namespace)
            ]

    def find(self, key: Key) -> Form:
        """The object there."""
        with self.changed:
            if key not in self.forms:
                raise RefusedError(404, "NotFound", f'{key.plural} "{key.name}" not found')
            return self.forms[key]

    def create(self, key: Key, form: Form) -> Form:
        """Keeps a new object, with what a cluster gives it."""
        with self.changed:
            form = copy.deepcopy(form)
            self._check(key, form)
            if key in self.forms:
                raise RefusedError(409, "AlreadyExists", f'{key.plural} "{key.name}" already exists')
            given = {"uid": str(uuid.uuid4()), "creationTimestamp": stamp(), "namespace": key.namespace}
            form["metadata"] |= (
                given if key.namespace else {"uid": given["uid"], "creationTimestamp": stamp()}
            )
            _completed(key.plural, form)
            return self._keep(key, form, "ADDED")

    def replace(self, key: Key, form: Form) -> Form:
        """Keeps a changed object; one whose resourceVersion is older than what is kept is refused."""
        with self.changed:
            old = self.find(key)
            version = form["metadata"].get("resourceVersion")
            if version not in (None, old["metadata"]["resourceVersion"]):
                raise RefusedError(
                    409, "Conflict", f'{key.plural} "{key.name}": the object has been modified'
                )
            if form["metadata"]["uid"] != old["metadata"]["uid"]:
                raise RefusedError(409, "Conflict", "Precondition failed: UID in precondition")
            if form == old:
                return old
            self._check(key, form)
            if key.plural == "jobs" and _template(form) != _template(old):
                raise RefusedError(422, "Invalid", f'Job "{key.name}": spec.template: field is immutable')
            return self._keep(key, form, "MODIFIED")

    def update(self, key: Key, **parts: Any) -> Form:
        """Replaces parts of an object's status, without any check: what controllers do."""
        with self.changed:
            form = copy.deepcopy(self.find(key))
            form.setdefault("status", {}).update(parts)
            form["status"] = {name: part for name, part in form["status"].items() if part is not None}
            return form if form == self.forms[key] else self._keep(key, form, "MODIFIED")

    def mark_deleted(self, key: Key, grace_s: int) -> None:
        """A pod gets its time to end."""
        with self.changed:
            form = copy.deepcopy(self.find(key))
            if "deletionTimestamp" not in form["metadata"]:
                until = datetime.now(UTC) + timedelta(seconds=grace_s)
                form["metadata"] |= {"deletionTimestamp": stamp(until), "deletionGracePeriodSeconds": grace_s}
                self._keep(key, form, "MODIFIED")

    def remove(self, key: Key) -> None:
        """The object is gone; what belongs to it follows."""
        with self.changed:
            form = self.forms.pop(key, None)
            if form is None:
                return
            self.version += 1
            self.changes.append((self.version, "DELETED", key, form))
            uid = form["metadata"]["uid"]
            for other, owned in list(self.forms.items()):
                owners = owned["metadata"].get("ownerReferences") or ()
                if any(each["uid"] == uid for each in owners):
                    if other.plural == "pods":
                        self.mark_deleted(other, owned["spec"].get("terminationGracePeriodSeconds", 30))
                    else:
                        self.remove(other)
            self.changed.notify_all()

    def since(self, version: int, plural: str, timeout_s: float) -> Iterator[tuple[str, Key, Form]]:
        """Changes after a version, as they come; ends when none comes for so long."""
        while True:
            with self.changed:
                if self.version <= version:
                    self.changed.wait(timeout_s)
                if self.version <= version:
                    return
                new = [each for each in self.changes if each[0] > version and each[2].plural == plural]
                version = self.version
            yield from ((kind, key, form) for _, kind, key, form in new)

    def _keep(self, key: Key, form: Form, kind: str) -> Form:
        self.version += 1
        form["metadata"]["resourceVersion"] = str(self.version)
        self.forms[key] = form
        self.changes.append((self.version, kind, key, copy.deepcopy(form)))
        self.changed.notify_all()
        return form

    def _check(self, key: Key, form: Form) -> None:
        version, kind, _ = KINDS[key.plural]
        if (form.get("apiVersion"), form.get("kind")) != (version, kind):
            raise RefusedError(400, "BadRequest", f"this is no {version} {kind}")
        if not _LABEL.match(key.name) and key.plural == "jobs":
            raise RefusedError(422, "Invalid", f"metadata.name: Invalid value: {key.name!r}")
        if not version.startswith("kueue"):
            try:
                _validator(self.release)(form, self.release, strict=True)
            except kubernetes_validate.ValidationError as error:
                raise RefusedError(422, "Invalid", f"{kind} {key.name!r}: {error.message}") from error
        for name, word in (form["metadata"].get("labels") or {}).items():
            if len(word) > 63 or not re.match(r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", word):
                raise RefusedError(422, "Invalid", f"metadata.labels: {name}: Invalid value: {word!r}")
        if key.plural == "jobs":
            _check_job(form)


@cache
def _validator(_release: str) -> Any:
    return kubernetes_validate.validate


def _check_job(form: Form) -> None:
    """What the schemas cannot say."""
    spec = form["spec"]
    pod = spec["template"]["spec"]
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        raise RefusedError(422, "Invalid", 'spec.template.spec.restartPolicy: Unsupported value: "Always"')
    if "podFailurePolicy" in spec:
        if pod["restartPolicy"] != "Never":
            raise RefusedError(422, "Invalid", "spec.podFailurePolicy: only with restartPolicy Never")
        if spec.get("podReplacementPolicy", "Failed") != "Failed":
            raise RefusedError(422, "Invalid", "spec.podReplacementPolicy: only Failed with podFailurePolicy")
    volumes = {each["name"] for each in pod.get("volumes") or ()}
    for container in pod["containers"]:
        for mount in container.get("volumeMounts") or ():
            if mount["name"] not in volumes:
                raise RefusedError(422, "Invalid", f"volumeMounts: Not found: {mount['name']!r}")


def _template(form: Form) -> Any:
    return form["spec"]["template"], form["spec"].get("selector"), form["spec"].get("completions")


def _completed(plural: str, form: Form) -> None:
    """What a cluster adds by itself."""
    if plural == "jobs":
        uid = form["metadata"]["uid"]
        form["spec"].setdefault("backoffLimit", 6)
        form["spec"].setdefault("suspend", False)
        labels = {"batch.kubernetes.io/controller-uid": uid, "job-name": form["metadata"]["name"]}
        template = form["spec"]["template"].setdefault("metadata", {})
        template["labels"] = (template.get("labels") or {}) | labels
        form["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        form["status"] = {}
    if plural == "secrets":
        plain = form.pop("stringData", {})
        coded = {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
        form["data"] = (form.get("data") or {}) | coded


def stamp(at: datetime | None = None) -> str:
    """A time as clusters write it: whole seconds, cut off."""
    return f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def fits(form: Form, labels: str, fields: str) -> bool:
    """Whether the selectors choose it."""
    has = form["metadata"].get("labels") or {}
    for part in filter(None, labels.split(",")):
        name, unequal, word = part.partition("!=")
        if not unequal:
            name, equal, word = part.replace("==", "=").partition("=")
            if (equal and has.get(name) != word) or (not equal and name not in has):
                return False
        elif has.get(name) == word:
            return False
    for part in filter(None, fields.split(",")):
        name, unequal, word = part.partition("!=")
        if not unequal:
            name, _, word = part.partition("=")
        value: Any = form
        for step in name.split("."):
            value = (value or {}).get(step)
        if (value == word) == bool(unequal):
            return False
    return True
