"""A report as it travels and as `--json` shows it."""

from pydantic import AwareDatetime

from tidewatt.scheduler.schemas import Message


class SignalTotal(Message):
    """Emissions and savings of a group by one kind of series; totals of different kinds are never added.

    `emissions_g` sums `jobs` jobs, all their energy with PUE. The other numbers sum the `settled` jobs among
    them, provisional or final, and their draw above idle; None where there is no such job. Positive savings
    are emissions that did not happen.
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
    """What jobs that ended since then used and saved; `total` sums the groups. Days and months are UTC."""

    since: AwareDatetime | None
    by: str
    groups: tuple[ReportGroup, ...]
    total: ReportGroup
