"""The faults that meters meet, each with a known truth: one table for the acceptance test and the benchmark.

`expect` says by component how its energy must then be classed; whatever is `measured` must be within 1 % of
the truth.
"""

from tests.meters.fault_case import (
    MEASURED,
    MEMORY,
    MIG,
    MISSING,
    MODELLED,
    NOON_MS,
    PACKAGE,
    STEADY,
    A,
    B,
    C,
    Case,
    D,
    Event,
    Expected,
    change,
    memory,
    one_gpu,
    package,
    partly,
    rapl,
    square,
    whole,
    zone_fault,
)
from tests.meters.powercap import Zone
from tests.meters.scene import Gpu
from tests.meters.truth import Wave

AMD_UJ = 65_532_610_987  # the `max_energy_range_uj` of AMD's packages
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
        Event(0.5, lambda scene: scene.stick_counter(A)),
        expect={"gpu": Expected("measured+modelled")},
        live=True,
        told="stands still",
    ),
    one_gpu("counter always 0", facts={"counter": 2, "base_mj": 0}, expect={"gpu": MODELLED}, live=True),
    one_gpu(
        "counter reset",
        Event(0.5, lambda scene: scene.reset_counter(A)),
        expect={"gpu": Expected("measured+modelled")},
        live=True,
        told="counter reset",
    ),
    one_gpu(
        "counter reset, no power to fill it",
        Event(0.5, lambda scene: scene.reset_counter(A)),
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
        told="no reading after",
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
        told="no reading after",
    ),
    one_gpu(
        "driver loaded again",
        Event(0.4, lambda scene: scene.fail(9)),
        Event(0.55, lambda scene: scene.load_driver_again()),
        expect={"gpu": partly(0.6, 0.95)},
        live=True,
        told="counter reset",
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
        told="no reading after",
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
        told="the host was restarted between",
    ),
)

CASES = GPU_CASES + RAPL_CASES + HOST_CASES
