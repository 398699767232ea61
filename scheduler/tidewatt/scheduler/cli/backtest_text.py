"""A backtest as people read it: errors by day ahead, captured saving by job, and bars."""

from collections.abc import Iterator, Sequence

from tidewatt.forecasting.backtest.scores import CLEAN_GCO2_PER_KWH, clean
from tidewatt.forecasting.backtest.standing import Standing, possible, standings
from tidewatt.forecasting.backtest.trial import LENGTHS_H, SLACKS_H, Trial, Work
from tidewatt.forecasting.series import instant
from tidewatt.forecasting.zones import zone as named
from tidewatt.scheduler.cli.text import cut, intensity, painted, table

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_COLUMNS = "▁▂▃▄▅▆▇█"
_BAR = 40
_FEW = 5


def lines(trials: Sequence[Trial], every_h: int, lag_h: float, width: int) -> Iterator[str]:
    """One zone in full; several zones as their medians, with a line for each."""
    found = standings(trials)
    name_width = max(len(standing.name) for standing in found)
    known = "an hour is known at once" if not lag_h else f"an hour is known {lag_h:g} h after its end"
    yield from _head(trials, f"{spanned(trials)}, every {every_h} h; {known}")
    yield from _notes(trials)
    yield ""
    yield from _errors(found, trials, name_width)
    yield ""
    yield "Captured saving: the share of what a perfect forecast saves that plans made with this one obtain"
    fitting = possible(trials)
    if all(share is None for share in fitting.values()):
        yield f"  none: forecasts of {trials[0].hours} h hold no job with its slack (--hours 25 is the least)"
        return
    for slack_h in SLACKS_H:
        for interruptible in (False, True):
            yield from _captured(found, fitting, slack_h, interruptible, name_width)
    yield ""
    yield "Captured, mean over all these jobs"
    for standing in found:
        bar = _bar(standing.mean_captured, max(min(_BAR, width - name_width - 9), 10))
        yield f"{standing.name.ljust(name_width)}  {bar}"


def _head(trials: Sequence[Trial], what: str) -> Iterator[str]:
    first = trials[0]
    if len(trials) == 1:
        yield f"{painted(first.zone, 'bold')} {named(first.zone).name}: {first.kind}, {first.source}"
        yield f"  {what}; mean {intensity(first.mean_g)}"
        return
    kinds = " and ".join(dict.fromkeys(trial.kind for trial in trials))
    yield f"{painted(f'{len(trials)} zones', 'bold')}: {kinds}; figures are medians over zones"
    yield f"  {what}"
    yield ""
    yield from _by_zone(trials)


def _notes(trials: Sequence[Trial]) -> Iterator[str]:
    """Each note once, with the zones that it is of."""
    zones: dict[str, list[str]] = {}
    for trial in trials:
        for note in trial.notes:
            zones.setdefault(note, []).append(trial.zone)
    for note, those in zones.items():
        which = ", ".join(those) if len(those) <= _FEW else f"{len(those)} zones"
        yield painted(f"  note: {which}, {note}", "yellow")


def spanned(trials: Sequence[Trial]) -> str:
    """How many forecasts, how long, from when to when."""
    first = instant(min(trial.first_ms for trial in trials))
    last = instant(max(trial.last_ms for trial in trials))
    issues = sum(trial.issues for trial in trials)
    return f"{issues} forecasts of {trials[0].hours} h from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _by_zone(trials: Sequence[Trial]) -> Iterator[str]:
    """The best contender of each zone, and what it is worth."""
    rows = []
    for trial in trials:
        best = trial.verdicts[0]
        error = (
            _grams(best.errors.mae_g)
            if clean(trial.mean_g)
            else _percent(best.errors.mape_percent, of_hundred=True)
        )
        rows.append(
            (
                trial.zone,
                cut(named(trial.zone).name, 24),
                intensity(trial.mean_g),
                best.name,
                _percent(best.mean_captured),
                error,
            )
        )
    yield from table(("ZONE", "NAME", "MEAN", "BEST", "CAPTURED", "ITS ERROR"), rows, right=(2, 4, 5))


def _errors(found: Sequence[Standing], trials: Sequence[Trial], name_width: int) -> Iterator[str]:
    """MAPE by day ahead in figures and as bars, MAE, and how often the band held."""
    days = range(max(len(standing.mape_by_day) for standing in found))
    names = (
        "ERROR".ljust(name_width),
        *(f"DAY {day + 1}" for day in days),
        "BY DAY",
        "MAPE",
        "MAE",
        "IN BAND",
    )
    highest = max((mape for each in found for mape in each.mape_by_day if mape is not None), default=0.0)
    rows = [
        (
            standing.name,
            *(_percent(mape, of_hundred=True) for mape in standing.mape_by_day),
            "".join(_column(mape, highest) for mape in standing.mape_by_day).rstrip(),
            _percent(standing.mape_percent, of_hundred=True),
            _grams(standing.mae_g),
            _percent(standing.coverage),
        )
        for standing in found
    ]
    yield from table(names, rows, right=[at for at, name in enumerate(names) if at and name != "BY DAY"])
    low = sum(clean(trial.mean_g) for trial in trials)
    if low:
        which = "This zone is" if len(trials) == 1 else f"{low} of {len(trials)} zones are"
        yield f"{which} below {CLEAN_GCO2_PER_KWH:.0f} g/kWh on average: judged by grams, not by percentages"
    if any(standing.coverage is not None for standing in found):
        yield "In band: between the 10 % and the 90 % quantile; 80 % is right"


def _captured(
    found: Sequence[Standing],
    perfect: dict[Work, float | None],
    slack_h: int,
    interruptible: bool,
    name_width: int,
) -> Iterator[str]:
    """A block of one slack, contenders by length of job; nothing where the forecasts hold no such job."""
    works = [Work(job_h, slack_h, interruptible) for job_h in LENGTHS_H]
    works = [work for work in works if perfect[work] is not None]
    if not works:
        return
    yield ""
    how = "MAY PAUSE" if interruptible else "IN ONE PIECE"
    header = (f"{slack_h} H OF SLACK, {how}".ljust(name_width), *(f"{work.job_h} h" for work in works))
    rows = [(standing.name, *(_percent(standing.captured[work]) for work in works)) for standing in found]
    rows.append(("a perfect forecast saves", *(_percent(perfect[work]) for work in works)))
    yield from table(header, rows, right=range(1, len(header)))


def _percent(value: float | None, *, of_hundred: bool = False) -> str:
    """A share, or with `of_hundred` a percentage, with one decimal below ten; empty where unknown."""
    if value is None:
        return ""
    percent = value if of_hundred else 100 * value
    return f"{percent:.1f} %" if of_hundred and abs(percent) < 9.95 else f"{percent:.0f} %"


def _grams(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} g" if value < 9.95 else f"{value:.0f} g"


def _column(value: float | None, highest: float) -> str:
    """One column of a small chart from nothing up to the highest; blank where nothing is known."""
    return " " if value is None or highest <= 0 else _COLUMNS[min(int(8 * value / highest), 7)]


def _bar(share: float | None, width: int) -> str:
    """A bar from nothing to all, with the figure; a share below nothing has no bar."""
    if share is None:
        return "nothing could be saved"
    eighths = round(max(share, 0.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    return f"{'█' * whole}{_EIGHTHS[rest].strip()} {_percent(share)}".strip()
