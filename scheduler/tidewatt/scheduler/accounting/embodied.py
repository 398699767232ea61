"""A job's share of what making its hardware emitted. For reports alone: no decision ever sees it.

Bashir et al. (SoCC 2024) show why: who schedules by carbon that is emitted already can raise what is emitted
in all. The share is that of ISO/IEC 21031:2024, M = TE x (time reserved / expected lifetime) x (resources
reserved / all of them).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tidewatt.scheduler.account_tables import EmbodiedTable
from tidewatt.scheduler.accounting.units import HOUR_MS
from tidewatt.scheduler.schemas import EmbodiedView

LIFETIME_YEARS = 4
LIFETIME_SOURCE = "4 years: Cloud Carbon Footprint, as the Impact Framework takes it"
_HOURS_PER_YEAR = 8760
_G_PER_KG = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """kg CO2e of making one thing: lowest, central and highest of what was published, and by whom."""

    name: str
    low_kg: int
    central_kg: int
    high_kg: int
    source: str


# Cards of a kind are found by a word of their name, the first that fits.
GPUS: dict[str, Figure] = {
    "A100": Figure(
        "A100", 181, 319, 322,
        "low: Falk et al. 2025, a parametric model for ADEME, use excluded; else BoaviztAPI 2.5.0, SXM and"
        " PCIe",
    ),
    "H100": Figure(
        "H100", 164, 370, 575,
        "low: an eighth of NVIDIA's HGX H100 board, as quoted by others; high: BoaviztAPI 2.5.0; central:"
        " their middle",
    ),
}  # fmt: skip
ANY_GPU = Figure(
    "GPU without a published figure", 150, 319, 575,
    "low: Cloud Carbon Footprint, any GPU; central: an A100, high: an H100, both BoaviztAPI 2.5.0",
)  # fmt: skip
SERVER = Figure(
    "server without GPUs", 1000, 1000, 1000,
    "Cloud Carbon Footprint, any server: one figure, published without a range",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """What an attempt kept from others, for how long, and of what server; `hardware_of` gives `hardware`."""

    gpu_model: str
    gpus: int
    cpus: int
    ms: int
    hardware: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Embodied:
    """A share in micrograms of CO2e, with the sources of it."""

    low_ug: int
    central_ug: int
    high_ug: int
    sources: tuple[str, ...]

    def view(self) -> EmbodiedView:
        """As clients see it, in grams."""
        return EmbodiedView(
            low_g=self.low_ug / 1e6,
            central_g=self.central_ug / 1e6,
            high_g=self.high_ug / 1e6,
            sources=self.sources,
        )


def hardware_of(
    table: EmbodiedTable, host_gpus: int, host_cpus: int, *, guest: bool = False
) -> dict[str, Any]:
    """What is frozen at launch, in integers and strings: a server of the region, the operator's figures.

    A `guest` is a virtual machine, which sees a part of its server only.
    """
    own = {
        "gpu_g": None if table.gpu_kg is None else round(table.gpu_kg * _G_PER_KG),
        "server_g": None if table.server_kg is None else round(table.server_kg * _G_PER_KG),
        "source": table.source or None,
        "guest": 1 if guest and table.server_gpus is None and table.server_cpus is None else None,
    }
    years = table.lifetime_years
    return {
        "server_gpus": table.server_gpus or host_gpus,
        "server_cpus": table.server_cpus or host_cpus,
        "lifetime_h": round((LIFETIME_YEARS if years is None else years) * _HOURS_PER_YEAR),
        "lifetime_source": LIFETIME_SOURCE if years is None else f"{years:g} years: stated",
        **{name: value for name, value in own.items() if value is not None},
    }


def embodied(attempts: Iterable[Held]) -> Embodied | None:
    """The share of all attempts together; None where none ran, or of one it is not known what it ran on.

    A GPU counts by allocation. Of the server that GPUs are in, a job has the share of its GPUs; without any,
    that of its CPUs.
    """
    held = list(attempts)
    if not held or any(not each.hardware for each in held):
        return None
    sums = [Fraction(0)] * 3
    sources: dict[str, None] = {}
    for each in held:
        for share, figures, source in _parts(each):
            sources[source] = None
            sums = [total + share * grams for total, grams in zip(sums, figures, strict=True)]
        sources[f"lifetime {each.hardware['lifetime_source']}"] = None
    low, central, high = (round(total * 1_000_000) for total in sums)
    return Embodied(low, central, high, tuple(sources))


def gpu_figure(model: str) -> Figure:
    """What is published of a model of GPU, else of any."""
    words = re.split(r"[^A-Z0-9]+", model.upper())
    return next((figure for word, figure in GPUS.items() if word in words), ANY_GPU)


def _parts(held: Held) -> Iterable[tuple[Fraction, tuple[int, int, int], str]]:
    """Of GPUs and of the server: the share of one, its grams low, central and high, and whose they are."""
    hardware = held.hardware
    time = Fraction(held.ms, hardware["lifetime_h"] * HOUR_MS)
    if held.gpus:
        yield time * held.gpus, *_grams(gpu_figure(held.gpu_model), hardware, "gpu")
    ours, what = (held.gpus, "GPUs") if held.gpus else (held.cpus, "CPUs")
    whole = hardware[f"server_{what.lower()}"]
    grams, source = _grams(SERVER, hardware, "server")
    yield (
        time * Fraction(ours, max(whole, ours)),
        grams,
        f"{source}; shared by {_sharers(whole, what, hardware)}",
    )


def _sharers(whole: int, what: str, hardware: Mapping[str, Any]) -> str:
    if hardware.get("guest"):
        return (
            f"the {whole} {what} of this virtual machine, for want of its server's, so it is at most this"
            f" (server_{what.lower()} states them)"
        )
    return f"its {whole} {what}"


def _grams(published: Figure, hardware: Mapping[str, Any], what: str) -> tuple[tuple[int, int, int], str]:
    """The operator's own figure where there is one, without a range."""
    own = hardware.get(f"{what}_g")
    if own is not None:
        return (own, own, own), f"{what}: {own / _G_PER_KG:,g} kg ({hardware.get('source', 'stated')})"
    low, central, high = published.low_kg, published.central_kg, published.high_kg
    kg = f"{central:,}" if low == high else f"{low:,} to {high:,}, central {central:,}"
    grams = (low * _G_PER_KG, central * _G_PER_KG, high * _G_PER_KG)
    return grams, f"{published.name}: {kg} kg ({published.source})"
