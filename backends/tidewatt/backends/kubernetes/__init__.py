"""Kubernetes clusters: attempts as Jobs, by the plain HTTP interface."""

from tidewatt.backends.kubernetes.engine import KubernetesEngine

__all__ = ["KubernetesEngine"]
