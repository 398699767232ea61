"""Drives a cluster by the official client, which knows nothing of us; prints what it saw as JSON.

Run by a Python that has the package `kubernetes`: official_client.py KUBECONFIG JOB_NAME
"""

import json
import sys
import time

from kubernetes import client, config, watch  # type: ignore[import-not-found]


def main() -> None:
    """Makes a Job, holds it, lets it go, reads its log, reads one of ours, and deletes both."""
    config.load_kube_config(sys.argv[1])
    batch, core = client.BatchV1Api(), client.CoreV1Api()
    container = client.V1Container(
        name="main", image="busybox", command=["sh", "-c", "echo theirs; sleep 0.2"]
    )
    pod = client.V1PodSpec(restart_policy="Never", containers=[container])
    spec = client.V1JobSpec(template=client.V1PodTemplateSpec(spec=pod), suspend=True, backoff_limit=0)
    metadata = client.V1ObjectMeta(name="theirs", labels={"team": "theirs"})
    body = client.V1Job(api_version="batch/v1", kind="Job", metadata=metadata, spec=spec)
    made = batch.create_namespaced_job("default", body)
    seen = {"suspended": made.spec.suspend, "pods": len(core.list_namespaced_pod("default").items)}
    batch.patch_namespaced_job("theirs", "default", {"spec": {"suspend": False}})
    for event in watch.Watch().stream(
        batch.list_namespaced_job, "default", label_selector="team=theirs", timeout_seconds=20
    ):
        held = [each.type for each in event["object"].status.conditions or () if each.status == "True"]
        if "Complete" in held:
            seen["conditions"] = held
            break
    (theirs,) = core.list_namespaced_pod("default", label_selector="job-name=theirs").items
    seen["log"] = core.read_namespaced_pod_log(theirs.metadata.name, "default")
    ours = batch.read_namespaced_job(sys.argv[2], "default")
    seen["ours"] = [
        ours.spec.pod_replacement_policy,
        ours.spec.backoff_limit,
        ours.metadata.labels["tidewatt/job"],
    ]
    try:
        batch.create_namespaced_job("default", body)
    except client.ApiException as error:
        seen["again"] = error.status
    batch.delete_namespaced_job("theirs", "default", propagation_policy="Background")
    while core.list_namespaced_pod("default", label_selector="job-name=theirs").items:
        time.sleep(0.05)
    seen["left"] = [job.metadata.name for job in batch.list_namespaced_job("default").items]
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
