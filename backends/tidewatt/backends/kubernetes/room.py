"""What a region's nodes have, and what of it nobody has asked for."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from tidewatt.backends.backend import Capacity
from tidewatt.backends.kubernetes.cluster import Cluster
from tidewatt.backends.kubernetes.options import KubernetesOptions

Form = dict[str, Any]
_UNITS = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
_ANY = "GPU"


def capacity(cluster: Cluster, options: KubernetesOptions) -> Capacity:
    """The nodes that the region's selector fits, without those that are cordoned.

    Raises:
        BackendError: The cluster does not answer, or does not let us look at its nodes.
    """
    selector = ",".join(f"{name}={value}" for name, value in sorted(options.node_selector.items()))
    nodes = cluster.listed("/api/v1/nodes", selector)
    open_ = {each["metadata"]["name"]: each for each in nodes if _takes_pods(each)}
    pods = cluster.listed("/api/v1/pods", fields="status.phase!=Succeeded,status.phase!=Failed")
    cpus, cpus_free = Decimal(0), Decimal(0)
    gpus: dict[str, int] = {}
    free: dict[str, int] = {}
    used = _used(pods, options.gpu_resource)
    for name, node in open_.items():
        has = node.get("status", {}).get("allocatable") or {}
        cores, cards = quantity(has.get("cpu", "0")), int(quantity(has.get(options.gpu_resource, "0")))
        cores_used, cards_used = used.get(name, (Decimal(0), 0))
        cpus += cores
        cpus_free += max(Decimal(0), cores - cores_used)
        if cards:
            kind = _kind(node, options)
            gpus[kind] = gpus.get(kind, 0) + cards
            free[kind] = free.get(kind, 0) + max(0, cards - cards_used)
    shut = len(nodes) - len(open_)
    note = f"{shut} of {len(nodes)} nodes are cordoned or not ready, and not counted" if shut else ""
    return Capacity(gpus, free, int(cpus), int(cpus_free), note)


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity ("500m", "2Gi", "1e3") as a number.

    Raises:
        ValueError: It is none.
    """
    number = text.rstrip("numkKMGTPEi")
    unit = text[len(number) :]
    try:
        return Decimal(number) * _UNITS[unit]
    except (InvalidOperation, KeyError):
        raise ValueError(f"{text!r} is no quantity") from None


def _takes_pods(node: Form) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not node.get("spec", {}).get("unschedulable")


def _used(pods: list[Form], resource: str) -> Mapping[str, tuple[Decimal, int]]:
    """Cores and GPUs that the pods of each node ask for."""
    found: dict[str, tuple[Decimal, int]] = {}
    for pod in pods:
        spec = pod.get("spec", {})
        if not spec.get("nodeName"):
            continue
        cores, cards = found.get(spec["nodeName"], (Decimal(0), 0))
        for container in spec.get("containers") or ():
            asked = (container.get("resources") or {}).get("requests") or {}
            cores += quantity(asked.get("cpu", "0"))
            cards += int(quantity(asked.get(resource, "0")))
        found[spec["nodeName"]] = (cores, cards)
    return found


def _kind(node: Form, options: KubernetesOptions) -> str:
    """The kind of a node's GPUs as the region calls it, else as its label says."""
    product = (node["metadata"].get("labels") or {}).get(options.gpu_label, "")
    return next((kind for kind, label in options.gpu_products.items() if label == product), product or _ANY)
