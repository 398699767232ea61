"""What a submit would send, as text."""

import json

from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.kubernetes import manifest, release
from tidewatt.backends.kubernetes.options import KubernetesOptions

_UID = "<the Job's uid>"


def rehearsed(launch: Launch, options: KubernetesOptions, home: str) -> str:
    """The requests in their order; of the environment only the names."""
    try:
        names = sorted(manifest.kept(launch)) if options.environment else []
        note = ""
    except BackendError:  # it is written when the job is stored
        names, note = [], "# and a Secret with the environment that the job keeps, if it keeps any\n"
    name = manifest.token(launch)
    jobs = f"/apis/batch/v1/namespaces/{options.namespace}/jobs"
    where = "the cluster of this pod" if options.in_cluster else f"context {options.context or '(current)'}"
    parts = [f"# {where}\nPOST {jobs}\n{_text(manifest.job(launch, options, home, bool(names)))}\n{note}"]
    if names:
        form = {"metadata": {"name": name}, "stringData": dict.fromkeys(names, "...")}
        parts.append(f"POST /api/v1/namespaces/{options.namespace}/secrets\n{_text(form)}\n")
    go: dict[str, object]
    if options.queue:
        go = {"op": "add", "path": release.QUEUE_PATH, "value": options.queue}
    else:
        go = {"op": "replace", "path": "/spec/suspend", "value": False}
    test = {"op": "test", "path": "/metadata/uid", "value": _UID}
    parts.append(f"PATCH {jobs}/{name}\n{_text([test, go])}\n")
    return "\n".join(parts)


def _text(form: object) -> str:
    return json.dumps(form, indent=2)
