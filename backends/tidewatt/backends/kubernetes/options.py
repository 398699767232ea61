"""What a region in a Kubernetes cluster is configured with."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tidewatt.backends.prometheus import PrometheusOptions

_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=_NAME)]
NameOrNone = Annotated[str, Field(pattern=_NAME + "|^$")]
Absolute = Annotated[str, Field(pattern=r"^/[^:]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Part):
    """A taint that the job's pod may stand on, as in a pod."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class Volume(_Part):
    """A PersistentVolumeClaim that the job sees below `path`: its data, its checkpoints."""

    claim: Name
    path: Absolute
    sub_path: str = ""
    read_only: bool = False


class KubernetesOptions(_Part):
    """One namespace of one cluster, and what the jobs' pods there look like.

    `context` is one of `kubeconfig` ("" its current one; the file is $KUBECONFIG or ~/.kube/config unless
    named); with `in_cluster` the daemon's own service account is used instead. `queue` is a Kueue
    LocalQueue, which then decides when a Job is let go. `gpu_products` gives the node label `gpu_label` of a
    kind of GPU: `{ a100 = "NVIDIA-A100-SXM4-80GB" }`. A job runs in `working_dir`, else in its own folder
    where that lies on a volume, else where its image says. `environment` says whether what the job kept of
    its submitter's environment goes along, in a Secret of its own. A pod that cannot get its image is given
    up after `pull_patience_s`; ended Jobs are left to the cluster for `keep_s`.
    """

    context: str = ""
    kubeconfig: Path | None = None
    in_cluster: bool = False
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = "default"
    image: Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
    image_pull_secrets: tuple[Name, ...] = ()
    service_account: NameOrNone = ""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    queue: NameOrNone = ""
    priority_class: NameOrNone = ""
    runtime_class: NameOrNone = ""
    volumes: tuple[Volume, ...] = ()
    working_dir: str = ""
    run_as_user: Annotated[int, Field(ge=1)] | None = None
    gpu_resource: str = "nvidia.com/gpu"
    gpu_label: str = "nvidia.com/gpu.product"
    gpu_products: dict[str, str] = Field(default_factory=dict)
    environment: bool = True
    pull_patience_s: Annotated[float, Field(gt=0)] = 600.0
    keep_s: Annotated[int, Field(ge=300)] = 86_400
    prometheus: PrometheusOptions | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> "KubernetesOptions":
        if self.in_cluster and (self.context or self.kubeconfig):
            raise ValueError(
                "in_cluster uses the daemon's own service account: leave context and kubeconfig out"
            )
        return self
