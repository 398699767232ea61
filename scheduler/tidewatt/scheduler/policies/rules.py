"""The operator's rules as the configuration states them, each with its place in the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidewatt.scheduler.place import placed
from tidewatt.scheduler.plan import Weights
from tidewatt.scheduler.policies.rule import Barrier, Facts, Rule, Spot, Verdict, Wishes, Word
from tidewatt.scheduler.policies.verdicts import verdicts
from tidewatt.scheduler.policies.wishes import wishes
from tidewatt.scheduler.policy_schema import ProjectTable

if TYPE_CHECKING:
    from tidewatt.scheduler.settings import Settings

LOCAL = "local"  # the region where none is configured


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, in the order in which they are looked at. `projects` are defaults of projects."""

    rules: tuple[Rule, ...] = ()
    spots: tuple[Spot, ...] = ()
    barriers: tuple[Barrier, ...] = ()
    projects: Mapping[str, ProjectTable] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)  # of the projects' tables

    @property
    def empty(self) -> bool:
        """True where everybody may go everywhere."""
        return not (self.rules or self.barriers or any(spot.data for spot in self.spots))

    def verdicts(self, facts: Facts, regions: tuple[str, ...]) -> tuple[Verdict, ...]:
        """What holds for a job in each of the regions."""
        known = {spot.name: spot for spot in self.spots}
        spots = [known.get(name, Spot(name)) for name in regions]
        return verdicts(facts, spots, self.rules, self.barriers)

    @property
    def steers(self) -> bool:
        """True where some rule or project says how jobs are planned."""
        return any(map(_steers, self.rules)) or any(_steers(self._project(name)) for name in self.projects)

    def wishes(self, facts: Facts, regions: tuple[str, ...]) -> Wishes:
        """How a job is planned."""
        project = self._project(facts.project) if facts.project in self.projects else None
        return wishes(facts, regions, self.rules, project)

    def _project(self, name: str) -> Rule:
        """What a project's table says of how its jobs are planned, as the last of all rules."""
        table = self.projects[name]
        weights = Weights(table.min_saving, table.g_per_price, table.g_per_hour)
        place = self.places.get(name, "")
        return Rule(f"project {name}", None, "", place=place, shift=table.shift, weights=weights)


def _steers(rule: Rule) -> bool:
    return rule.shift is not None or rule.max_price_per_kwh is not None or rule.weights != Weights()


NO_RULES = Rules()


def rules_of(settings: "Settings", file: tuple[str, str]) -> Rules:
    """The rules of the settings; `file` is the name and the text of the file that states them."""
    name, text = file
    rules = tuple(
        Rule(
            each.name,
            None if each.verdict is None else Word(each.verdict),
            each.because,
            each.users,
            each.groups,
            each.projects,
            each.labels,
            each.regions,
            placed(name, text, ("policy", number)),
            each.shift,
            each.max_price_per_kwh,
            Weights(each.min_saving, each.g_per_price, each.g_per_hour),
        )
        for number, each in enumerate(settings.policies)
    )
    spots = tuple(
        Spot(each.name, each.data, placed(name, text, ("region", number, "data")))
        for number, each in enumerate(settings.regions)
    )
    barriers = tuple(
        Barrier(each.from_, each.to, placed(name, text, ("transfer", number)))
        for number, each in enumerate(settings.transfers)
        if not each.allowed
    )
    places = {key: placed(name, text, ("project", key)) for key in settings.projects}
    return Rules(rules, spots, barriers, settings.projects, places)
