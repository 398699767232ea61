"""What a carbon-intensity number means: two numbers of different kinds are never compared or mixed."""

from dataclasses import dataclass
from enum import StrEnum


class Signal(StrEnum):
    """Which question the number answers."""

    AVERAGE = "average"  # emissions of all generation, divided by all generation
    MARGINAL = "marginal"  # emissions that one more kWh causes


class Basis(StrEnum):
    """Which emissions count."""

    LIFECYCLE = "lifecycle"  # with building plants and extracting fuel
    DIRECT = "direct"  # from the stack only


class Boundary(StrEnum):
    """Whose electricity is meant."""

    PRODUCTION = "production"  # generated in the zone
    CONSUMPTION = "consumption"  # used in the zone: imports in, exports out


@dataclass(frozen=True, slots=True)
class Kind:
    """Signal, basis, boundary and gas of a series."""

    signal: Signal
    basis: Basis
    boundary: Boundary
    gas: str = "CO2eq"

    def continues(self, other: "Kind") -> bool:
        """True where a series of this kind may continue one of `other`: only the boundary may differ."""
        return (self.signal, self.basis, self.gas) == (other.signal, other.basis, other.gas)

    def __str__(self) -> str:
        """Returns for example `average lifecycle CO2eq, production`."""
        return f"{self.signal} {self.basis} {self.gas}, {self.boundary}"
