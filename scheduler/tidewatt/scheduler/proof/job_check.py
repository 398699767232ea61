"""Checks a job's bundle: its order of events, its readings, its turn in the queue, and every number."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tidewatt.backends.backend import BackendError
from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.reading import Usage
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.series import Series
from tidewatt.scheduler.accounting.frozen import METHOD_VERSION, Frozen
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.proof import (
    bundle,
    declared_check,
    intensity_check,
    purged,
    queue_check,
    times_check,
)
from tidewatt.scheduler.proof.canonical import canonical
from tidewatt.scheduler.proof.differences import differences
from tidewatt.scheduler.proof.intensity import Replayed
from tidewatt.scheduler.proof.job_case import FROZEN, SETTLED, JobCase, account, feasible_start, frozen_of
from tidewatt.scheduler.proof.opening import UNREADABLE, Opened
from tidewatt.scheduler.proof.outcome import Outcome
from tidewatt.scheduler.proof.supplied import Supplied, bundled

FAULTS = (*UNREADABLE, SchedulerError, BackendError, ForecastError, OSError)
Events = Sequence[Mapping[str, Any]]


def check(opened: Opened, supplied: Supplied, outcome: Outcome) -> None:
    """Computes the account again, and adds what was found."""
    try:
        case = JobCase.of(opened.inputs)
        own = [event for event in opened.chain.events if event["job_id"] == case.job_id]
        before, receipt = _ordered(own)
        purged.check(own, purged.purges(opened.chain.events), outcome)
        record: Mapping[str, Any] = receipt["payload"]
        if opened.files[bundle.RECEIPT] != canonical(record):
            outcome.broken("receipt", f"{bundle.RECEIPT} is not what the ledger holds")
            return
        if opened.statement.predicate["subject"] != case.key:
            outcome.broken("receipt", "it calls itself what it is not")
            return
        apart_ms = times_check.apart_ms(opened.inputs)
        _order([*before, receipt], case.job_id, apart_ms, outcome)
        times_check.vouched([*before, receipt], opened.heads, outcome)
        times_check.backwards(opened.chain.events, opened.heads, apart_ms, outcome)
        times_check.chained_late(opened.chain.events, outcome)
        series = bundled(opened.files)
        intensity_check.check(opened.inputs["intensity"], opened.files, series, outcome)
        with TemporaryDirectory(prefix="tidewatt-verify-") as folder:
            _numbers(opened, case, before, record, series, supplied, Path(folder), outcome)
    except FAULTS as error:
        outcome.broken("account", f"it cannot be computed again: {error or type(error).__name__}")


def _ordered(own: Events) -> tuple[Events, Mapping[str, Any]]:
    """The job's events before its newest account, and that."""
    settled = [number for number, event in enumerate(own) if event["kind"].startswith(SETTLED)]
    if not settled:
        raise ValueError("no event of the job is an account")
    if any("payload" not in event for event in own):
        raise ValueError("an event of the job is not shown whole")
    return own[: settled[-1]], own[settled[-1]]


def _order(own: Events, job_id: int, apart_ms: int, outcome: Outcome) -> None:
    """The submission is the first event, the baseline was fixed before anything ran, and times agree."""
    launches = [event["seq"] for event in own if event["kind"] == "attempt.launching"]
    fixed = [event for event in own if event["kind"] in FROZEN and "frozen" in event["payload"]]
    wrong = [] if own[0]["kind"] == "submitted" else ["the job's first event is not its submission"]
    wrong += times_check.check(job_id, own, apart_ms)
    if wrong or not fixed:
        outcome.broken("order", "; ".join(wrong) or "no event fixed the baseline")
        return
    late = [event for event in fixed if launches and event["seq"] > launches[0]]
    if late:
        outcome.open(
            "order", f"what its baseline stands on was fixed again at event {late[-1]['seq']}, after a start"
        )
    at = f"{moment(fixed[-1]['time_ms']):%Y-%m-%d %H:%M} UTC"
    then = f" before its first start at event {launches[0]}" if launches and not late else ""
    outcome.holds(
        "order",
        f"submitted at event {own[0]['seq']}, baseline fixed at event {fixed[-1]['seq']} ({at}){then}, "
        f"settled at event {own[-1]['seq']}",
    )


def _numbers(
    opened: Opened,
    case: JobCase,
    before: Events,
    record: Mapping[str, Any],
    series: Mapping[str, Series],
    supplied: Supplied,
    folder: Path,
    outcome: Outcome,
) -> None:
    _unpack(opened.files, folder)

    @cache
    def used(attempt_id: str, gpus: tuple[str, ...], start_ms: int, end_ms: int) -> Usage:
        idle_mw = case.idle_mw.get(attempt_id, {})
        return usage(folder / attempt_id, attempt_id, gpus, start_ms, end_ms, idle_mw=idle_mw)

    def usages(attempt_id: str, gpus: Sequence[str], start_ms: int, end_ms: int) -> Usage:
        return used(attempt_id, tuple(gpus), start_ms, end_ms)

    queue_check.check(opened.chain, case, outcome)
    frozen = Frozen.restored(frozen_of(before))
    start = feasible_start(case, frozen)
    told_ms = record.get("feasible_start_ms")
    outcome.told(
        "turn",
        (None if start is None else time_ms(start)) == told_ms,
        f"its turn in the queue of {frozen.home}, replayed with {counted(len(case.queue), 'job')}, "
        "is the receipt's",
        f"its turn in the queue of {frozen.home} is {start}, not what the receipt says",
    )
    answers = Replayed(opened.inputs["intensity"], series, supplied.found(opened.inputs["intensity"]))
    outcome.needs_key += [supplied.recipe(entry) for entry in answers.missing]
    if record["method_version"] != METHOD_VERSION:
        outcome.open(
            "account", f"it was made by method {record['method_version']}: an older version recomputes it"
        )
        return
    found = account(case, before, usages, answers, record["settled_at_ms"])
    _compare(found, record, answers, case.idle_mw, outcome)
    declared_check.check(opened.inputs, case, folder, outcome)


def _compare(
    found: Settlement,
    record: Mapping[str, Any],
    answers: Replayed,
    declared: Mapping[str, Mapping[str, int]],
    outcome: Outcome,
) -> None:
    computed = found.record()
    outcome.told(
        "readings",
        computed["digests"] == record["digests"],
        f"the readings of {counted(len(record['digests']), 'attempt')} are those that the receipt "
        "was made from",
        "the readings are not those that the receipt was made from",
    )
    wrong = differences(record, computed)
    if answers.missing:
        parts = [
            each for each in wrong if each.startswith(("components", "energy_uj", "facility_uj", "digests"))
        ]
        outcome.told("energy", not parts, "energy by component is as the readings say", "; ".join(parts[:5]))
        outcome.open("account", f"emissions and savings need your own key for {len(answers.missing)} series")
        return
    outcome.told(
        "account",
        not wrong,
        f"all {_count(record)} numbers and words of the receipt come out again from readings, intensity and "
        f"{sum(map(len, declared.values()))} declared idle draws",
        "it does not come out again: " + "; ".join(wrong[:5]) + (" ..." if len(wrong) > 5 else ""),
    )


def _count(value: Any) -> int:
    match value:
        case Mapping():
            return sum(_count(each) for each in value.values())
        case list() | tuple():
            return sum(_count(each) for each in value)
        case _:
            return 1


def _unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes the readings below a folder of our own, by attempt; their names have been looked at."""
    for name, content in files.items():
        if name.startswith(bundle.READINGS):
            path = folder / name.removeprefix(bundle.READINGS)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
