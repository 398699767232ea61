"""The design power of CPUs, for hosts on which the CPU's energy cannot be measured.

Watts are those of the makers' product pages (ark.intel.com, amd.com; "TDP" or "processor base power"). What
the table does not know is assumed per hardware thread, and labelled so.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Watts at idle and at full load of one vCPU, AWS averages of the Cloud Carbon Footprint methodology
# (appendix I), which fits them to SPECpower results: 0.74 and 3.5.
THREAD_W = 3.5
IDLE_SHARE = 0.74 / 3.5

# Longer names first where one is the beginning of another; matched as whole words of the model name.
_TDP_W = {
    # AMD EPYC
    "EPYC 7251": 120, "EPYC 7351": 170, "EPYC 7401": 170, "EPYC 7501": 170, "EPYC 7551": 180,
    "EPYC 7601": 180, "EPYC 7232P": 120, "EPYC 7262": 155, "EPYC 7282": 120, "EPYC 7302": 155,
    "EPYC 7402": 180, "EPYC 7452": 155, "EPYC 7502": 180, "EPYC 7542": 225, "EPYC 7702": 200,
    "EPYC 7742": 225, "EPYC 7H12": 280, "EPYC 7313": 155, "EPYC 7343": 190, "EPYC 7413": 180,
    "EPYC 7443": 200, "EPYC 7453": 225, "EPYC 7513": 200, "EPYC 7543": 225, "EPYC 7643": 225,
    "EPYC 7663": 240, "EPYC 7713": 225, "EPYC 7763": 280, "EPYC 7773X": 280, "EPYC 9124": 200,
    "EPYC 9224": 200, "EPYC 9254": 200, "EPYC 9334": 210, "EPYC 9354": 280, "EPYC 9374F": 320,
    "EPYC 9454": 290, "EPYC 9474F": 360, "EPYC 9534": 280, "EPYC 9554": 360, "EPYC 9634": 290,
    "EPYC 9654": 360, "EPYC 9684X": 400, "EPYC 9754": 360,
    # AMD Ryzen and Threadripper
    "Ryzen 5 3600": 65, "Ryzen 7 3700X": 65, "Ryzen 9 3900X": 105, "Ryzen 9 3950X": 105,
    "Ryzen 5 5600X": 65, "Ryzen 7 5800X": 105, "Ryzen 7 5800X3D": 105, "Ryzen 9 5900X": 105,
    "Ryzen 9 5950X": 105, "Ryzen 5 7600X": 105, "Ryzen 7 7700X": 105, "Ryzen 7 7800X3D": 120,
    "Ryzen 9 7900X": 170, "Ryzen 9 7950X": 170, "Ryzen 9 7950X3D": 120, "Ryzen 7 9700X": 65,
    "Ryzen 9 9900X": 120, "Ryzen 9 9950X": 170, "Ryzen Threadripper 2990WX": 250,
    "Ryzen Threadripper 3960X": 280, "Ryzen Threadripper 3970X": 280, "Ryzen Threadripper 3990X": 280,
    "Ryzen Threadripper PRO 3995WX": 280, "Ryzen Threadripper PRO 5975WX": 280,
    "Ryzen Threadripper PRO 5995WX": 280, "Ryzen Threadripper PRO 7995WX": 350,
    # Intel Xeon
    "Xeon E5-2620 v4": 85, "Xeon E5-2630 v4": 85, "Xeon E5-2650 v4": 105, "Xeon E5-2680 v4": 120,
    "Xeon E5-2690 v4": 135, "Xeon E5-2695 v4": 120, "Xeon E5-2698 v4": 135, "Xeon E5-2699 v4": 145,
    "Xeon Silver 4114": 85, "Xeon Silver 4210": 85, "Xeon Silver 4214": 85, "Xeon Silver 4216": 100,
    "Xeon Silver 4310": 120, "Xeon Silver 4314": 135, "Xeon Gold 5118": 105, "Xeon Gold 5218": 125,
    "Xeon Gold 6126": 125, "Xeon Gold 6130": 125, "Xeon Gold 6140": 140, "Xeon Gold 6148": 150,
    "Xeon Gold 6226R": 150, "Xeon Gold 6230": 125, "Xeon Gold 6240": 150, "Xeon Gold 6248": 150,
    "Xeon Gold 6248R": 205, "Xeon Gold 6326": 185, "Xeon Gold 6330": 205, "Xeon Gold 6338": 205,
    "Xeon Gold 6348": 235, "Xeon Platinum 8160": 150, "Xeon Platinum 8168": 205, "Xeon Platinum 8180": 205,
    "Xeon Platinum 8260": 165, "Xeon Platinum 8268": 205, "Xeon Platinum 8280": 205,
    "Xeon Platinum 8358": 250, "Xeon Platinum 8360Y": 250, "Xeon Platinum 8380": 270,
    "Xeon Platinum 8462Y+": 300, "Xeon Platinum 8468": 350, "Xeon Platinum 8480+": 350,
    "Xeon Platinum 8480C": 350, "Xeon Platinum 8490H": 350, "Xeon Platinum 8592+": 350,
    # Intel Core
    "i7-6700K": 91, "i7-7700K": 91, "i7-8700K": 95, "i7-9700K": 95, "i9-9900K": 95, "i7-10700K": 125,
    "i9-10900K": 125, "i7-11700K": 125, "i9-11900K": 125, "i5-12600K": 125, "i7-12700K": 125,
    "i9-12900K": 125, "i5-13600K": 125, "i7-13700K": 125, "i9-13900K": 125, "i7-14700K": 125,
    "i9-14900K": 125, "i9-10980XE": 165,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cpu:
    """The host's CPUs: `threads` that Linux may run on, in `sockets`."""

    name: str
    threads: int
    sockets: int
    virtual: bool


