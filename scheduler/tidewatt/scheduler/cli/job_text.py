"""Jobs, plans and accounts as people read them."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime

from tidewatt.scheduler.cli.account_text import account_lines as account_lines
from tidewatt.scheduler.cli.history_text import history_lines, moves_line
from tidewatt.scheduler.cli.offer_text import offer_lines
from tidewatt.scheduler.cli.operator_text import note_lines
from tidewatt.scheduler.cli.text import (
    cut,
    grams,
    intensity,
    lasting,
    local,
    painted,
    parsed,
    percent,
    shown,
)
from tidewatt.scheduler.client import Json

ENDED = frozenset({"done", "failed", "cancelled"})
_STYLES = {"running": "green", "failed": "red", "cancelled": "yellow", "held": "yellow"}


def title(job: Json) -> str:
    """The job's number and name."""
    return f"job {number(job)}" + (f" ({shown(job['name'])})" if job["name"] else "")


def number(job: Json) -> str:
    """What the job is called: `12`, or `12_3` for a task of an array."""
    return str(job.get("key") or job["id"])


def state(job: Json) -> str:
    """The job's state, coloured."""
    return painted(job["state"], _STYLES.get(job["state"], "bold"))


def command_of(job: Json, width: int = 60) -> str:
    """The command line, shortened."""
    return cut(shown(shlex.join(job["argv"])), width)


def plan_lines(plan: Json, now: datetime, power: str = "") -> Iterator[str]:
    """A plan: when, where, why, what is expected of it, on which numbers."""
    start, end = parsed(plan["start"]), parsed(plan["end"])
    assert start is not None  # noqa: S101 - the schema's word
    assert end is not None  # noqa: S101 - the schema's word
    wait_s = (start - now).total_seconds()
    when = "now" if wait_s < 1 else f"{local(start, now)} (in {lasting(wait_s)})"
    pool = f" on {plan['pool']}" if plan["pool"] else ""
    yield f"  starts   {when} in region {plan['region']}{pool}"
    yield f"  ends     about {local(end, now)}, after {lasting((end - start).total_seconds())}"
    yield from _stint_lines(plan.get("stints", ()), now)
    yield f"  why      {plan['reason']}"
    if plan["mean_gco2_per_kwh"] is not None:
        yield f"  expects  {_expectation(plan, now, power)}"
    if plan.get("beside"):
        yield f"           {_beside(plan['beside'])}"
    for place, source in enumerate(plan["sources"]):
        yield f"  {'source' if place == 0 else '':7}  {source}"
    if plan["note"]:
        yield f"  note     {plan['note']}"


def _stint_lines(stints: Sequence[Json], now: datetime) -> Iterator[str]:
    """The stretches in which a job runs that pauses in between."""
    for place, each in enumerate(stints):
        start, end = parsed(each["start"]), parsed(each["end"])
        assert start is not None  # noqa: S101 - the schema's word
        assert end is not None  # noqa: S101 - the schema's word
        label = "stints" if place == 0 else ""
        length = lasting((end - start).total_seconds())
        yield f"  {label:7}  {local(start, now)} to {local(end, now)} in {each['region']}, {length}"


def _beside(beside: Json) -> str:
    """What the plan means by the other signal."""
    expected, immediate = beside["expected_g"], beside["immediate_g"]
    change = f" ({expected / immediate - 1:+.1%})" if immediate else ""
    return f"by the {beside['signal']} signal {grams(expected)} instead of {grams(immediate)}{change}"


def _expectation(plan: Json, now: datetime, power: str) -> str:
    text = f"{intensity(plan['mean_gco2_per_kwh'])} ({plan['signal']})"
    if plan["expected_g"] is not None:
        text += f", {grams(plan['expected_g'])} CO2 above idle{f' at {power}' if power else ' (expected)'}"
    before, there = plan["immediate_gco2_per_kwh"], local(plan["immediate_start"], now)
    if before is None or (plan["immediate_start"] == plan["start"] and not plan.get("stints")):
        return text
    otherwise = f"in one piece from {there} it" if plan.get("stints") else f"starting {there}"
    saving = expected_saving(plan)
    less = "" if saving is None else f": {percent(abs(saving))} {'less' if saving >= 0 else 'MORE'}"
    if saving is not None and abs(saving - (1 - plan["mean_gco2_per_kwh"] / (before or 1))) >= 0.005:
        less += " with PUE, hardware and moved data"
    return f"{text}; {otherwise} would be {intensity(before)}{less}"


