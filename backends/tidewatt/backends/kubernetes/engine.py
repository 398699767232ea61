"""Kubernetes as one kind of backend among others."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import ClassVar, cast

from pydantic import BaseModel

from tidewatt.backends.backend import Backend, BackendError
from tidewatt.backends.engines import Setting
from tidewatt.backends.kubernetes.backend import KubernetesBackend
from tidewatt.backends.kubernetes.options import KubernetesOptions


class KubernetesEngine:
    """Runs jobs as Kubernetes Jobs. Tested against a strict stand-in, not yet on a real cluster."""

    Options = KubernetesOptions
    experimental: ClassVar[bool] = True

    @staticmethod
    def made(regions: Mapping[str, BaseModel], setting: Setting) -> Backend:
        """One backend for the regions of all clusters.

        Raises:
            BackendError: PyYAML is not installed, and a kubeconfig has to be read.
        """
        options = {name: cast(KubernetesOptions, each) for name, each in regions.items()}
        if find_spec("yaml") is None and not all(each.in_cluster for each in options.values()):
            raise BackendError("kubeconfigs are read with PyYAML: pip install 'tidewatt[kubernetes]'")
        return KubernetesBackend(options, setting)
