"""A report as it travels and as `--json` shows it."""

from pydantic import AwareDatetime

from tidewatt.scheduler.schemas import IntervalView, LeversView, Message


class SignalTotal(Message):
    """Emissions and savings of a group by one kind of series; totals of different kinds are never added.

    `emissions_g` sums `jobs` jobs, all their energy with PUE. The other numbers sum the `settled` jobs among
    them, provisional or final, and their draw above idle; None where there is no such job. Positive savings
    are emissions that did not happen; those of a report's total are less by what Tidewatt itself emitted.
    `forecast_saved_g` is what the plans of `forecast_jobs` jobs promised, `forecast_realised_g` what the same
    jobs saved against the feasible baseline. `levers` sum to the jobs' savings.
    """

    signal: str
    kind: str
    sources: tuple[str, ...]
    jobs: int
    settled: int
    emissions_g: float
    actual_g: float | None
    feasible_g: float | None
    hypothetical_g: float | None
    saved_feasible_g: float | None
    saved_hypothetical_g: float | None
    forecast_saved_g: float | None = None
    forecast_jobs: int = 0
    forecast_realised_g: float | None = None
    levers: LeversView | None = None
    interval: IntervalView | None = None  # of the saving against the report's kind of baseline
    grade: str = ""  # verified, estimated, inconclusive; "" where no saving is known


class OwnUse(Message):
    """What Tidewatt itself used in the report's time, and what that emitted by signal in grams.

    It is on the actual side of the total's savings. None where it was not metered.
    """

    energy_kwh: float | None
    emissions_g: dict[str, float]
    how: str


class HoldOut(Message):
    """The randomised hold-out: flexible jobs that ran at once by lot, beside those that were shifted.

    Means are grams per kWh above idle, by intention to treat; `effect` is shifted minus held out, `low` to
    `high` its 90 % interval.
    """

    share: float
    held_out: int
    shifted: int
    signal: str
    mean_held_out: float | None
    mean_shifted: float | None
    effect: float | None
    low: float | None
    high: float | None
    note: str


class NotOver(Message):
    """Jobs that ran in the report's time and have not ended for good: they are in no other number.

    They run, are paused, or wait or are held between two tries. `attempts` of theirs ended in that time. `of`
    says whose jobs they are where the report is of fewer: "any project".
    """

    jobs: int
    attempts: int
    of: str = ""


class ReportGroup(Message):
    """The jobs that ran and ended, of one project, user, region, day or of all.

    Energy is None where none was metered; `unmetered` jobs are in no number but their own. Hours belong to
    the settled jobs: `waited_h` since submission, `held_back_h` since the feasible start, `idle_gpu_h`
    GPU-hours left idle by the latter.
    """

    key: str
    jobs: int
    provisional: int
    final: int
    unverified: int
    unsettled: int
    unmetered: int
    energy_kwh: float | None
    facility_kwh: float | None
    signals: tuple[SignalTotal, ...]
    signals_disagree: bool
    waited_h: float
    held_back_h: float
    idle_gpu_h: float


class Report(Message):
    """What jobs that ended since then used and saved; `total` sums the groups. Days and months are UTC.

    `baseline` ("feasible" or "hypothetical") is one for the whole report.
    """

    since: AwareDatetime | None
    by: str
    groups: tuple[ReportGroup, ...]
    total: ReportGroup
    baseline: str = "feasible"
    until: AwareDatetime | None = None
    own: OwnUse | None = None
    hold_out: HoldOut | None = None
    not_over: NotOver | None = None  # None where nobody counted