def expected_saving(plan: Json) -> float | None:
    """The share of emissions that the plan is expected to save against starting at once; may be negative."""
    expected, immediate = plan["expected_g"], plan["immediate_g"]
    if expected is None or not immediate:
        expected, immediate = plan["mean_gco2_per_kwh"], plan["immediate_gco2_per_kwh"]
    return None if expected is None or not immediate else 1 - float(expected) / float(immediate)


def submitted_lines(reply: Json, now: datetime) -> Iterator[str]:
    """The reply to a submit."""
    job = reply["job"]
    yield f"{painted(title(job), 'bold')} is {_standing(job)}"
    power_w = reply.get("power_w")
    power = f"{power_w:.3g} W ({reply.get('power_source')})" if power_w else ""
    if job["plan"]:
        yield from plan_lines(job["plan"], now, power)
    yield from _unplanned_lines(job)
    if job["finish_by"]:
        yield f"  finish   by {local(job['finish_by'], now)}"
    if job["duration_source"] == "assumed":
        yield f"  length   {lasting(job['duration_s'])} (assumed: give --duration or --time)"
    elif job["duration_source"] not in ("yours", "time limit") or job.get("guard_s"):
        kept = f"; its deadline is kept with {lasting(job['guard_s'])}" if job.get("guard_s") else ""
        yield f"  length   {lasting(job['duration_s'])} ({job['duration_source']}){kept}"
    if waits := [*job.get("after", ()), *job.get("after_any", ())]:
        yield f"  after    {', '.join(waits)}"
    yield from _lot_line(job)
    yield from note_lines(reply)
    yield from offer_lines(reply["offers"], now)
    yield from warning_lines(job)


def _unplanned_lines(job: Json) -> Iterator[str]:
    """Why a job that starts after others has no plan."""
    if job["state"] == "waiting" and not job["plan"] and (job.get("after") or job.get("after_any")):
        yield "  starts   not planned yet: a job before it is held, or waits for one that is"


def _standing(job: Json) -> str:
    if job["state"] == "held":
        return f"held until `tidewatt release {job['id']}`"
    return "planned" if job["state"] == "waiting" and job["plan"] else str(job["state"])


def also_line(changed: Json) -> Iterator[str]:
    """Which other jobs a cancelled job or array takes with it."""
    if not changed.get("also"):
        return
    later = changed["state"] == "running" or changed.get("tasks", {}).get("running")
    when = "to be cancelled once it has stopped" if later else "cancelled"
    yield f"  also     {when}, as only to run after it: {', '.join(changed['also'])}"


def warning_lines(job: Json) -> Iterator[str]:
    """What the owner should know."""
    if job["at_risk"]:
        yield painted(f"  AT RISK  {job['at_risk']}", "red")
    for warning in job["warnings"]:
        yield painted(f"  warning  {warning}", "yellow")


def job_lines(job: Json, now: datetime) -> Iterator[str]:
    """All that is known of one job."""
    ended = job["state"] in ENDED
    reason = f": {job['reason']}" if job["reason"] else ""
    yield f"{painted(title(job), 'bold')} is {state(job)} since {local(job['since'], now)}{reason}"
    yield from _request_lines(job, now)
    if job["plan"] and not ended:
        yield from plan_lines(job["plan"], now)
        yield from moves_line(job)
    yield from _unplanned_lines(job)
    for attempt in job["attempts"]:
        yield _attempt_line(attempt, now)
    errors = f", errors {job['stderr']}" if job["stderr"] != job["stdout"] else ""
    yield f"  output   {job['stdout']}{errors}"
    yield from warning_lines(job)
    if ended and _ran(job):
        yield from account_lines(job["settlement"], now)
    yield "history"
    yield from history_lines(job, now)


