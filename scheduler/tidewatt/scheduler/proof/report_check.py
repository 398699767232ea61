"""Checks a report's bundle: no job left out, each account as its cells and the intensity say, all sums."""

import json
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.forecasting.series import Series
from tidewatt.scheduler.accounting.quantity import counted as number_of
from tidewatt.scheduler.accounting.report_words import not_over
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.proof import bundle, cells_check, intensity_check, lots_check, purged, times_check
from tidewatt.scheduler.proof.canonical import parsed
from tidewatt.scheduler.proof.cells_check import Checked
from tidewatt.scheduler.proof.chain import EMPTY
from tidewatt.scheduler.proof.differences import differences
from tidewatt.scheduler.proof.intensity import kind_of
from tidewatt.scheduler.proof.job_check import FAULTS
from tidewatt.scheduler.proof.opening import Opened
from tidewatt.scheduler.proof.outcome import Outcome
from tidewatt.scheduler.proof.prices import Label, Place, Prices
from tidewatt.scheduler.proof.report_case import OWN, JobTold, ReportCase, computed, counted, told
from tidewatt.scheduler.proof.supplied import Supplied, bundled

_MOST_G_PER_KWH = 5_000  # no grid emits more
_BY_VERSION = (".interval", ".grade", "hold_out")

NOT_SETTLED = str(SettlementState.NONE)


def check(opened: Opened, supplied: Supplied, outcome: Outcome) -> None:
    """Computes the report again, and adds what was found."""
    try:
        case = ReportCase.of(opened.inputs)
        if not _whole_ledger(opened, case, outcome):
            return
        everybody = told(opened.chain.events)
        jobs = counted(everybody, case)
        if not _shown(opened, jobs, everybody.values(), case.since_ms or 0, outcome):
            return
        _order(jobs, times_check.apart_ms(opened.inputs), outcome)
        times_check.vouched_for([job.events for job in jobs], opened.heads, outcome)
        lots_check.check(opened.chain.events, outcome)
        purged.told(purged.purges(opened.chain.events), outcome)
        _accounts(opened, jobs, supplied, outcome)
        _totals(opened, jobs, case, outcome)
    except FAULTS as error:
        outcome.broken("report", f"it cannot be computed again: {error or type(error).__name__}")


def _whole_ledger(opened: Opened, case: ReportCase, outcome: Outcome) -> bool:
    """Whether it begins at the first event and ends at its head: of a part nobody knows what is missing."""
    if opened.chain.before != EMPTY:
        outcome.broken(
            "jobs", f"the ledger is shown from event {opened.chain.before.seq + 1} on: jobs may be missing"
        )
        return False
    if case.until_ms != opened.head.time_ms:
        outcome.broken(
            "jobs", f"its ledger ends at {moment(opened.head.time_ms):%Y-%m-%d %H:%M} UTC, the report not"
        )
        return False
    if opened.statement.predicate["subject"] != case.subject:
        outcome.broken("report", "it calls itself what it is not")
        return False
    events = opened.chain.events
    times_check.backwards(events, opened.heads, times_check.apart_ms(opened.inputs), outcome)
    times_check.chained_late(events, outcome)
    return True


def _shown(
    opened: Opened, jobs: Sequence[JobTold], everybody: Collection[JobTold], since_ms: int, outcome: Outcome
) -> bool:
    """Whether every event that counts is shown: kinds and jobs of all events are, so none can hide."""
    if opened.chain.sealed:
        outcome.broken("jobs", f"of {opened.chain.sealed} events not even the kind is shown")
        return False
    hidden = [job.job_id for job in jobs if job.settled_seq and job.record is None]
    hidden += [0 for each in opened.chain.events if each["kind"] == OWN and "payload" not in each]
    unknown = [job.job_id for job in jobs if not job.frozen or not job.region]
    if hidden or unknown:
        which = ", ".join(f"job {number}" if number else "its own use" for number in [*hidden, *unknown][:5])
        outcome.broken("jobs", f"accounts or submissions are kept back: {which}")
        return False
    settled = sum(job.record is not None and job.record["state"] != NOT_SETTLED for job in jobs)
    if settled < len(jobs):
        without = number_of(len(jobs) - settled, "job")
        outcome.open("jobs", f"{without} ended and had no account yet: in no total")
    if before := sum(job.over and (job.ended_ms or 0) < since_ms <= job.told_ms for job in everybody):
        outcome.open(
            "jobs", f"{number_of(before, 'job')} ended before its time, as told within it: not counted"
        )
    outcome.holds(
        "jobs",
        f"all of the ledger that ran and ended in its time: {number_of(len(jobs), 'job')}, "
        f"{settled} settled, up to {moment(opened.head.time_ms):%Y-%m-%d %H:%M} UTC",
    )
    return True


def _order(jobs: Sequence[JobTold], apart_ms: int, outcome: Outcome) -> None:
    """Of each job the submission comes first, and its account after its end; times agree with that."""
    wrong = [
        job.job_id
        for job in jobs
        if job.events[0]["kind"] != "submitted"
        or (
            job.settled_seq
            and any(e["kind"] == "attempt.ended" and e["seq"] > job.settled_seq for e in job.events)
        )
    ]
    sentences = [f"events of job {number} are out of order" for number in wrong]
    sentences += [each for job in jobs for each in times_check.check(job.job_id, job.events, apart_ms)]
    late = [job.job_id for job in jobs if _fixed_late(job)]
    if late:
        outcome.open("order", f"what baselines stand on was fixed again after a start: job {late[0]}")
    outcome.told(
        "order",
        not sentences,
        "each job was submitted before it ran, and each account follows its job's end",
        "; ".join(sentences[:5]) + (" ..." if len(sentences) > 5 else ""),
    )


