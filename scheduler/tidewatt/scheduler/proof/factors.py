"""The zones and PUEs that an account was priced with, as the events of its job tell them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidewatt.scheduler.proof.report_case import JobTold

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Factors:
    """Home's zones by signal and PUE in millionths; what each attempt was launched with, and when."""

    home_zones: Mapping[str, str]
    home_pue_micro: int
    attempts: Mapping[str, Record]
    launched_ms: Mapping[str, int]


def factors_of(job: JobTold) -> Factors:
    """One home for both sides: where the job ran there, what the last attempt there was launched with."""
    launched = {e["attempt_id"]: e for e in job.events if e["kind"] == "attempt.launching"}
    ended = {e["attempt_id"] for e in job.events if e["kind"] == "attempt.ended"}
    started: dict[str, int] = {}
    for event in job.events:
        if event["kind"] == "attempt.running" and "started_ms" in event["payload"]:
            started.setdefault(event["attempt_id"], event["payload"]["started_ms"])
    attempts: dict[str, Record] = {name: each["payload"] for name, each in launched.items()}
    ran = sorted((at_ms, name) for name, at_ms in started.items() if name in ended and name in attempts)
    at_home = [name for _, name in ran if attempts[name]["region"] == job.frozen["home"]]
    times = {name: each["time_ms"] for name, each in launched.items()}
    if not at_home:
        return Factors(job.frozen["home_zones"], job.frozen["home_pue_micro"], attempts, times)
    last = attempts[at_home[-1]]
    one = {"zones": last["zones"], "pue_micro": last["pue_micro"]}
    attempts |= {name: {**attempts[name], **one} for name in at_home}
    return Factors(last["zones"], last["pue_micro"], attempts, times)