def _ran(job: Json) -> bool:
    """True where there is something to account for."""
    settled = job["settlement"] is not None and job["settlement"]["state"] != "none"
    return job["state"] != "cancelled" or settled or any(attempt["started"] for attempt in job["attempts"])


def _request_lines(job: Json, now: datetime) -> Iterator[str]:
    yield f"  command  {command_of(job, 200)}"
    yield f"  in       {job['cwd']}" + (f" at commit {job['commit'][:12]}" if job["commit"] else "")
    project = f", project {job['project']}" if job["project"] else ""
    yield f"  by       {job['user']}{project}" + "".join(
        f", {key}={value}" for key, value in job["labels"].items()
    )
    if job["array"]:
        limit = f", at most {job['array_limit']} at a time" if job["array_limit"] else ""
        yield f"  task     {job['array_task']} of array {job['array']} with {job['array_size']} tasks{limit}"
    limit = f", limit {lasting(job['time_limit_s'])}" if job["time_limit_s"] else ""
    kept = f"; its deadline is kept with {lasting(job['guard_s'])}" if job["guard_s"] else ""
    yield f"  length   {lasting(job['duration_s'])} ({job['duration_source']}){limit}{kept}"
    if job["finish_by"]:
        yield f"  finish   by {finish_by(job, now)}"
    if job.get("progress_s") and job["state"] not in ENDED:
        by = f", paused by its {job['paused']}" if job.get("paused") else ""
        yield f"  progress {lasting(job['progress_s'])} of its work are kept{by}"
    yield from _lot_line(job)
    yield from _order_lines(job, now)


def finish_by(job: Json, now: datetime) -> str:
    """The job's deadline; told where it has passed and the job has not ended. Empty where it has none."""
    deadline = parsed(job["finish_by"])
    if deadline is None:
        return ""
    passed = deadline <= now and job["state"] not in ENDED
    return local(deadline, now) + (" (passed)" if passed else "")


def _lot_line(job: Json) -> Iterator[str]:
    """What a lot decided, where one was drawn."""
    if job.get("lot"):
        yield f"  lot      {job['lot']}"


def _order_lines(job: Json, now: datetime) -> Iterator[str]:
    """What it waits for, which GPUs it takes, and its turn among others."""
    done = [f"{key} (has to be done)" for key in job["after"]]
    if waits := done + [f"{key} (has to have ended)" for key in job["after_any"]]:
        yield f"  after    {', '.join(waits)}"
    if job["kinds"]:
        yield f"  kinds    {'; '.join(_kind(kind) for kind in job['kinds'])}"
    if job["data_gb"]:
        yield f"  data     {job['data_gb']:g} GB move with it to another region"
    if job["priority"]:
        yield f"  priority {job['priority']}"
    if job["retries"]:
        again = f", not before {local(job['not_before'], now, seconds=True)}" if job["not_before"] else ""
        yield f"  retries  {job['retried']} of {job['retries']} used{again}"


def _kind(kind: Json) -> str:
    ratios = [f"{kind['speed']:g} x as fast"] if kind["speed"] != 1 else []
    ratios += [f"{kind['power']:g} x the power"] if kind["power"] != 1 else []
    return str(kind["kind"]) + (f" ({', '.join(ratios)})" if ratios else "")


def _attempt_line(attempt: Json, now: datetime) -> str:
    until = local(attempt["ended"], now, seconds=True) if attempt["ended"] else "now"
    end = "" if attempt["exit_code"] is None else f", exit code {attempt['exit_code']}"
    end += "" if attempt["signal"] is None else f", signal {attempt['signal']}"
    gpus = f" on {', '.join(attempt['gpu_uuids'])}" if attempt["gpu_uuids"] else ""
    reason = f": {attempt['reason']}" if attempt["reason"] else ""
    state = "did not start" if attempt["state"] == "poisoned" else attempt["state"]
    stands = f"  attempt  {attempt['attempt_id']} {state} in {attempt['region']}{gpus}"
    if not attempt["started"]:
        return stands + reason
    return f"{stands}, {local(attempt['started'], now, seconds=True)} to {until}{end}{reason}"
