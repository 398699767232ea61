"""A comparison of policies as people read it."""

from collections.abc import Iterator, Mapping

from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import instant
from tidewatt.scheduler.accounting.quantity import mass
from tidewatt.scheduler.cli.text import percent, table
from tidewatt.scheduler.simulation.comparing import IMMEDIATE, Outcome, Scenario
from tidewatt.scheduler.simulation.tally import Tally


def lines(scenario: Scenario, found: Mapping[str, Outcome], about: str) -> Iterator[str]:
    """A line for each policy, and what has to be known to read them."""
    base = found[IMMEDIATE].tally
    first, last = (instant(scenario.jobs[at].submitted_ms) for at in (0, -1))
    gpus = sum(pool.gpus for region in scenario.regions for pool in region.pools)
    yield (
        f"{_count(len(scenario.jobs), 'job')}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, in"
        f" {_count(len(scenario.regions), 'region')} with {_count(gpus, 'GPU')}: {about}"
    )
    yield ""
    signals = scenario.truth.signals
    header = ["policy", "emitted"]
    for signal in signals:
        header += ["saved" if len(signals) == 1 else f"saved, {signal}", ""]
    header += ["missed", "avoidably", "mean wait", "median", "moved", "paused", "GPU use", "planning"]
    rows = [_row(outcome.tally, base, scenario, signals) for outcome in found.values()]
    yield from table(header, rows, range(1, len(header)))
    yield ""
    yield (
        f"Emitted: by the {scenario.signal} signal as it was really observed, PUE included;"
        " plans knew forecasts only."
    )
    yield "Avoidably missed deadlines are those that immediate execution would have met."
    late = [outcome.tally for outcome in found.values() if outcome.tally.unobserved > 0.0005]
    for each in late:
        yield (
            f"{each.name}: {percent(each.unobserved)} of its GPU time comes after the last observation and is"
            " counted at the mean of the last week."
        )


def _row(tally: Tally, base: Tally, scenario: Scenario, signals: tuple[Signal, ...]) -> list[str]:
    row = [tally.name, mass(tally.grams[scenario.signal])]
    for signal in signals:
        saved = base.grams[signal] - tally.grams[signal]
        first = tally.name == base.name
        row += ["" if first else f"{100 * tally.saving(base, signal):.1f} %", "" if first else mass(saved)]
    return [
        *row,
        str(tally.missed),
        str(tally.avoidable),
        _hours(tally.mean_wait_h),
        _hours(tally.median_wait_h),
        str(tally.moved or ""),
        str(tally.pauses or ""),
        percent(tally.use),
        f"{tally.planning_s:.1f} s" if tally.rounds else "",
    ]


def _hours(hours: float) -> str:
    return f"{hours:.1f} h"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
