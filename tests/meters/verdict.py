"""What a meter said of a component, beside the truth."""

from dataclasses import dataclass

import pytest

from tests.meters.fault_case import Case, Expected
from tests.meters.host import Host
from tidewatt.backends.meters.reading import How, Usage

WITHIN = 0.01


@dataclass(frozen=True, slots=True)
class Verdict:
    """Joules that were drawn in the run, joules told, and how they are classed.

    `error` is that of what is called measured, against the truth of just the time that it covers; None where
    nothing is measured. `hows` are the ways that occur, `coverage` the share of the run that is known.
    """

    truth_j: float
    ours_j: float
    error: float | None
    hows: str
    coverage: float
    covered_j: float = 0.0  # what was drawn in the time for which it is measured
    notes: tuple[str, ...] = ()

    @property
    def classed(self) -> str:
        """In words: "measured", "measured 88 %, missing 12 %"."""
        if self.hows == "missing":
            return "missing"
        known = self.hows.replace("+", " and ")
        percent = 100 * self.coverage
        return known if self.coverage > 0.9995 else f"{known} {percent:.1f} %, missing {100 - percent:.1f} %"

    def fails(self, expected: Expected) -> str:
        """What is wrong, "" for nothing."""
        if self.error is not None and abs(self.error) > WITHIN:
            return f"called measured, and {100 * self.error:+.2f} % off"
        if self.hows != expected.how or not expected.least - 1e-9 <= self.coverage <= expected.most + 1e-9:
            return f"classed {self.hows}, {self.coverage:.3f}"
        return ""


def judge(case: Case, host: Host, component: str, start_ms: int, end_ms: int, *wall_ms: int) -> Verdict:
    """The verdict on one component of the run `[start_ms, end_ms)` of the scene's time, GPU by GPU."""
    shares = {(device,): case.share for device in case.uuids} if component == "gpu" else {case.uuids: 1.0}
    told_j = measured_j = covered_j = true_j = coverage = 0.0
    hows: set[str] = set()
    for uuids, share in shares.items():
        devices = case.devices(component, uuids)
        used = host.used(uuids, *wall_ms)
        true_j += share * host.truth.energy_j(devices, start_ms, end_ms)
        coverage += used.coverage[component] / len(shares)
        for span in used.spans:
            if span.component != component:
                continue
            assert min(span.active_uj, span.idle_uj) >= 0, "negative energy"
            energy_j = (span.active_uj + span.idle_uj) / 1e6
            told_j += energy_j
            hows.add(span.how.value)
            if span.how is How.MEASURED:
                first, last = (start_ms + edge - used.start_ms for edge in (span.start_ms, span.end_ms))
                measured_j += energy_j
                covered_j += share * host.truth.energy_j(devices, first, last)
    whole = host.used(case.uuids, *wall_ms)
    assert told_j * 1e6 == pytest.approx(_told_uj(whole, component), abs=99)
    known = hows - {"missing"} if len(hows) > 1 else hows
    error = measured_j / covered_j - 1 if covered_j else None
    return Verdict(true_j, told_j, error, "+".join(sorted(known)), coverage, covered_j, whole.notes)


def _told_uj(used: Usage, component: str) -> int:
    return sum(span.active_uj + span.idle_uj for span in used.spans if span.component == component)
