"""The Job, and the Secret beside it, that an attempt is in a cluster."""

import hashlib
import math
import re
from pathlib import PurePosixPath
from typing import Any

from tidewatt.backends import environment
from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.kubernetes.options import KubernetesOptions

Form = dict[str, Any]
WANTED = "tidewatt/wanted"
CONTAINER = "job"
QUEUE = "kueue.x-k8s.io/queue-name"
MOST_SECRET_BYTES = 1_000_000  # etcd keeps objects of about a mebibyte
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
# These describe the submitter's host, and a container has its own.
_HOSTS_OWN = frozenset(
    [
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "HOSTNAME",
        "HOST",
        "TERM",
        "TMPDIR",
        "MAIL",
        "EDITOR",
        "PAGER",
        "DISPLAY",
        "VIRTUAL_ENV",
        "PYTHONHOME",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "KUBECONFIG",
        "SSH_AUTH_SOCK",
        "SSH_CLIENT",
        "SSH_CONNECTION",
        "SSH_TTY",
        "DBUS_SESSION_BUS_ADDRESS",
        "CUDA_VISIBLE_DEVICES",
    ]
)
_HOSTS_PREFIXES = ("XDG_", "KUBERNETES_", "LC_", "CONDA", "TIDEWATT_HOME", "TIDEWATT_LEASES")


def token(launch: Launch) -> str:
    """The Job's name: the launch's token, or one that is made of its folder."""
    if launch.token:
        return launch.token
    mark = hashlib.sha256(str(launch.folder).encode()).hexdigest()[:8]
    return f"tw-{mark}-{launch.attempt_id.replace('.', '-')}"


def job(launch: Launch, options: KubernetesOptions, home: str, secret: bool) -> Form:
    """The Job, suspended: nothing of it runs before it is let go.

    The cluster never retries: one pod, no back-off. `podReplacementPolicy: Failed` would start a successor
    only once its predecessor has wholly ended, and the failure policy marks pods that were taken away.
    """
    name = token(launch)
    labels = {
        "app.kubernetes.io/managed-by": "tidewatt",
        "tidewatt/home": home,
        "tidewatt/attempt": name,
        "tidewatt/job": launch.attempt_id.partition(".")[0],
    }
    annotations = {WANTED: "run", "tidewatt/name": launch.name} if launch.name else {WANTED: "run"}
    disrupted = {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": options.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [disrupted]},
            "ttlSecondsAfterFinished": options.keep_s,
            "template": {"metadata": {"labels": labels}, "spec": _pod(launch, options, secret)},
        },
    }


def secret(launch: Launch, options: KubernetesOptions, home: str, uid: str) -> Form:
    """What the job kept of its submitter's environment; it goes when the Job of that uid goes.

    Raises:
        BackendError: It cannot be read, or is larger than a cluster keeps.
    """
    name, values = token(launch), kept(launch)
    if sum(len(each.encode()) for item in values.items() for each in item) > MOST_SECRET_BYTES:
        raise BackendError(
            "the job's environment is larger than a Secret may be: keep fewer names, --env NAME"
        )
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
    labels = {"app.kubernetes.io/managed-by": "tidewatt", "tidewatt/home": home, "tidewatt/attempt": name}
    metadata = {"name": name, "namespace": options.namespace, "labels": labels, "ownerReferences": [owner]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "immutable": True,
        "metadata": metadata,
        "stringData": values,
    }


def kept(launch: Launch) -> dict[str, str]:
    """What goes along of the kept environment: not what describes the submitter's host."""
    if launch.environment_file is None:
        return {}
    values = environment.read(launch.environment_file)
    return {
        name: value
        for name, value in values.items()
        if _NAME.match(name)
        and name not in _HOSTS_OWN
        and name not in environment.BASE
        and not name.startswith(_HOSTS_PREFIXES)
    }


