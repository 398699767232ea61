"""A fault that meters meet: devices that draw as their waves say, and what happens to them in a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.meters.powercap import DRAM_UJ, Zone
from tests.meters.scene import Gpu, Scene
from tests.meters.truth import Wave

A, B, C, D = (f"GPU-{letter * 8}-1111-2222-3333-444444444444" for letter in "abcd")
MIG = "MIG-eeeeeeee-1111-2222-3333-444444444444"
NOON_MS = 1_717_243_200_000  # 2024-06-01 12:00 UTC
STEADY = Wave(400)
PACKAGE, MEMORY = Wave(85), Wave(20)


@dataclass(frozen=True, slots=True)
class Event:
    """At this part of the run (0 to 1) the scene is told this."""

    at: float
    happens: Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Expected:
    """`how` of all that is known of a component, and how much of the run that must and may cover."""

    how: str = "measured"
    least: float = 1.0
    most: float = 1.0


MEASURED = Expected()
MODELLED = Expected("modelled")
MISSING = Expected("missing", 0.0, 0.0)


def partly(least: float, most: float, how: str = "measured") -> Expected:
    """Of this share of the run the energy is known, the rest is missing."""
    return Expected(how, least, most)


@dataclass(frozen=True, slots=True)
class Case:
    """One fault. `live` where it can also happen to a meter that runs on real seconds."""

    name: str
    expect: Mapping[str, Expected]
    gpus: tuple[Gpu, ...] = ()
    packages: Mapping[str, Wave] = field(default_factory=dict)  # what draws beside the GPUs: "package-0"
    zones: tuple[Zone, ...] = ()
    at_start: Callable[[Scene, float], None] | None = None  # just before the run of so many seconds
    events: tuple[Event, ...] = ()
    allocated: tuple[str, ...] = ()  # all GPUs where not said
    migs: tuple[tuple[str, str, int], ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 237.0
    interval_s: float = 10.0
    wall_ms: int = NOON_MS  # what the wall clock shows when the host begins
    tdp_w: float = 100.0
    share: float = 1.0  # of the GPUs' energy that is the attempt's
    live: bool = False
    told: str = ""  # words that a note of the account must hold

    @property
    def uuids(self) -> tuple[str, ...]:
        """The GPUs that the attempt was given."""
        return self.allocated or tuple(gpu.uuid for gpu in self.gpus)

    def devices(self, component: str, uuids: tuple[str, ...]) -> tuple[str, ...]:
        """What draws for an attempt with these GPUs in that component."""
        if component == "gpu":
            parents = {mig: parent for mig, parent, _ in self.migs}
            return tuple(parents.get(uuid, uuid) for uuid in uuids)
        memory = {name for name in self.packages if "dram" in name}
        return tuple(sorted(memory if component == "dram" else set(self.packages) - memory))


def one_gpu(name: str, *events: Event, wave: Wave = STEADY, **more: object) -> Case:
    """A case of one GPU; `facts` are those of the fake GPU."""
    facts = more.pop("facts", {})
    given: dict[str, object] = {"expect": {"gpu": MEASURED}, "events": events} | more
    return Case(name, gpus=(Gpu(A, wave, facts),), **given)  # type: ignore[arg-type]  # a builder


def package(number: int, **more: object) -> Zone:
    """The zone of a package."""
    facts = {"start_uj": (number + 1) * 7_000_000_000} | more
    return Zone(f"intel-rapl:{number}", f"package-{number}", (f"package-{number}",), **facts)  # type: ignore[arg-type]


def memory(number: int) -> Zone:
    """The zone of a package's memory."""
    start_uj = (number + 1) * 3_000_000_000
    return Zone(f"intel-rapl:{number}:0", "dram", (f"dram-{number}",), start_uj, DRAM_UJ)


def rapl(name: str, *zones: Zone, events: tuple[Event, ...] = (), **more: object) -> Case:
    """A case of CPU packages: what they draw is told by the zones' `of`."""
    drawn = {
        device: MEMORY if "dram" in device else PACKAGE
        for zone in zones
        for device in zone.of
        if device != "board"
    }
    given: dict[str, object] = {"expect": {"cpu": MEASURED}, "packages": drawn} | more
    return Case(name, zones=zones, events=events, **given)  # type: ignore[arg-type]  # a builder


def square(hertz: float, *, facts: Mapping[str, int] | None = None, **more: object) -> Case:
    """A GPU that draws 100 and 700 W in turn."""
    wave = Wave(700, 100, round(1000 / hertz))
    return one_gpu(
        f"square wave 100/700 W, {hertz:g} Hz",
        wave=wave,
        facts={"quantum_ms": 100} | dict(facts or {}),
        **more,
    )


def change(uuid: str, **facts: int) -> Callable[[Scene], None]:
    """The event that facts of a GPU change."""
    return lambda scene: scene.change_gpu(uuid, **facts)


def zone_fault(place: str, fault: str) -> Callable[[Scene], None]:
    """The event that a zone breaks, or with "" is mended."""
    return lambda scene: scene.powercap.change(place, fault)


BOTH = {"gpu": MEASURED, "cpu": MEASURED}
WHOLE = {"gpus": (Gpu(A, STEADY),), "packages": {"package-0": PACKAGE}, "zones": (package(0, limit_w=180),)}


def whole(name: str, *events: Event, **more: object) -> Case:
    """A case of a host with a GPU and a package, to which something happens as a whole."""
    given: dict[str, object] = {"expect": BOTH, "events": events} | WHOLE | more
    return Case(name, **given)  # type: ignore[arg-type]  # a builder
