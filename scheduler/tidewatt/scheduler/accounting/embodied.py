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

    low_kg: int
    central_kg: int
    high_kg: int
    source: str


# Cards of a kind are found by a word of their name, the first that fits.
GPUS: dict[str, Figure] = {
    "A100": Figure(
        181, 319, 322,
        "A100: 181 Falk et al. 2025 (parametric model for ADEME, use excluded); 319 SXM, 322 PCIe BoaviztAPI"
        " 2.5.0",
    ),
    "H100": Figure(
        164, 370, 575,
        "H100: 164 an eighth of NVIDIA's HGX H100 board, as quoted by others; 575 BoaviztAPI 2.5.0; central"
        " is their middle",
    ),
}  # fmt: skip
ANY_GPU = Figure(
    150, 319, 575,
    "GPU of another model, from 150 (Cloud Carbon Footprint, any GPU) to 575 (H100, BoaviztAPI 2.5.0);"
    " central is an A100's 319",
)  # fmt: skip
SERVER = Figure(
    1000, 1000, 1000,
    "server without GPUs: 1,000 Cloud Carbon Footprint, any server; no range was published with it",
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


def hardware_of(table: EmbodiedTable, host_gpus: int, host_cpus: int) -> dict[str, Any]:
    """What is frozen at launch, in integers and strings: a server of the region, the operator's figures."""
    own = {
        "gpu_g": None if table.gpu_kg is None else round(table.gpu_kg * _G_PER_KG),
        "server_g": None if table.server_kg is None else round(table.server_kg * _G_PER_KG),
        "source": table.source or None,
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
        share = Fraction(held.gpus, max(hardware["server_gpus"], held.gpus))
        rule = f"shared by its {hardware['server_gpus']} GPUs"
    else:
        share = Fraction(held.cpus, max(hardware["server_cpus"], held.cpus))
        rule = f"shared by its {hardware['server_cpus']} CPUs"
    grams, source = _grams(SERVER, hardware, "server")
    yield time * share, grams, f"{source}; {rule}"


def _grams(published: Figure, hardware: Mapping[str, Any], what: str) -> tuple[tuple[int, int, int], str]:
    """The operator's own figure where there is one, without a range."""
    own = hardware.get(f"{what}_g")
    if own is not None:
        return (own, own, own), f"{what} {own / _G_PER_KG:g}: {hardware.get('source', 'stated')}"
    figures = published.low_kg, published.central_kg, published.high_kg
    low, central, high = (kg * _G_PER_KG for kg in figures)
    return (low, central, high), f"kg {published.source}"