def _pod(launch: Launch, options: KubernetesOptions, secret: bool) -> Form:
    terms = launch.pausing
    grace_s = max(launch.grace_s, terms.grace_s if terms is not None else 0.0)
    spec: Form = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": max(1, math.ceil(grace_s)),
        "automountServiceAccountToken": bool(options.service_account),
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}} | _user(options),
        "containers": [_container(launch, options, secret)],
    }
    if launch.time_limit_s is not None:
        # Of the pod, not of the Job: that one would also count the time for which no node is free.
        spec["activeDeadlineSeconds"] = max(1, math.ceil(launch.time_limit_s / launch.clock.factor))
    selector = dict(options.node_selector)
    if launch.gpus and launch.gpu_kind in options.gpu_products:
        selector[options.gpu_label] = options.gpu_products[launch.gpu_kind]
    more: Form = {
        "serviceAccountName": options.service_account,
        "nodeSelector": selector,
        "priorityClassName": options.priority_class,
        "runtimeClassName": options.runtime_class,
        "imagePullSecrets": [{"name": name} for name in options.image_pull_secrets],
        "tolerations": [_said(each.model_dump()) for each in options.tolerations],
        "volumes": [
            {"name": f"v{index}", "persistentVolumeClaim": {"claimName": claim}}
            for index, claim in enumerate(_claims(options))
        ],
    }
    return spec | _said(more)


def _user(options: KubernetesOptions) -> Form:
    user = options.run_as_user
    return {} if user is None else {"runAsUser": user, "runAsNonRoot": True}


def _container(launch: Launch, options: KubernetesOptions, secret: bool) -> Form:
    claims = _claims(options)
    requests = {"cpu": str(max(1, launch.cpus))}
    limits: dict[str, str] = {}
    if launch.mem_mb:
        requests["memory"] = limits["memory"] = f"{launch.mem_mb}Mi"
    if launch.gpus:
        requests[options.gpu_resource] = limits[options.gpu_resource] = str(launch.gpus)
    form: Form = {
        "name": CONTAINER,
        "image": options.image,
        "command": [_literal(word) for word in _argv(launch)],
        "env": [{"name": name, "value": _literal(value)} for name, value in _variables(launch, options)],
        "resources": _said({"requests": requests, "limits": limits}),
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    more: Form = {
        "workingDir": _working_dir(launch, options),
        "envFrom": [{"secretRef": {"name": token(launch)}}] if secret else [],
        "volumeMounts": [
            _said(
                {
                    "name": f"v{claims.index(each.claim)}",
                    "mountPath": each.path,
                    "subPath": each.sub_path,
                    "readOnly": each.read_only,
                }
            )
            for each in options.volumes
        ],
    }
    return form | _said(more)


def _argv(launch: Launch) -> tuple[str, ...]:
    terms = launch.pausing
    return launch.argv + (terms.resume_args if launch.resumes is not None and terms is not None else ())


def _variables(launch: Launch, options: KubernetesOptions) -> list[tuple[str, str]]:
    values = dict(launch.variables)
    terms = launch.pausing
    if terms is not None:
        if launch.resumes is not None:
            values |= {**terms.resume_env, "TIDEWATT_RESUME": "1"}
        if terms.folder:
            place = PurePosixPath(_working_dir(launch, options) or ".") / terms.folder
            values["TIDEWATT_CHECKPOINT_DIR"] = str(place)
    values |= {
        "TIDEWATT_JOB_ID": launch.attempt_id.partition(".")[0],
        "TIDEWATT_ATTEMPT": launch.attempt_id,
    }
    return sorted(values.items())


def _working_dir(launch: Launch, options: KubernetesOptions) -> str:
    if options.working_dir:
        return options.working_dir
    here = PurePosixPath(launch.cwd)
    return str(here) if any(here.is_relative_to(each.path) for each in options.volumes) else ""


def _claims(options: KubernetesOptions) -> list[str]:
    return list(dict.fromkeys(each.claim for each in options.volumes))


def _literal(word: str) -> str:
    """Kept from being expanded: in `command` and `env` a cluster replaces $(NAME), and $$ stands for $."""
    return word.replace("$", "$$")


def _said(form: Form) -> Form:
    """Without what is empty or off."""
    return {name: value for name, value in form.items() if value}
