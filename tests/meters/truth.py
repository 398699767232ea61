"""What devices really draw: waveforms in time, kept as they were applied, and their integral."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Wave:
    """A draw: `high_w` all the time, or low and high in turn, half of `period_ms` each, low first."""

    high_w: float
    low_w: float = 0.0
    period_ms: int = 0

    def energy_uj(self, passed_ms: int) -> int:
        """Microjoules in so many milliseconds from the wave's start."""
        high, low = round(self.high_w * 1000), round(self.low_w * 1000)
        if not self.period_ms:
            return high * passed_ms
        half = self.period_ms // 2
        whole, phase = divmod(passed_ms, self.period_ms)
        energy_uj = whole * (half * low + (self.period_ms - half) * high)
        return energy_uj + min(phase, half) * low + max(0, phase - half) * high


@dataclass(slots=True)
class Truth:
    """Who drew what since when, by device; times are the scene's own milliseconds."""

    pieces: dict[str, list[tuple[int, Wave]]] = field(default_factory=dict)

    def draw(self, device: str, wave: Wave, from_ms: int) -> None:
        """From then on the device draws so."""
        self.pieces.setdefault(device, []).append((from_ms, wave))

    def energy_uj(self, device: str, start_ms: int, end_ms: int) -> int:
        """Microjoules in `[start_ms, end_ms)`."""
        pieces = self.pieces[device]
        ends = [from_ms for from_ms, _ in pieces[1:]] + [end_ms]
        total = 0
        for (from_ms, wave), to_ms in zip(pieces, ends, strict=True):
            first, last = max(start_ms, from_ms), min(end_ms, to_ms)
            if first < last:
                total += wave.energy_uj(last - from_ms) - wave.energy_uj(first - from_ms)
        return total

    def energy_j(self, devices: Iterable[str], start_ms: int, end_ms: int) -> float:
        """Joules of several devices in `[start_ms, end_ms)`."""
        return sum(self.energy_uj(device, start_ms, end_ms) for device in devices) / 1e6
