"""SkyPilot as a way to every other cloud: a cluster for each attempt, in a place that we have fixed."""

from tidewatt.backends.skypilot.engine import SkyPilotEngine as SkyPilotEngine