def _fixed_late(job: JobTold) -> bool:
    starts = [each["seq"] for each in job.events if each["kind"] == "attempt.launching"]
    fixed = [each["seq"] for each in job.events if "frozen" in each.get("payload", ())]
    return bool(starts and fixed and fixed[-1] > starts[0])


def _accounts(opened: Opened, jobs: Sequence[JobTold], supplied: Supplied, outcome: Outcome) -> None:
    entries: Sequence[Mapping[str, Any]] = opened.inputs["intensity"]
    own, found = bundled(opened.files), supplied.found(entries)
    intensity_check.check(entries, opened.files, own, outcome)
    prices, withheld = prices_of(entries, own, found)
    outcome.needs_key += [
        supplied.recipe(each) for each in entries if "file" not in each and each.get("sha256") not in found
    ]
    checked = cells_check.check(jobs, prices, withheld)
    wrong = [f"job {number}: {sentence}" for number, each in checked.wrong.items() for sentence in each]
    outcome.told(
        "accounts",
        not wrong,
        f"{number_of(checked.jobs, 'account')} as computed again from {number_of(checked.cells, 'cell')} "
        "of energy and the intensity",
        "; ".join(wrong[:5]) + (f" ... ({len(checked.wrong)} jobs)" if len(wrong) > 5 else ""),
    )
    _open(checked, jobs, outcome)


def _open(checked: Checked, jobs: Sequence[JobTold], outcome: Outcome) -> None:
    for why in dict.fromkeys(checked.unknown.values()):
        number = sum(each == why for each in checked.unknown.values())
        outcome.open("accounts", f"{number_of(number, 'account')} not computed again: {why}")
    outcome.partial = bool(checked.unknown)
    if checked.lacking:
        first, why = next(iter(checked.lacking.items()))
        outcome.open(
            "accounts",
            f"{number_of(len(checked.lacking), 'account')} in no saving: job {first}: {why}; its energy, "
            "and what is known of its grid, are in this bundle",
        )
    pairs = sum(
        bool(ledger.get("levers", {}).get("efficiency_ug"))
        for job in jobs
        if job.record is not None
        for ledger in job.record["ledgers"]
    )
    if pairs:
        outcome.open("accounts", f"baselines of {pairs} ledgers rest on other jobs' runs on home's hardware")
    outcome.open(
        "readings",
        "that cells follow from readings is checked with each job's own bundle: `tidewatt receipt JOB`",
    )


def _totals(opened: Opened, jobs: Sequence[JobTold], case: ReportCase, outcome: Outcome) -> None:
    own = [each["payload"] for each in opened.chain.events if each["kind"] == OWN]
    if odd := [each for each in own if _odd(each)]:
        told = f"{number_of(len(odd), 'hour')} of Tidewatt's own use"
        outcome.broken("own use", f"{told} emitted more, or less, than its energy can")
    if own:
        outcome.open("own use", "what Tidewatt itself used is as its events say; its readings are not here")
    report = computed(jobs, opened.chain.events, case)
    for sentence in not_over(report):
        outcome.open("jobs", sentence)
    published = parsed(opened.files[bundle.PUBLISHED])
    wrong = differences(published, json.loads(report.model_dump_json()))
    made_by, ours = opened.statement.predicate.get("software"), f"tidewatt {version('tidewatt')}"
    if made_by != ours:  # sums are sums, but how intervals and grades are got is each version's own
        later = [each for each in wrong if each.endswith(": not told") or any(w in each for w in _BY_VERSION)]
        wrong = [each for each in wrong if each not in later]
        if later:
            outcome.open(
                "report", f"its intervals and grades are those of {made_by}: that version checks them"
            )
    outcome.told(
        "report",
        not wrong,
        f"all its sums, intervals and grades come out again, by {case.by}, baseline {case.baseline}",
        "it does not come out again: " + "; ".join(wrong[:5]) + (" ..." if len(wrong) > 5 else ""),
    )


def _odd(own: Mapping[str, Any]) -> bool:
    """Whether energy is below nothing, or emissions beyond what so much energy can cause on any grid."""
    energy_uj = list((own.get("energy_uj") or {}).values())
    pue_micro = own.get("pue_micro", 1_000_000)
    most_ug = sum(energy_uj) * pue_micro * _MOST_G_PER_KWH // 3_600_000_000_000 + 1
    emitted = [*(own.get("emissions_ug") or {}).values(), *(own.get("actual_ug") or {}).values()]
    return any(each < 0 for each in energy_uj) or any(abs(each) > most_ug for each in emitted)


def prices_of(
    entries: Sequence[Mapping[str, Any]], own: Mapping[str, Series], found: Mapping[str, Series]
) -> tuple[Prices, set[Place]]:
    """The intensity of a bundle's places, and those whose numbers are not there; `job_id` 0 is for all."""
    general: dict[Place, Series] = {}
    special: dict[tuple[int, Place], Series] = {}
    withheld: set[Place] = set()
    labels: dict[Place, Label] = {}
    for entry in entries:
        place = entry["zone"], entry["signal"]
        series = own[entry["file"]] if "file" in entry else found.get(entry["sha256"])
        if series is None:
            withheld.add(place)
            labels[place] = entry["source"], str(kind_of(entry))
        elif number := entry.get("job_id", 0):
            special[number, place] = series
        else:
            general[place] = series
    return Prices(general, special, labels), withheld