@dataclass(frozen=True, slots=True)
class Tdp:
    """Design power of all of the host's CPUs together, and how that is known."""

    watts: float
    source: str


def design_power(cpu: Cpu, setting_w: float | None = None) -> Tdp:
    """The operator's setting, else the table's, else an assumption per thread."""
    if setting_w is not None:
        return Tdp(setting_w, f"{setting_w:g} W (set)")
    assumed = Tdp(
        THREAD_W * cpu.threads,
        f"{THREAD_W * cpu.threads:g} W (assumed: {THREAD_W} W a thread, cloud average)",
    )
    if cpu.virtual:  # a guest sees the host's CPU by name, but has only some of its threads
        return assumed
    name = _plain(cpu.name)
    for known in sorted(_TDP_W, key=len, reverse=True):
        if re.search(rf"(?<![\w-]){re.escape(known)}(?![\w+])", name):
            watts = float(_TDP_W[known] * cpu.sockets)
            each = f"{cpu.sockets} x " if cpu.sockets > 1 else ""
            return Tdp(watts, f"{each}{_TDP_W[known]} W (design power of {known})")
    return assumed


def _plain(name: str) -> str:
    """A model name without marks: "Intel(R) Xeon(R) Gold 6148 CPU @ ..." becomes "Intel Xeon Gold 6148"."""
    return " ".join(re.sub(r"\((?:R|TM|tm|r)\)|\bCPU\b", " ", name).split())


@cache
def this_cpu(path: Path = Path("/proc/cpuinfo")) -> Cpu:
    """What /proc/cpuinfo says of this host."""
    text = path.read_text(errors="replace")
    names = re.findall(r"^model name\s*: (.*)$", text, re.MULTILINE)
    threads = len(re.findall(r"^processor\s*:", text, re.MULTILINE)) or 1
    sockets = len(set(re.findall(r"^physical id\s*: (\d+)$", text, re.MULTILINE))) or 1
    virtual = bool(re.search(r"^flags\s*:.*\bhypervisor\b", text, re.MULTILINE))
    return Cpu(names[0].strip() if names else "unknown CPU", threads, sockets, virtual)
