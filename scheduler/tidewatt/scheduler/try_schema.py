"""What would have changed under another configuration; also the form of `policy try --json`."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from tidewatt.scheduler.schemas import Message

LONGEST_S = 400 * 86_400.0
MOST_TEXT = 2_000_000


class TryRequest(Message):
    """Replays the jobs of the last `since_s` seconds under another configuration.

    `text` is a whole configuration file, called `name` where it is wrong; or, with `rules`, only the
    `[[policy]]` tables that would stand in place of the present ones. `files` are those of its prices, by the
    names under which it has them.
    """

    text: Annotated[str, Field(max_length=MOST_TEXT)]
    name: Annotated[str, Field(max_length=1000)] = "the configuration"
    rules: bool = False
    since_s: Annotated[float, Field(ge=3600, le=LONGEST_S)] = 30 * 86_400.0
    files: Annotated[dict[str, Annotated[str, Field(max_length=MOST_TEXT)]], Field(max_length=20)] = Field(
        default_factory=dict
    )


class SideView(Message):
    """All jobs that both configurations take, under one of them.

    `emissions_g` by signal, of the draw above idle, PUE included, by what was observed; `cost` is None where
    some region has no price. `refused` jobs it would not have taken.
    """

    emissions_g: dict[str, float]
    energy_kwh: float
    cost: float | None
    late: int
    moved: int
    pauses: int
    mean_wait_h: float
    median_wait_h: float
    refused: int


class ChangedView(Message):
    """A job that would have fared otherwise. Grams saved by signal, and money; negative: lost.

    What is None under one configuration was refused there: `refused` says by which and why.
    """

    job: str
    user: str
    project: str
    region_before: str | None
    region_after: str | None
    start_before: AwareDatetime | None
    start_after: AwareDatetime | None
    late_before: bool
    late_after: bool
    saved_g: dict[str, float]
    saved_cost: float | None
    refused: str


class WaitsView(Message):
    """How long the jobs of a user or project wait on average for their start, in hours."""

    name: str
    jobs: int
    before_h: float
    after_h: float
    longest_before_h: float
    longest_after_h: float


class LeftOutView(Message):
    """Jobs that could not be replayed, and why."""

    jobs: int
    why: str


class TryReply(Message):
    """The replay: the configuration in force against the one tried.

    `saved_g` by signal is what the one tried emits less, negative where more. `differs` names the settings
    that are not the same. `unobserved` is the share of GPU time after the last observation, counted at the
    mean of the last week. `unknowable` says in sentences what a replay cannot know.
    """

    name: str
    since: AwareDatetime
    until: AwareDatetime
    jobs: int
    left_out: tuple[LeftOutView, ...]
    differs: tuple[str, ...]
    decided_by: str
    in_force: SideView
    tried: SideView
    saved_g: dict[str, float]
    saved_cost: float | None
    currency: str
    elsewhere: int
    later: int
    sooner: int
    late_only_tried: int
    late_only_in_force: int
    refused_only_tried: int
    refused_only_in_force: int
    changes: tuple[ChangedView, ...]
    by_user: tuple[WaitsView, ...]
    by_project: tuple[WaitsView, ...]
    unobserved: float
    unknowable: tuple[str, ...]
