"""Ray clusters as regions: jobs through the Jobs REST API, held by us until their start has come."""

from tidewatt.backends.ray.engine import RayEngine as RayEngine
