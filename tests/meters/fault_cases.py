"""The faults that meters meet, each with a known truth: one table for the acceptance test and the benchmark.

A case is devices that draw as their waves say, and what happens to them at which part of the run. `expect`
says by component how its energy must then be classed; whatever is `measured` must be within 1 % of the truth.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.meters.powercap import DRAM_UJ, Zone
from tests.meters.scene import Gpu, Scene
from tests.meters.truth import Wave

A, B, C, D = (f"GPU-{letter * 8}-1111-2222-3333-444444444444" for letter in "abcd")
MIG = "MIG-eeeeeeee-1111-2222-3333-444444444444"
NOON_MS = 1_717_243_200_000  # 2024-06-01 12:00 UTC
AMD_UJ = 65_532_610_987
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


FOUR = (Gpu(A, STEADY), Gpu(B, Wave(300)), Gpu(C, Wave(200)), Gpu(D, Wave(500)))
TWO_SOCKETS = (package(0), memory(0), package(1), memory(1))
NO_COUNTER = {"counter": 0}

GPU_CASES = (
    one_gpu("one GPU, constant 400 W", live=True, facts={"quantum_ms": 100}),
    Case("four GPUs: summed, not averaged", {"gpu": MEASURED}, FOUR, live=True),
    Case(
        "four GPUs, one of them ours: by UUID in CUDA_VISIBLE_DEVICES",
        {"gpu": MEASURED},
        FOUR,
        allocated=(C,),
        environ={"CUDA_VISIBLE_DEVICES": C},
        live=True,
    ),
    Case(
        "a MIG device, 3 of 7 slices, in CUDA_VISIBLE_DEVICES",
        {"gpu": MODELLED},
        (Gpu(A, STEADY),),
        allocated=(MIG,),
        migs=((MIG, A, 3),),
        environ={"CUDA_VISIBLE_DEVICES": MIG},
        share=3 / 7,
        live=True,
    ),
    one_gpu("no nvidia-smi in PATH", environ={"PATH": "/usr/bin:/bin"}, live=True),
    square(0.1),
    square(0.4, live=True),
    square(1.0, live=True),
    square(1.7, live=True),
    square(10.0, live=True),
    one_gpu(
        "slow counter: steps of 1 s, square wave 0.4 Hz",
        wave=Wave(700, 100, 2500),
        facts={"quantum_ms": 1000},
    ),
    one_gpu("counter unsupported, constant draw", facts=NO_COUNTER, expect={"gpu": MODELLED}, live=True),
    one_gpu(
        "counter unsupported, square wave 1 Hz",
        wave=Wave(700, 100, 1000),
        facts=NO_COUNTER,
        expect={"gpu": MODELLED},
        live=True,
    ),
    one_gpu(
        "counter unsupported, no power either",
        facts={"counter": 0, "power": 0},
        expect={"gpu": MISSING},
        live=True,
    ),
    one_gpu(
        "counter stands still",
        Event(0.5, lambda scene: scene.nvml.stick_counter(A)),
        expect={"gpu": Expected("measured+modelled")},
        live=True,
        told="stands still",
    ),
    one_gpu("counter always 0", facts={"counter": 2, "base_mj": 0}, expect={"gpu": MODELLED}, live=True),
    one_gpu(
        "counter reset",
        Event(0.5, lambda scene: scene.nvml.reset_counter(A)),
        expect={"gpu": Expected("measured+modelled")},
        live=True,
        told="counter reset",
    ),
    one_gpu(
        "counter reset, no power to fill it",
        Event(0.5, lambda scene: scene.nvml.reset_counter(A)),
        facts={"power": 0},
        expect={"gpu": partly(0.9, 0.99)},
        told="counter reset",
    ),
    one_gpu(
        "counter fails for a while (unknown error)",
        Event(0.3, change(A, counter=-999)),
        Event(0.5, change(A, counter=1)),
        live=True,
    ),
    one_gpu(
        "GPU lost and back",
        Event(0.4, lambda scene: scene.lose(A)),
        Event(0.55, lambda scene: scene.find(A)),
        live=True,
    ),
    Case(
        "GPU lost for good, another goes on",
        {"gpu": partly(0.6, 0.8)},
        FOUR[:2],
        events=(Event(0.4, lambda scene: scene.lose(A)),),
        live=True,
    ),
    one_gpu(
        "a value from nowhere: 10^15 mJ more for a moment",
        Event(0.40, change(A, base_mj=10**15)),
        Event(0.46, change(A, base_mj=5_000_000)),
        expect={"gpu": Expected("measured+modelled")},
        told="implausible difference",
    ),
    one_gpu(
        "a value from nowhere, GPU without a power limit",
        Event(0.40, change(A, base_mj=10**15)),
        Event(0.46, change(A, base_mj=5_000_000)),
        facts={"limit_mw": 0},
        expect={"gpu": Expected("measured+modelled")},
        told="implausible difference",
    ),
    one_gpu(
        "permission for the driver withdrawn as the run begins",
        Event(0.0, lambda scene: scene.fail(4)),
        expect={"gpu": MISSING},
        live=True,
    ),
    one_gpu(
        "driver loaded again",
        Event(0.4, lambda scene: scene.fail(9)),
        Event(0.55, lambda scene: scene.load_driver_again()),
        expect={"gpu": partly(0.6, 0.95)},
        live=True,
    ),
)

RAPL_CASES = (
    rapl(
        "two sockets with memory: DRAM sub-zones count",
        *TWO_SOCKETS,
        expect={"cpu": MEASURED, "dram": MEASURED},
        live=True,
    ),
    rapl(
        "package counter wraps",
        package(0, limit_w=180),
        at_start=lambda scene, seconds: scene.powercap.wrap_after("intel-rapl:0", 85 * seconds / 2),
        live=True,
    ),
    rapl(
        "AMD range wraps every three minutes",
        package(0, range_uj=AMD_UJ, start_uj=60_000_000_000, limit_w=360),
        packages={"package-0": Wave(360)},
        seconds=900,
        interval_s=60.0,
    ),
    rapl(
        "gap in which the counter may wrap twice",
        package(0, range_uj=AMD_UJ, limit_w=360),
        packages={"package-0": Wave(360)},
        events=(
            Event(0.3, lambda scene: scene.kill_meter()),
            Event(0.8, lambda scene: scene.start_meter()),
        ),
        seconds=600,
        expect={"cpu": partly(0.45, 0.55)},
        told="wrapped more than once",
    ),
    rapl(
        "two dies that show one counter",
        Zone("intel-rapl:0", "package-0-die-0", ("package-0",)),
        Zone("intel-rapl:1", "package-0-die-1", ("package-0",)),
        live=True,
    ),
    rapl(
        "two packages of one name",
        Zone("intel-rapl:0", "package-0", ("package-0",)),
        Zone("intel-rapl:1", "package-0", ("package-1",), 9_000_000_000),
    ),
    rapl(
        "psys and mmio overlap with the package",
        package(0),
        Zone("intel-rapl:1", "psys", ("package-0", "board"), 5_000_000_000),
        Zone("intel-rapl-mmio:0", "package-0", ("package-0",)),
        packages={"package-0": PACKAGE},
        live=True,
    ),
    rapl("psys only", Zone("intel-rapl:0", "psys", ("package-0",)), expect={"cpu": MODELLED}),
    rapl("zones that nobody may read", package(0, fault="unreadable"), expect={"cpu": MODELLED}, live=True),
    rapl("VM whose counter always reads 0", package(0, fault="dead"), expect={"cpu": MODELLED}, live=True),
    rapl(
        "one of two packages dead",
        package(0),
        package(1, fault="dead"),
        expect={"cpu": MODELLED},
        live=True,
        tdp_w=200.0,
    ),
    rapl("a zone that holds no number", package(0, fault="garbage"), expect={"cpu": MODELLED}),
    rapl(
        "no powercap at all",
        expect={"cpu": MODELLED, "dram": MISSING},
        packages={"package-0": PACKAGE, "dram-0": MEMORY},
        live=True,
    ),
    rapl(
        "permission lost in the run",
        package(0),
        events=(Event(0.5, zone_fault("intel-rapl:0", "unreadable")),),
        expect={"cpu": partly(0.65, 0.8, "measured+modelled")},
        live=True,
    ),
    rapl(
        "permission lost for a while: the counter went on",
        package(0),
        events=(
            Event(0.3, zone_fault("intel-rapl:0", "unreadable")),
            Event(0.5, zone_fault("intel-rapl:0", "")),
        ),
        live=True,
    ),
    rapl(
        "permission lost for a while, and the meter began again in it",
        package(0),
        events=(
            Event(0.25, zone_fault("intel-rapl:0", "unreadable")),
            Event(0.3, lambda scene: scene.kill_meter()),
            Event(0.31, lambda scene: scene.start_meter()),
            Event(0.7, zone_fault("intel-rapl:0", "")),
        ),
        seconds=600,
        expect={"cpu": Expected("measured+modelled", 0.7)},
    ),
    rapl(
        "package counter stops in the run",
        package(0),
        events=(Event(0.5, zone_fault("intel-rapl:0", "frozen")),),
        expect={"cpu": partly(0.4, 0.6)},
        live=True,
        told="stands still",
    ),
)

BOTH = {"gpu": MEASURED, "cpu": MEASURED}
WHOLE = {"gpus": (Gpu(A, STEADY),), "packages": {"package-0": PACKAGE}, "zones": (package(0, limit_w=180),)}


def whole(name: str, *events: Event, **more: object) -> Case:
    """A case of a host with a GPU and a package, to which something happens as a whole."""
    given: dict[str, object] = {"expect": BOTH, "events": events} | WHOLE | more
    return Case(name, **given)  # type: ignore[arg-type]  # a builder


HOST_CASES = (
    whole(
        "suspend of the host for 10 min, counters go on",
        Event(0.5, lambda s: s.suspend(600, counters="go on")),
        expect={"gpu": partly(0.2, 0.3), "cpu": partly(0.2, 0.3)},
        told="the host slept",
    ),
    whole(
        "suspend of the host for 20 min, counters from 0",
        Event(0.5, lambda s: s.suspend(1200, counters="reset")),
        expect={"gpu": partly(0.1, 0.2), "cpu": partly(0.1, 0.2)},
        told="the host slept",
    ),
    whole(
        "clock set forward by an hour",
        Event(0.5, lambda s: s.set_clock(3600)),
        told="the clock was set by +3600 s",
    ),
    whole(
        "clock set back by an hour",
        Event(0.5, lambda s: s.set_clock(-3600)),
        told="the clock was set by -3600 s",
    ),
    whole(
        "clock set back by two days and forward again",
        Event(0.3, lambda s: s.set_clock(-172_800)),
        Event(0.6, lambda s: s.set_clock(172_800)),
    ),
    whole(
        "clock at 1970 until the network is there",
        Event(0.5, lambda s: s.set_clock(NOON_MS / 1000)),
        wall_ms=20_000,
    ),
    whole(
        "clock slewed by half a second in all",
        *(Event(part / 8, lambda s: s.set_clock(0.1)) for part in range(1, 6)),
    ),
    whole("a run over midnight", wall_ms=NOON_MS + 43_100_000),
    whole(
        "meter killed, and another begins within one boot",
        Event(0.3, lambda s: s.kill_meter()),
        Event(0.5, lambda s: s.start_meter()),
    ),
    whole("meter killed and nobody begins another before the end", Event(0.3, lambda s: s.kill_meter())),
    whole(
        "restart of the host",
        Event(0.5, lambda s: s.reboot(60)),
        expect={"gpu": partly(0.5, 0.9), "cpu": partly(0.5, 0.9)},
    ),
)

CASES = GPU_CASES + RAPL_CASES + HOST_CASES
