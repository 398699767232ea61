"""Meters: raw readings of a host's devices, and the energy between them."""
