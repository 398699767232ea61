"""All contenders on the same jobs, grid and capacity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.simulation.grid import Foresight, Truth
from tidewatt.scheduler.simulation.immediate import Anywhere, Immediate
from tidewatt.scheduler.simulation.own_window import OwnWindow
from tidewatt.scheduler.simulation.planned import Planned, Planner, Rules
from tidewatt.scheduler.simulation.planners import production
from tidewatt.scheduler.simulation.site import Site
from tidewatt.scheduler.simulation.submitted import Submitted
from tidewatt.scheduler.simulation.suspending import Suspending
from tidewatt.scheduler.simulation.tally import Tally, tally
from tidewatt.scheduler.simulation.threshold import Threshold
from tidewatt.scheduler.simulation.world import Contender, Standing, World

IMMEDIATE = "immediate"


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """All that contenders share. `issued` is what was predicted as of each moment, `hindsight` what came."""

    jobs: Sequence[Submitted]
    regions: Sequence[Region]
    truth: Truth
    issued: Foresight
    hindsight: Foresight
    whole: Foresight
    policy: Policy
    signal: Signal
    every: timedelta = timedelta(minutes=5)
    planner: Planner = production


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One contender's run: its sums, and how each job fared."""

    tally: Tally
    standings: tuple[Standing, ...]


Maker = Callable[[Scenario], Contender]


def _ours(name: str, *, pausing: bool) -> Maker:
    def made(scenario: Scenario) -> Contender:
        rules = Rules(scenario.policy, scenario.signal, scenario.every, pausing)
        return Planned(name, scenario.issued, scenario.planner, rules)

    return made


def _oracle(name: str, *, pausing: bool = True, coming: bool = False) -> Maker:
    def made(scenario: Scenario) -> Contender:
        rules = Rules(_free(scenario.policy), scenario.signal, scenario.every, pausing, True, coming)
        foresight = scenario.whole if coming else scenario.hindsight
        return Planned(name, foresight, scenario.planner, rules)

    return made


def _free(policy: Policy) -> Policy:
    """The policy without what guards against forecasts that are wrong."""
    return replace(policy, min_saving=0.0, min_wait=timedelta(0), min_chance=0.0, max_postponed=None)


CONTENDERS: Mapping[str, Maker] = {
    IMMEDIATE: lambda _: Immediate(),
    "immediate, anywhere": lambda _: Anywhere(),
    "threshold": lambda scenario: Threshold(scenario.truth, scenario.signal),
    "own window": lambda scenario: OwnWindow(
        scenario.issued, scenario.signal, {region.name: region.pue for region in scenario.regions}
    ),
    "suspend-resume": lambda scenario: Suspending(scenario.issued, scenario.signal),
    "ours, in one piece": _ours("ours, in one piece", pausing=False),
    "ours": _ours("ours", pausing=True),
    "oracle, in one piece": _oracle("oracle, in one piece", pausing=False),
    "oracle": _oracle("oracle"),
    "oracle of all": _oracle("oracle of all", coming=True),
}


def compare(
    scenario: Scenario, names: Sequence[str], tell: Callable[[str], None] = lambda name: None
) -> dict[str, Outcome]:
    """How each contender named did, immediate execution first; `tell` hears the name of each that begins.

    Raises:
        BadInput: a name is unknown, or a job fits nowhere.
    """
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        raise BadInput(f"there is no policy {unknown[0]!r}; known are: {'; '.join(CONTENDERS)}")
    _check(scenario)
    found: dict[str, Outcome] = {}
    for name in dict.fromkeys([IMMEDIATE, *names]):
        tell(name)
        contender = CONTENDERS[name](scenario)
        site = Site(scenario.regions, scenario.policy.link)
        world = World(scenario.jobs, site)
        world.run(contender)
        standings = tuple(world.done[job.id] for job in scenario.jobs)
        first = found[IMMEDIATE].standings if IMMEDIATE in found else standings
        rounds, seconds = getattr(contender, "rounds", 0), getattr(contender, "seconds", 0.0)
        made = tally(name, standings, scenario.truth, site.gpus, first, rounds, seconds)
        found[name] = Outcome(made, standings)
    return found


def _check(scenario: Scenario) -> None:
    site = Site(scenario.regions)
    for job in scenario.jobs:
        if not site.spots(job.ask):
            need = job.ask.need
            kind = f"{need.gpu_kind} " if need.gpu_kind else ""
            things = [f"{need.gpus} {kind}GPU{'s' * (need.gpus != 1)}"] if need.gpus else []
            things.append(f"{need.cpus} CPU{'s' * (need.cpus != 1)}")
            only = f" in {' or '.join(job.ask.regions)}" if job.ask.regions else ""
            raise BadInput(
                f"job {job.id} needs {' and '.join(things)}{only}, which no region can ever hold: give larger"
                " regions, or others, or leave the job out"
            )
