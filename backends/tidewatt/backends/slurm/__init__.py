"""Slurm: clusters or partitions as regions, on this host or through a login node."""

from tidewatt.backends.slurm.engine import SlurmEngine

__all__ = ["SlurmEngine"]
