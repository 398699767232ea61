"""What the operator's rules are about: a job's facts, the places, and the verdict on each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidewatt.scheduler.plan import Weights

NO_WEIGHTS = Weights()


class Word(StrEnum):
    """What a rule says of a job in a region."""

    ALLOW = "allow"
    PREFER = "prefer"  # there first; elsewhere only where the deadline cannot be met there
    FORBID = "forbid"


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may look at: whose the job is, and what it is labelled with."""

    user: str = ""
    groups: frozenset[str] = frozenset()
    project: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    brings_data_from: str = ""  # the region from which it brings data along; "": it brings none

    @property
    def data(self) -> tuple[str, ...]:
        """The data that it works on: its label `data`, several separated by commas."""
        return tuple(part.strip() for part in self.labels.get("data", "").split(",") if part.strip())


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; each of its tuples that is not empty has to fit. `place` is where it stands: `FILE:12`."""

    name: str
    word: Word | None  # None: it only says how jobs are planned
    because: str
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    place: str = ""
    shift: bool | None = None
    max_price_per_kwh: float | None = None
    weights: Weights = NO_WEIGHTS


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the rules have a job planned: whether it is shifted, by which weights, below which prices."""

    shift: bool = True
    weights: Weights | None = None
    ceilings: tuple[tuple[str, float], ...] = ()
    told: tuple[str, ...] = ()  # which rule says so, a sentence each


@dataclass(frozen=True, slots=True)
class Spot:
    """A region as rules see it: its name and what data may be worked on there."""

    name: str
    data: tuple[str, ...] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class Barrier:
    """Data must not go from one region to another; `*` is any."""

    source: str
    target: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What holds for a job in a region, the rule's name, where that stands, and why."""

    region: str
    word: Word
    rule: str = ""  # "": no rule fits
    place: str = ""
    because: str = ""

    def __str__(self) -> str:
        """Returns for example `eu: forbidden by "patients" (config.toml:12): data stay in the clinic`."""
        said = {Word.ALLOW: "allowed", Word.PREFER: "preferred", Word.FORBID: "forbidden"}[self.word]
        if not self.rule:
            return f"{self.region}: {said}, no rule says otherwise"
        place = f" ({self.place})" if self.place else ""
        return f"{self.region}: {said} by {self.rule}{place}: {self.because}"
